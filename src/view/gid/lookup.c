/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/gid/echo.h"
#include "view/gid/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

int dir_get(struct view *view, fuse_ino_t ino, struct dir *ret_dir)
{
    struct inode *inode = inode_table_get(view->inodes, ino);
    int fd = inode ? inode_table_get_fd(view->inodes, inode) : -ESTALE;
    if (fd < 0)
        return fd;
    *ret_dir = (struct dir){.inode = inode, .fd = fd};
    return 0;
}

void dir_put(struct view *view, struct dir *dir)
{
    inode_table_put_fd(view->inodes, dir->inode);
}

/* An inode that was just interned, into an answer. Takes the lookup back if it fails. */
static int make_entry(struct view *view, const struct dir *parent, struct inode *inode, struct statx *stx,
                      uint64_t n_missed, struct fuse_entry_param *ret_entry)
{
    int r = view_cover_inode(view, parent->inode, inode, n_missed, stx);
    if (r < 0) {
        view_forget_one(view, inode->nodeid, 1);
        return r;
    }
    *ret_entry = (struct fuse_entry_param){.ino = inode->nodeid, .generation = source_generation(&inode->key)};
    view_attributes(view, inode, stx, &ret_entry->attr);
    ret_entry->attr_timeout = view_attr_timeout(view, inode, &ret_entry->attr);
    ret_entry->entry_timeout = parent->inode ? view_entry_timeout(view, parent->inode) : 0;
    return 0;
}

int names_make_entry(struct view *view, const struct dir *parent, int *fd, enum inode_keep keep_at_most,
                     struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    struct statx stx;
    struct inode_key key;
    enum inode_keep keep;
    uint64_t n_missed = view_changes_missed(view);
    int r = inode_fd_statx(*fd, &stx);
    if (r == 0)
        r = source_key_of_fd(view->source, *fd, &stx, &key, &keep);
    if (r == 0)
        r = view_intern(view, &key, IFTODT(stx.stx_mode), fd, keep == INODE_KEEP_PINNED ? keep : keep_at_most,
                        ret_inode);
    return r < 0 ? r : make_entry(view, parent, *ret_inode, &stx, n_missed, ret_entry);
}

int names_make_entry_of(struct view *view, const struct dir *parent, const struct inode_key *key, struct statx *stx,
                        uint64_t n_missed, struct fuse_entry_param *ret_entry)
{
    struct inode *inode;
    int none = -1;
    int r = view_intern(view, key, IFTODT(stx->stx_mode), &none, INODE_KEEP_NO_FD, &inode);
    return r < 0 ? r : make_entry(view, parent, inode, stx, n_missed, ret_entry);
}

/*
 * By "." and ".." the kernel looks up without the lock of the directory that the inode is in, so attributes that came
 * with such an answer could not be dropped while it is under way (watch/watch.c): they are not kept.
 */
static void keep_no_attributes(struct fuse_entry_param *entry)
{
    entry->attr_timeout = 0;
}

static int lookup(struct view *view, const struct dir *parent, const char *name, struct fuse_entry_param *ret_entry)
{
    struct inode *inode;
    bool above_root = parent->inode->nodeid == FUSE_ROOT_ID && strcmp(name, "..") == 0;
    auto_fd int fd = openat(parent->fd, above_root ? "." : name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = names_make_entry(view, parent, &fd, INODE_KEEP_CACHED, ret_entry, &inode);
    if (r == 0 && strcmp(name, "..") == 0)
        keep_no_attributes(ret_entry);
    return r;
}

void names_reply_lookup(fuse_req_t req, struct view *view, const struct dir *parent, const char *name)
{
    struct fuse_entry_param entry;
    int r = lookup(view, parent, name, &entry);
    view_reply_lookup(req, parent->inode, r, &entry);
}

/*
 * Looks an inode up by its nodeid alone (name "."): a client opens a file handle that it took in this view, or in an
 * earlier mount of it.
 */
static void lookup_by_nodeid(fuse_req_t req, struct view *view, fuse_ino_t ino)
{
    struct fuse_entry_param entry = {0};
    struct inode *inode = inode_table_get(view->inodes, ino), *found;
    struct dir nobody = {.inode = NULL, .fd = -1};
    auto_fd int fd = inode ? source_open_key(view->source, &inode->key) : source_open_lasting(view->source, ino);
    int r = fd < 0 ? -ESTALE : names_make_entry(view, &nobody, &fd, INODE_KEEP_CACHED, &entry, &found);
    keep_no_attributes(&entry);
    view_reply_entry(req, r, &entry);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct view *view = view_of_request(req);
    struct dir dir;
    if (strcmp(name, ".") == 0) {
        lookup_by_nodeid(req, view, parent);
        return;
    }
    int r = dir_get(view, parent, &dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    view_cover_directory(view, dir.inode, dir.fd);
    if (!view_is_echo(req) || !echo_lookup(req, view, &dir, name))
        names_reply_lookup(req, view, &dir, name);
    dir_put(view, &dir);
}

void gid_ops_lookup(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
}
