/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes new entries: create, O_TMPFILE, mkdir, mknod, symlink, link.
 *
 * They are made in the upper directory under their own name, as the caller, so that owner, group, umask and default
 * ACL are right from the first moment. Where an overlayfs whiteout has the name, they are made beside it under a name
 * that is never shown (AUFS keeps those that begin with .wh..wh. for itself) and then take its place by a rename.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "core/whiteout.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct creation {
    struct view *view;
    struct layers *layers;
    struct layers_dir dir;
    const char *name; /* "" for O_TMPFILE */
    mode_t view_mode;
    mode_t umask;
    int open_flags;
    dev_t rdev;
    const char *target; /* of a symbolic link */
    int link_fd;        /* of a hard link: the inode */
    int (*make)(struct creation *c, const char *name, mode_t disk_mode);
    int fd; /* of what was created, if make() opens it */
};

static int make_file(struct creation *c, const char *name, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_CREAT | O_EXCL | O_CLOEXEC;
    c->fd = openat(layers_upper_fd(&c->dir), name, flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_tmpfile(struct creation *c, const char *name, mode_t disk_mode)
{
    int flags = (c->open_flags & ~(O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW)) | O_TMPFILE | O_CLOEXEC;
    c->fd = openat(layers_upper_fd(&c->dir), ".", flags, disk_mode);
    return c->fd < 0 ? -errno : 0;
}

static int make_dir(struct creation *c, const char *name, mode_t disk_mode)
{
    return mkdirat(layers_upper_fd(&c->dir), name, disk_mode) < 0 ? -errno : 0;
}

static int make_node(struct creation *c, const char *name, mode_t disk_mode)
{
    return mknodat(layers_upper_fd(&c->dir), name, disk_mode, c->rdev) < 0 ? -errno : 0;
}

static int make_symlink(struct creation *c, const char *name, mode_t disk_mode)
{
    return symlinkat(c->target, layers_upper_fd(&c->dir), name) < 0 ? -errno : 0;
}

static int make_link(struct creation *c, const char *name, mode_t disk_mode)
{
    return inode_fd_link(c->link_fd, layers_upper_fd(&c->dir), name);
}

/* Makes it under a name, as the caller; a link is nobody's making. */
static int make_as_caller(struct creation *c, const char *name)
{
    struct statx parent_stx;
    mode_t disk_mode;
    if (c->make == make_link)
        return c->make(c, name, 0);
    int r = view_create_mode(c->view, c->view_mode, &disk_mode);
    if (r == 0)
        r = inode_fd_statx(layers_upper_fd(&c->dir), &parent_stx);
    if (r == 0)
        r = view_become_caller(c->view, c->umask, &parent_stx);
    if (r == 0)
        r = c->make(c, name, disk_mode);
    view_become_server();
    return r;
}

/* Puts what was made under a passing name into the whiteout's place. */
static int replace_whiteout(struct creation *c, const char *temporary)
{
    int dir_fd = layers_upper_fd(&c->dir);
    bool is_dir = S_ISDIR(c->view_mode);
    int r = 0;
    if (is_dir) {
        auto_fd int fd = openat(dir_fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : marks_set_opaque(c->layers, fd);
    }
    FAULT_POINT("layers-replace-whiteout");
    if (r == 0 && renameat2(dir_fd, temporary, dir_fd, c->name, is_dir ? RENAME_EXCHANGE : 0) < 0)
        r = -errno;
    if (r < 0 || is_dir)
        unlinkat(dir_fd, temporary, r < 0 && is_dir ? AT_REMOVEDIR : 0);
    return r;
}

static int make_over_whiteout(struct creation *c)
{
    char temporary[NAME_MAX];
    int r;
    do {
        snprintf(temporary, sizeof(temporary), ".wh..wh.gidfs.%x", atomic_fetch_add(&c->layers->n_temporaries, 1));
        r = make_as_caller(c, temporary);
    } while (r == -EEXIST);
    return r < 0 ? r : replace_whiteout(c, temporary);
}

static int create_once(void *data)
{
    struct creation *c = data;
    int r = make_as_caller(c, c->name);
    return r == -EEXIST && marks_is_whiteout(layers_upper_fd(&c->dir), c->name) ? make_over_whiteout(c) : r;
}

/* Takes the directory into use for a change. */
static int begin(struct creation *c, fuse_ino_t parent)
{
    c->fd = -1;
    c->layers = layers_of(c->view);
    if (whiteout_is_mark(c->name) || (S_ISCHR(c->view_mode) && c->rdev == 0))
        return -EPERM; /* it would be read as a whiteout */
    int r = layers_dir_get(c->view, parent, &c->dir);
    if (r < 0)
        return r;
    r = layers_copy_up_dir(c->view, &c->dir);
    if (r < 0)
        layers_dir_put(c->view, &c->dir);
    return r;
}

/* The object that was made: nothing below shows through it. */
static int created_object(const struct creation *c, struct layer_object *ret_object)
{
    auto_fd int fd = c->fd >= 0 ? inode_fd_reopen(c->fd, O_PATH)
                                : openat(layers_upper_fd(&c->dir), c->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return c->fd >= 0 ? fd : -errno;
    struct layer_object object = {0};
    int r = layer_object_push(&object, 0, fd_steal(&fd));
    if (r < 0)
        layer_object_clear(&object);
    else
        *ret_object = object;
    return r;
}

static int make_entry(struct creation *c, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    g_auto(layer_object) object = {0};
    int r = created_object(c, &object);
    return r < 0 ? r : layers_make_entry(c->view, &c->dir, c->name, &object, ret_entry, ret_inode);
}

/* mkdir, mknod, symlink, link: make it, then tell of it. */
static void create_and_reply(fuse_req_t req, fuse_ino_t parent, struct creation *c)
{
    struct fuse_entry_param entry;
    struct inode *inode;
    c->view = view_of_request(req);
    int r = begin(c, parent);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = journal_run(create_once, c, -EEXIST);
    if (r == 0)
        r = make_entry(c, &entry, &inode);
    layers_dir_put(c->view, &c->dir);
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_entry(req, &entry)))
        inode_table_forget(c->view->inodes, entry.ino, 1);
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

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    struct creation c = {.name = new_name, .make = make_link};
    int r = inode ? layers_copy_up(view, inode, COPY_UP_DATA) : -ESTALE;
    if (r == 0)
        r = c.link_fd = inode_table_get_fd(view->inodes, inode);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    create_and_reply(req, new_parent, &c);
    inode_table_put_fd(view->inodes, inode);
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
    int r = c->make == make_tmpfile ? create_once(c) : journal_run(create_once, c, -EEXIST);
    /* Somebody else made it meanwhile: the kernel is to look again, and to ask for permission to open that. */
    if (r == -EEXIST && !(c->open_flags & O_EXCL))
        r = -ESTALE;
    if (r == 0)
        r = make_entry(c, &entry, ret_inode);
    c->fd = fd_close(c->fd);
    if (r < 0)
        return r;
    memset(ret_answer, 0, sizeof(*ret_answer));
    r = view_count_open(c->view, *ret_inode, c->open_flags, &ret_answer->open);
    if (r < 0)
        inode_table_forget(c->view->inodes, entry.ino, 1);
    else
        view_entry_out(&entry, &ret_answer->entry);
    return r;
}

static void undo_create_and_open(struct view *view, struct inode *inode, int open_flags)
{
    view_count_release(view, inode, open_flags);
    inode_table_forget(view->inodes, inode->nodeid, 1);
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
    int r = begin(&c, parent);
    if (r == 0) {
        r = create_and_open(&c, &answer, &inode);
        layers_dir_put(c.view, &c.dir);
    }
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_buf(req, (const char *)&answer, sizeof(answer))))
        undo_create_and_open(c.view, inode, c.open_flags);
}

void layers_raw_tmpfile(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes)
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
    int r = begin(&c, header->nodeid);
    if (r == 0) {
        r = create_and_open(&c, &answer, &inode);
        layers_dir_put(view, &c.dir);
    }
    int sent = transport_reply_raw(view->transport, header->unique, r, &answer, sizeof(answer));
    if (r == 0 && request_answer_is_lost(sent))
        undo_create_and_open(view, inode, c.open_flags);
}

void layers_ops_create(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->mkdir = op_mkdir;
    ops->mknod = op_mknod;
    ops->symlink = op_symlink;
    ops->link = op_link;
}
