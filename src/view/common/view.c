/* SPDX-License-Identifier: Apache-2.0 */
#include "view/common/view.h"

#include "base/helper.h"
#include "view/common/data_files.h"
#include "view/common/dir_streams.h"
#include "view/common/pressure.h"

#include <errno.h>

#define CACHED_S    3600.0
#define UNWATCHED_S 1.0

static void choose_timeouts(struct view *view)
{
    switch (view->options->cache) {
    case VIEW_CACHE_ALWAYS:
        view->cached_s = view->unwatched_s = CACHED_S;
        break;
    case VIEW_CACHE_NONE:
        view->cached_s = view->unwatched_s = 0;
        break;
    case VIEW_CACHE_AUTO:
        view->cached_s = CACHED_S;
        view->unwatched_s = UNWATCHED_S;
        break;
    }
    if (view->options->has_timeout)
        view->cached_s = view->unwatched_s = (double)view->options->timeout_ms / 1000.0;
}

int view_init(struct view *view)
{
    const struct view_options *options = view->options;
    choose_timeouts(view);
    view->read_only = options->flags & VIEW_READ_ONLY;
    view->allow_setid = !options->has_gid || !(options->flags & VIEW_NOSUID);
    view->direct_io = options->cache == VIEW_CACHE_NONE;
    atomic_store(&view->passthrough,
                 options->passthrough != VIEW_PASSTHROUGH_OFF && !atomic_load(&view->source->no_passthrough));
    int r = data_files_new(view->inodes, &view->data_files);
    if (r == 0)
        r = dir_streams_new(view->inodes, &view->dir_streams);
    if (r == 0)
        r = helper_new(&view->helper);
    if (r < 0)
        view_finish(view);
    return r;
}

void view_finish(struct view *view)
{
    data_files_free(view->data_files);
    dir_streams_free(view->dir_streams);
    helper_free(view->helper);
    view->data_files = NULL;
    view->dir_streams = NULL;
    view->helper = NULL;
}

int view_intern(struct view *view, const struct inode_key *key, uint8_t type, int *fd, enum inode_keep keep,
                struct inode **ret_inode)
{
    int r = inode_table_intern(view->inodes, key, type, fd, keep, ret_inode);
    if (r == -ENFILE && pressure_wait_for_room(view->pressure))
        r = inode_table_intern(view->inodes, key, type, fd, keep, ret_inode);
    pressure_notice(view->pressure);
    return r;
}

void view_reply_error(fuse_req_t req, int error)
{
    fuse_reply_err(req, -error);
}

void view_reply_entry(fuse_req_t req, int r, const struct fuse_entry_param *entry)
{
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_entry(req, entry)))
        view_forget_one(view_of_request(req), entry->ino, 1);
}

void view_reply_lookup(fuse_req_t req, const struct inode *dir, int r, const struct fuse_entry_param *entry)
{
    if (r == -ENOENT) {
        const struct fuse_entry_param none = {.entry_timeout = view_entry_timeout(view_of_request(req), dir)};
        fuse_reply_entry(req, &none); /* nodeid 0: that there is none may be cached too */
    } else {
        view_reply_entry(req, r, entry);
    }
}

int view_prepare_write(struct view *view, struct inode *inode)
{
    return view->hooks->prepare_write ? view->hooks->prepare_write(view, inode) : 0;
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
    view_forget_one(view_of_request(req), ino, n_lookups);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < n; i++)
        view_forget_one(view_of_request(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

void view_ops(const struct view *view, struct fuse_lowlevel_ops *ops)
{
    view_ops_attributes(ops);
    view_ops_open(ops);
    view_ops_io(ops);
    view_ops_xattr(ops);
    view_ops_create(ops);
    if (view->options->cache != VIEW_CACHE_NONE)
        view_ops_open_cached_directories(ops);
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    view->hooks->add_ops(ops);
}

bool view_raw(void *data, const struct fuse_in_header *header, const void *body, size_t n_bytes)
{
    struct view *view = data;
    switch (header->opcode) {
    case ABI_OP_STATX:
        view_raw_statx(view, header);
        return true;
    case FUSE_SETXATTR:
        view_raw_setxattr(view, header, body, n_bytes);
        return true;
    case ABI_OP_TMPFILE:
        view_raw_tmpfile(view, header, body, n_bytes);
        return true;
    default:
        return false;
    }
}
