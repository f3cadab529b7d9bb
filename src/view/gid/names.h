/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "view/common/view.h"

/* What the operations on names share, inside view/gid. */

/* A directory in use: its inode, and a descriptor that is held until dir_put(). */
struct dir {
    struct inode *inode;
    int fd;
};

int dir_get(struct view *view, fuse_ino_t ino, struct dir *ret_dir);
void dir_put(struct view *view, struct dir *dir);

/*
 * Makes an inode known to the kernel, counting a lookup, and the answer that says so. *fd is an O_PATH descriptor of
 * it, which may be taken over (-1 then).
 */
int names_make_entry(struct view *view, const struct dir *parent, int *fd, enum inode_keep keep_at_most,
                     struct fuse_entry_param *ret_entry, struct inode **ret_inode);

/*
 * The same of attributes and a key that were read of a name, without a descriptor. n_missed is what
 * view_changes_missed() said before that.
 */
int names_make_entry_of(struct view *view, const struct dir *parent, const struct inode_key *key, struct statx *stx,
                        uint64_t n_missed, struct fuse_entry_param *ret_entry);

/* Looks a name up and answers, or answers with the error. */
void names_reply_lookup(fuse_req_t req, struct view *view, const struct dir *parent, const char *name);

/* The groups of operations. */
void gid_ops_lookup(struct fuse_lowlevel_ops *ops);
void gid_ops_readdir(struct fuse_lowlevel_ops *ops);
void gid_ops_remove(struct fuse_lowlevel_ops *ops);
void gid_ops_rename(struct fuse_lowlevel_ops *ops);

/* create.c: for struct view_hooks. */
int gid_create(struct creation *c, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode);
