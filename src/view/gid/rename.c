/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on two names: rename (with exchange and no-replace), and hard links.
 */
#include "sys/inode_fd.h"
#include "sys/mount_probe.h"
#include "view/common/journal.h"
#include "view/gid/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct renaming {
    struct view *view;
    struct dir old_dir, new_dir;
    const char *old_name, *new_name;
    unsigned flags; /* of renameat2(2) */
};

/* A mount point stays where it is, and nothing takes its place: the kernel sees to that in our own namespace only. */
static bool moves_mount(const struct renaming *n)
{
    return mount_probe_is_mounted_at(n->old_dir.fd, n->old_name) ||
           (!(n->flags & RENAME_NOREPLACE) && mount_probe_is_mounted_at(n->new_dir.fd, n->new_name));
}

static int rename_once(void *data)
{
    struct renaming *n = data;
    if (moves_mount(n))
        return -EBUSY;
    return renameat2(n->old_dir.fd, n->old_name, n->new_dir.fd, n->new_name, n->flags) < 0 ? -errno : 0;
}

static bool same(const struct inode_key *a, const struct inode_key *b)
{
    return a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

/*
 * Whether who was at the old name is at the new one now, and, in an exchange, the other way round. Two names of one
 * inode are left as they are: that is done again without harm.
 */
static bool has_happened(void *data, const struct inode_key *subject, const struct inode_key *object)
{
    struct renaming *n = data;
    struct inode_key at_old, at_new;
    source_identify(n->view->source, n->old_dir.fd, n->old_name, &at_old);
    source_identify(n->view->source, n->new_dir.fd, n->new_name, &at_new);
    if (!same(&at_new, subject) || same(subject, object))
        return false;
    return n->flags & RENAME_EXCHANGE ? same(&at_old, object) : !same(&at_old, subject);
}

static int rename_between(struct renaming *n)
{
    struct inode_key subject, object = {0};
    source_identify(n->view->source, n->old_dir.fd, n->old_name, &subject);
    if (n->flags & RENAME_EXCHANGE)
        source_identify(n->view->source, n->new_dir.fd, n->new_name, &object);
    return journal_run_rename(rename_once, n, &subject, &object, has_happened);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned int flags)
{
    struct view *view = view_of_request(req);
    struct renaming n = {.view = view, .old_name = name, .new_name = new_name, .flags = flags};
    if (flags & RENAME_WHITEOUT && view->options->has_gid) {
        view_reply_error(req, -EINVAL); /* it would make a device node */
        return;
    }
    int r = dir_get(view, parent, &n.old_dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = dir_get(view, new_parent, &n.new_dir);
    if (r == 0) {
        view_cover_directory(view, n.new_dir.inode, n.new_dir.fd); /* what moves there stays covered */
        r = rename_between(&n);
        dir_put(view, &n.new_dir);
    }
    dir_put(view, &n.old_dir);
    view_reply_error(req, r);
}

struct linking {
    const struct view *view;
    struct inode *inode;
    int fd;
    struct dir dir;
    const char *name;
};

static int link_once(void *data)
{
    struct linking *l = data;
    return inode_fd_link(l->fd, l->dir.fd, l->name);
}

/* Whether the name that is there leads to the inode, which fd keeps from being another, and that since the first try.
 */
static bool link_is_ours(void *data)
{
    struct linking *l = data;
    struct statx stx, at_name;
    return inode_fd_statx(l->fd, &stx) == 0 && inode_fd_statx_at(l->dir.fd, l->name, &at_name) == 0 &&
           at_name.stx_ino == stx.stx_ino && at_name.stx_dev_major == stx.stx_dev_major &&
           at_name.stx_dev_minor == stx.stx_dev_minor && journal_is_recent(l->fd, &stx.stx_ctime);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    struct linking l = {.view = view, .inode = inode, .name = new_name};
    int r = inode ? dir_get(view, new_parent, &l.dir) : -ESTALE;
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    l.fd = inode_table_get_fd(view->inodes, inode);
    r = l.fd < 0 ? l.fd : journal_run_checked(link_once, &l, -EEXIST, link_is_ours);
    if (l.fd >= 0)
        inode_table_put_fd(view->inodes, inode);
    if (r < 0)
        view_reply_error(req, r);
    else
        names_reply_lookup(req, view, &l.dir, new_name);
    dir_put(view, &l.dir);
}

void gid_ops_rename(struct fuse_lowlevel_ops *ops)
{
    ops->rename = op_rename;
    ops->link = op_link;
}
