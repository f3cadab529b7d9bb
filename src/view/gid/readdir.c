/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a directory: names alone, or names with attributes (readdirplus), which counts a lookup of each.
 *
 * What costs is asking the source for each name. That is done for many names before the first is put into the answer,
 * so that a helper can do a share of it; the view's own records are made one by one.
 */
#include "base/fd.h"
#include "base/helper.h"
#include "sys/dirent.h"
#include "view/common/dir_streams.h"
#include "view/gid/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/*
 * Records are read for the room that there is: one of getdents(2) has 24 bytes at least, and becomes one of 32, or of
 * 160 with attributes, and the longer the name, the less do they differ.
 */
#define GROWTH           2
#define GROWTH_PLUS      7
#define RECORD_MIN_BYTES 24
#define RECORD_MAX_BYTES 280
#define READ_BYTES       32768
#define N_AT_ONCE        256 /* of names with attributes */

/* What is at a name. */
struct finding {
    const struct dirent_record *record;
    bool known; /* attributes and key are; otherwise it must be opened */
    struct statx stx;
    struct inode_key key;
};

struct listing {
    fuse_req_t req;
    struct view *view;
    struct dir dir;
    bool plus;
    char *out;
    size_t n_out_bytes, size_bytes;
    int64_t reached;          /* offset behind the last name in the answer */
    struct finding *findings; /* N_AT_ONCE, with plus */
};

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* An entry without a lookup: what readdir says, and readdirplus of "." and ".." and of what has just gone. */
static void plain_entry(const struct dirent_record *record, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.attr = {.st_ino = record->ino, .st_mode = DTTOIF(record->type)}};
}

static void full_entry(struct listing *l, struct finding *found, uint64_t n_missed, struct fuse_entry_param *ret_entry)
{
    struct inode *inode;
    int r;
    plain_entry(found->record, ret_entry);
    if (is_dot(found->record->name))
        return;
    if (found->known) {
        r = names_make_entry_of(l->view, &l->dir, &found->key, &found->stx, n_missed, ret_entry);
    } else {
        auto_fd int fd = openat(l->dir.fd, found->record->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? fd : names_make_entry(l->view, &l->dir, &fd, INODE_KEEP_NO_FD, ret_entry, &inode);
    }
    if (r < 0)
        plain_entry(found->record, ret_entry);
}

static void find_out(void *data, unsigned number)
{
    struct listing *l = data;
    struct finding *found = &l->findings[number];
    found->known = !is_dot(found->record->name) &&
                   source_key_of_name(l->view->source, l->dir.fd, found->record->name, &found->stx, &found->key);
}

static void add_plus(struct listing *l, const char *records, ssize_t n_bytes)
{
    unsigned n = 0;
    uint64_t n_missed = view_changes_missed(l->view);
    for (ssize_t at = 0; at < n_bytes; at += l->findings[n++].record->record_size_bytes)
        l->findings[n].record = (const void *)(records + at);
    helper_share(l->view->helper, n, find_out, l);
    for (unsigned i = 0; i < n; i++) {
        struct fuse_entry_param entry;
        const struct dirent_record *record = l->findings[i].record;
        full_entry(l, &l->findings[i], n_missed, &entry);
        l->n_out_bytes += fuse_add_direntry_plus(l->req, l->out + l->n_out_bytes, l->size_bytes - l->n_out_bytes,
                                                 record->name, &entry, record->next_offset);
        l->reached = record->next_offset;
    }
}

static void add_plain(struct listing *l, const char *records, ssize_t n_bytes)
{
    for (ssize_t at = 0; at < n_bytes;) {
        struct fuse_entry_param entry;
        const struct dirent_record *record = (const void *)(records + at);
        plain_entry(record, &entry);
        l->n_out_bytes += fuse_add_direntry(l->req, l->out + l->n_out_bytes, l->size_bytes - l->n_out_bytes,
                                            record->name, &entry.attr, record->next_offset);
        l->reached = record->next_offset;
        at += record->record_size_bytes;
    }
}

/* Fills the answer from fd until there may be no room for one more name. Leaves fd at the offset that is reached. */
static int fill(struct listing *l, int fd)
{
    _Alignas(8) char records[READ_BYTES];
    size_t n_max = l->plus ? N_AT_ONCE * RECORD_MIN_BYTES : sizeof(records);
    for (;;) {
        size_t n_to_read = MIN(n_max, (l->size_bytes - l->n_out_bytes) / (l->plus ? GROWTH_PLUS : GROWTH));
        if (n_to_read < RECORD_MAX_BYTES)
            return l->n_out_bytes > 0 ? 0 : -EINVAL;
        ssize_t n = dirent_read(fd, records, n_to_read);
        if (n <= 0)
            return l->n_out_bytes > 0 ? 0 : (int)n;
        if (l->plus)
            add_plus(l, records, n);
        else
            add_plain(l, records, n);
    }
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct view *view = view_of_request(req);
    struct listing l = {.req = req, .view = view, .plus = plus, .reached = offset};
    l.size_bytes = MIN(size, FUSE_MAX_WRITE_BYTES);
    int r = dir_get(view, ino, &l.dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    view_cover_directory(view, l.dir.inode, l.dir.fd);
    l.out = malloc(l.size_bytes);
    l.findings = plus ? malloc(N_AT_ONCE * sizeof(*l.findings)) : NULL;
    int fd = l.out && (l.findings || !plus) ? dir_streams_take(view->dir_streams, l.dir.inode, offset) : -ENOMEM;
    if (fd >= 0) {
        r = fill(&l, fd);
        dir_streams_give(view->dir_streams, l.dir.inode, l.reached, fd, r < 0 || l.n_out_bytes == 0);
    } else {
        r = fd;
    }
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_buf(req, l.out, l.n_out_bytes);
    free(l.findings);
    free(l.out);
    dir_put(view, &l.dir);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    list(req, ino, size, offset, true);
}

void gid_ops_readdir(struct fuse_lowlevel_ops *ops)
{
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
}
