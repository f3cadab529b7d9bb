/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes new entries: create, O_TMPFILE, mkdir, mknod, symlink. Who owns them is create_as.c's business.
 */
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/gid/echo.h"
#include "view/gid/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct creation {
    struct view *view;
    struct dir dir;
    const char *name; /* "" for O_TMPFILE */
    mode_t view_mode;
    mode_t umask;
    int open_flags;
    dev_t rdev;
    const char *target; /* of a symbolic link */
    int (*make)(struct creation *c, mode_t disk_mode);
    int fd; /* of what was created, if make() opens it */
};

static int make_file(struct creation *c, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_CREAT | O_EXCL | O_CLOEXEC;
    c->fd = openat(c->dir.fd, c->name, flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_tmpfile(struct creation *c, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_TMPFILE | O_CLOEXEC;
    c->fd = openat(c->dir.fd, ".", flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_dir(struct creation *c, mode_t disk_mode)
{
    return mkdirat(c->dir.fd, c->name, disk_mode) < 0 ? -errno : 0;
}

static int make_node(struct creation *c, mode_t disk_mode)
{
    return mknodat(c->dir.fd, c->name, disk_mode, c->rdev) < 0 ? -errno : 0;
}

static int make_symlink(struct creation *c, mode_t disk_mode)
{
    return symlinkat(c->target, c->dir.fd, c->name) < 0 ? -errno : 0;
}

/* Makes it as the caller. */
static int create_once(void *data)
{
    struct creation *c = data;
    struct statx parent_stx;
    mode_t disk_mode;
    int r = view_create_mode(c->view, c->view_mode, &disk_mode);
    if (r == 0)
        r = inode_fd_statx(c->dir.fd, &parent_stx);
    if (r == 0)
        r = view_become_caller(c->view, c->umask, &parent_stx);
    if (r == 0)
        r = c->make(c, disk_mode);
    view_become_server();
    return r;
}

/* Whether what is at the name now was made by a first try, rather than being there before it. */
static bool is_ours(void *data)
{
    struct creation *c = data;
    struct statx stx;
    auto_fd int fd = openat(c->dir.fd, c->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || inode_fd_statx(fd, &stx) < 0)
        return false;
    return journal_is_recent(fd, stx.stx_mask & STATX_BTIME ? &stx.stx_btime : &stx.stx_ctime);
}

/* mkdir, mknod, symlink: make it, then look it up. */
static void create_and_lookup(fuse_req_t req, fuse_ino_t parent, struct creation *c)
{
    c->view = view_of_request(req);
    c->fd = -1;
    int r = dir_get(c->view, parent, &c->dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = view_is_echo(req) ? 0 : journal_run_checked(create_once, c, -EEXIST, is_ours);
    if (r < 0)
        view_reply_error(req, r);
    else if (view_is_echo(req))
        echo_created(req, c->view, &c->dir, c->name);
    else
        names_reply_lookup(req, c->view, &c->dir, c->name);
    dir_put(c->view, &c->dir);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct creation c = {
        .name = name, .view_mode = mode | S_IFDIR, .umask = fuse_req_ctx(req)->umask, .make = make_dir};
    create_and_lookup(req, parent, &c);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct creation c = {
        .name = name, .view_mode = mode, .rdev = rdev, .umask = fuse_req_ctx(req)->umask, .make = make_node};
    create_and_lookup(req, parent, &c);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct creation c = {.name = name, .view_mode = S_IFLNK | 0777, .target = target, .make = make_symlink};
    create_and_lookup(req, parent, &c);
}

/* An O_PATH descriptor of what was made: by its own descriptor, or, if a worker died after making it, by its name. */
static int path_fd_of(const struct creation *c)
{
    if (c->fd >= 0)
        return inode_fd_reopen(c->fd, O_PATH);
    int fd = openat(c->dir.fd, c->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

struct created_answer {
    struct fuse_entry_out entry;
    struct abi_open_out open;
};

/* Makes a file and opens it. On success the inode has a lookup and an open more. */
static int create_and_open(struct creation *c, struct created_answer *ret_answer, struct inode **ret_inode)
{
    struct fuse_entry_param entry;
    /* A file without a name that nobody has opened vanishes with a worker that dies; making another one is no harm. */
    int r = c->make == make_tmpfile ? create_once(c) : journal_run_checked(create_once, c, -EEXIST, is_ours);
    /* Somebody else made it meanwhile: the kernel is to look again, and to ask for permission to open that. */
    if (r == -EEXIST && !(c->open_flags & O_EXCL))
        r = -ESTALE;
    if (r < 0)
        return r;
    G_GNUC_UNUSED auto_fd int created = c->fd;
    auto_fd int fd = path_fd_of(c);
    if (fd < 0)
        return fd;
    r = names_make_entry(c->view, &c->dir, &fd, INODE_KEEP_CACHED, &entry, ret_inode);
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
                         .make = make_file,
                         .fd = -1};
    int r = dir_get(c.view, parent, &c.dir);
    if (r == 0) {
        r = create_and_open(&c, &answer, &inode);
        dir_put(c.view, &c.dir);
    }
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_buf(req, (const char *)&answer, sizeof(answer))))
        undo_create_and_open(c.view, inode, c.open_flags);
}

void gid_raw_tmpfile(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes)
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
                         .make = make_tmpfile,
                         .fd = -1};
    int r = dir_get(view, header->nodeid, &c.dir);
    if (r == 0) {
        r = create_and_open(&c, &answer, &inode);
        dir_put(view, &c.dir);
    }
    int sent = transport_reply_raw(view->transport, header->unique, r, &answer, sizeof(answer));
    if (r == 0 && request_answer_is_lost(sent))
        undo_create_and_open(view, inode, c.open_flags);
}

void gid_ops_create(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->mkdir = op_mkdir;
    ops->mknod = op_mknod;
    ops->symlink = op_symlink;
}
