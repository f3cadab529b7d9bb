/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes new entries: create, O_TMPFILE, mkdir, mknod, symlink. Who owns them is create_as.c's business.
 */
#include "view/common/create.h"

#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int make_file(struct creation *c, const char *name, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_CREAT | O_EXCL | O_CLOEXEC;
    c->fd = openat(c->dir_fd, name, flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_tmpfile(struct creation *c, const char *name, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_TMPFILE | O_CLOEXEC;
    c->fd = openat(c->dir_fd, ".", flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_dir(struct creation *c, const char *name, mode_t disk_mode)
{
    return mkdirat(c->dir_fd, name, disk_mode) < 0 ? -errno : 0;
}

static int make_node(struct creation *c, const char *name, mode_t disk_mode)
{
    return mknodat(c->dir_fd, name, disk_mode, c->rdev) < 0 ? -errno : 0;
}

static int make_symlink(struct creation *c, const char *name, mode_t disk_mode)
{
    return symlinkat(c->target, c->dir_fd, name) < 0 ? -errno : 0;
}

int creation_make(struct creation *c, const char *name)
{
    struct statx parent_stx;
    mode_t disk_mode;
    int r = view_create_mode(c->view, c->view_mode, &disk_mode);
    if (r == 0)
        r = inode_fd_statx(c->dir_fd, &parent_stx);
    if (r == 0)
        r = view_become_caller(c->view, c->umask, &parent_stx);
    if (r == 0)
        r = c->make(c, name, disk_mode);
    view_become_server();
    return r;
}

int creation_run(const struct creation *c, int (*make)(void *data), void *data, bool (*is_ours)(void *data))
{
    /* A file without a name that nobody has opened vanishes with a worker that dies; making another one is no harm. */
    return c->make == make_tmpfile ? make(data) : journal_run_checked(make, data, -EEXIST, is_ours);
}

int creation_path_fd(const struct creation *c)
{
    if (c->fd >= 0)
        return inode_fd_reopen(c->fd, O_PATH);
    int fd = openat(c->dir_fd, c->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* mkdir, mknod, symlink. */
static void create_and_reply(fuse_req_t req, fuse_ino_t parent, struct creation *c)
{
    struct fuse_entry_param entry;
    struct inode *inode;
    c->view = view_of_request(req);
    c->fd = -1;
    c->is_echo = view_is_echo(req);
    int r = c->view->hooks->create(c, parent, &entry, &inode);
    view_reply_entry(req, r, &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct creation c = {
        .name = name, .view_mode = mode | S_IFDIR, .umask = fuse_req_ctx(req)->umask, .make = make_dir};
    create_and_reply(req, parent, &c);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct creation c = {
        .name = name, .view_mode = mode, .rdev = rdev, .umask = fuse_req_ctx(req)->umask, .make = make_node};
    create_and_reply(req, parent, &c);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct creation c = {.name = name, .view_mode = S_IFLNK | 0777, .target = target, .make = make_symlink};
    create_and_reply(req, parent, &c);
}

struct created_answer {
    struct fuse_entry_out entry;
    struct abi_open_out open;
};

/* Makes a file and opens it. On success the inode has a lookup and an open more. */
static int create_and_open(struct creation *c, fuse_ino_t parent, struct created_answer *ret_answer,
                           struct inode **ret_inode)
{
    struct fuse_entry_param entry;
    c->fd = -1;
    int r = c->view->hooks->create(c, parent, &entry, ret_inode);
    G_GNUC_UNUSED auto_fd int created = c->fd; /* a file without a name is there as long as it is open */
    /* Somebody else made it meanwhile: the kernel is to look again, and to ask for permission to open that. */
    if (r == -EEXIST && !(c->open_flags & O_EXCL))
        r = -ESTALE;
    if (r < 0)
        return r;
    memset(ret_answer, 0, sizeof(*ret_answer));
    r = view_count_open(c->view, *ret_inode, c->open_flags, &ret_answer->open);
    if (r < 0)
        view_forget_one(c->view, entry.ino, 1);
    else
        view_entry_out(&entry, &ret_answer->entry);
    return r;
}

static void undo_create_and_open(struct view *view, struct inode *inode, int open_flags)
{
    view_count_release(view, inode, open_flags);
    view_forget_one(view, inode->nodeid, 1);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct created_answer answer;
    struct inode *inode;
    struct creation c = {.view = view_of_request(req),
                         .name = name,
                         .view_mode = (mode & 07777) | S_IFREG,
                         .umask = fuse_req_ctx(req)->umask,
                         .open_flags = fi->flags,
                         .make = make_file};
    int r = create_and_open(&c, parent, &answer, &inode);
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_buf(req, (const char *)&answer, sizeof(answer))))
        undo_create_and_open(c.view, inode, c.open_flags);
}

void view_raw_tmpfile(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes)
{
    struct created_answer answer;
    struct inode *inode;
    struct fuse_create_in in;
    if (n_bytes < sizeof(in)) {
        transport_reply_raw(view->transport, header->unique, -EINVAL, NULL, 0);
        return;
    }
    memcpy(&in, body, sizeof(in));
    struct creation c = {.view = view,
                         .name = "",
                         .view_mode = (in.mode & 07777) | S_IFREG,
                         .umask = in.umask,
                         .open_flags = (int)in.flags,
                         .make = make_tmpfile};
    int r = create_and_open(&c, header->nodeid, &answer, &inode);
    int sent = transport_reply_raw(view->transport, header->unique, r, &answer, sizeof(answer));
    if (r == 0 && request_answer_is_lost(sent))
        undo_create_and_open(view, inode, c.open_flags);
}

void view_ops_create(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->mkdir = op_mkdir;
    ops->mknod = op_mknod;
    ops->symlink = op_symlink;
}
