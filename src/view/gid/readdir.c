/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a directory: names alone, or names with attributes (readdirplus), which counts a lookup of each.
 */
#include "base/fd.h"
#include "sys/dirent.h"
#include "view/common/dir_streams.h"
#include "view/gid/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 32768

struct listing {
    fuse_req_t req;
    struct view *view;
    struct dir dir;
    bool plus;
    char *out;
    size_t n_out_bytes, size_bytes;
};

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* An entry without a lookup: what readdir says, and readdirplus of "." and ".." and of what has just gone. */
static void plain_entry(const struct listing *l, const struct dirent_record *record, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.attr = {.st_ino = record->ino, .st_mode = DTTOIF(record->type)}};
}

static void full_entry(struct listing *l, const struct dirent_record *record, struct fuse_entry_param *ret_entry)
{
    struct inode *inode;
    plain_entry(l, record, ret_entry);
    if (is_dot(record->name))
        return;
    auto_fd int fd = openat(l->dir.fd, record->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && names_make_entry(l->view, &l->dir, &fd, INODE_KEEP_NO_FD, ret_entry, &inode) < 0)
        plain_entry(l, record, ret_entry);
}

/* Adds a record to the answer. False if there is no room for it. */
static bool add(struct listing *l, const struct dirent_record *record)
{
    char *at = l->out + l->n_out_bytes;
    size_t n_left = l->size_bytes - l->n_out_bytes, n_needed;
    struct fuse_entry_param entry;
    if (!l->plus) {
        plain_entry(l, record, &entry);
        n_needed = fuse_add_direntry(l->req, at, n_left, record->name, &entry.attr, record->next_offset);
    } else {
        if (fuse_add_direntry_plus(l->req, NULL, 0, record->name, NULL, 0) > n_left)
            return false;
        full_entry(l, record, &entry);
        n_needed = fuse_add_direntry_plus(l->req, at, n_left, record->name, &entry, record->next_offset);
    }
    if (n_needed > n_left)
        return false;
    l->n_out_bytes += n_needed;
    return true;
}

/*
 * Fills the answer from fd, which stands at *offset; leaves *offset where the next answer goes on. Returns whether fd
 * stands there too: it stands farther when the last records read had no room.
 */
static int fill(struct listing *l, int fd, int64_t *offset, bool *ret_in_step, bool *ret_at_end)
{
    _Alignas(8) char records[READ_BYTES];
    /* Read no more than the answer will hold: a record here is never longer than there. */
    size_t n_to_read = MIN(sizeof(records), l->size_bytes);
    *ret_in_step = true;
    *ret_at_end = false;
    for (;;) {
        ssize_t n = dirent_read(fd, records, n_to_read);
        if (n <= 0) {
            *ret_at_end = n == 0;
            return l->n_out_bytes > 0 ? 0 : (int)n;
        }
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(records + at);
            if (!add(l, record)) {
                *ret_in_step = false;
                return 0;
            }
            *offset = record->next_offset;
            at += record->record_size_bytes;
        }
        if (l->plus || l->n_out_bytes + n_to_read > l->size_bytes)
            return 0;
    }
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct view *view = view_of_request(req);
    struct listing l = {.req = req, .view = view, .plus = plus, .size_bytes = MIN(size, FUSE_MAX_WRITE_BYTES)};
    int r = dir_get(view, ino, &l.dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    view_cover_directory(view, l.dir.inode, l.dir.fd);
    l.out = malloc(l.size_bytes);
    int fd = l.out ? dir_streams_take(view->dir_streams, l.dir.inode, offset) : -ENOMEM;
    if (fd >= 0) {
        int64_t reached = offset;
        bool in_step, at_end;
        r = fill(&l, fd, &reached, &in_step, &at_end);
        dir_streams_give(view->dir_streams, l.dir.inode, reached, fd, !in_step || at_end || r < 0);
    } else {
        r = fd;
    }
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_buf(req, l.out, l.n_out_bytes);
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
