/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How new entries get into the layers, hard links too.
 *
 * They are made in the upper directory under their own name, as the caller, so that owner, group, umask and default
 * ACL are right from the first moment. Where an overlayfs whiteout has the name, they are made beside it under a name
 * that is never shown (AUFS keeps those that begin with .wh..wh. for itself) and then take its place by a rename.
 */
#include "view/common/create.h"
#include "base/fault.h"
#include "base/fd.h"
#include "core/whiteout.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct making {
    struct creation *creation;
    struct layers *layers;
    struct layers_dir dir;
    int link_fd; /* of a hard link: the inode; -1: something new */
};

static int make_as(struct making *m, const char *name)
{
    return m->link_fd >= 0 ? inode_fd_link(m->link_fd, m->creation->dir_fd, name) : creation_make(m->creation, name);
}

/* Puts what was made under a passing name into the whiteout's place. */
static int replace_whiteout(struct making *m, const char *temporary)
{
    int dir_fd = m->creation->dir_fd;
    bool is_dir = S_ISDIR(m->creation->view_mode);
    int r = 0;
    if (is_dir) {
        auto_fd int fd = openat(dir_fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : marks_set_opaque(m->layers, fd);
    }
    FAULT_POINT("layers-replace-whiteout");
    if (r == 0 && renameat2(dir_fd, temporary, dir_fd, m->creation->name, is_dir ? RENAME_EXCHANGE : 0) < 0)
        r = -errno;
    if (r < 0 || is_dir)
        unlinkat(dir_fd, temporary, r < 0 && is_dir ? AT_REMOVEDIR : 0);
    return r;
}

/*
 * The kernel has one thing at a time made in a directory, so that whatever has the passing name was left by a worker
 * that died.
 */
static int make_over_whiteout(struct making *m)
{
    static const char temporary[] = ".wh..wh.gidfs";
    int dir_fd = m->creation->dir_fd, r = make_as(m, temporary);
    if (r == -EEXIST && (unlinkat(dir_fd, temporary, 0) == 0 || unlinkat(dir_fd, temporary, AT_REMOVEDIR) == 0))
        r = make_as(m, temporary);
    return r < 0 ? r : replace_whiteout(m, temporary);
}

static int make(void *data)
{
    struct making *m = data;
    int r = make_as(m, m->creation->name);
    bool hidden = r == -EEXIST && marks_is_whiteout(m->creation->dir_fd, m->creation->name);
    return hidden ? make_over_whiteout(m) : r;
}

/* Takes the directory into use for a change. */
static int begin(struct making *m, uint64_t parent)
{
    struct creation *c = m->creation;
    if (whiteout_is_mark(c->name) || (S_ISCHR(c->view_mode) && c->rdev == 0))
        return -EPERM; /* it would be read as a whiteout */
    int r = layers_dir_get(c->view, parent, &m->dir);
    if (r < 0)
        return r;
    r = layers_copy_up_dir(c->view, &m->dir);
    if (r < 0)
        layers_dir_put(c->view, &m->dir);
    else
        c->dir_fd = layers_upper_fd(&m->dir);
    return r;
}

/* Nothing below shows through what was made. */
static int make_entry(struct making *m, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    g_auto(layer_object) object = {.no_origin = m->link_fd < 0};
    int fd = creation_path_fd(m->creation);
    int r = fd < 0 ? fd : layer_object_push(&object, 0, fd);
    if (r == 0)
        r = layers_make_entry(m->creation->view, &m->dir, m->creation->name, &object, NULL, ret_entry, ret_inode);
    return r;
}

static int create(struct making *m, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    m->layers = layers_of(m->creation->view);
    int r = begin(m, parent);
    if (r < 0)
        return r;
    r = creation_run(m->creation, make, m, NULL);
    if (r == 0)
        r = make_entry(m, ret_entry, ret_inode);
    layers_dir_put(m->creation->view, &m->dir);
    return r;
}

int layers_create(struct creation *c, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    struct making m = {.creation = c, .link_fd = -1};
    return create(&m, parent, ret_entry, ret_inode);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino), *linked;
    struct creation c = {.view = view, .name = new_name, .fd = -1};
    struct making m = {.creation = &c};
    struct fuse_entry_param entry;
    int r = inode ? layers_copy_up(view, inode, COPY_UP_DATA) : -ESTALE;
    if (r == 0)
        r = m.link_fd = inode_table_get_fd(view->inodes, inode);
    if (r >= 0) {
        r = create(&m, new_parent, &entry, &linked);
        inode_table_put_fd(view->inodes, inode);
    }
    view_reply_entry(req, r, &entry);
}

void layers_ops_link(struct fuse_lowlevel_ops *ops)
{
    ops->link = op_link;
}
