/* SPDX-License-Identifier: Apache-2.0 */
#include "view/gid/gid_view.h"

#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/gid/names.h"

#include <dirent.h>
#include <fcntl.h>

static void add_ops(struct fuse_lowlevel_ops *ops)
{
    gid_ops_lookup(ops);
    gid_ops_readdir(ops);
    gid_ops_remove(ops);
    gid_ops_rename(ops);
}

static const struct view_hooks hooks = {.add_ops = add_ops, .create = gid_create};

int gid_view_root(struct view *view, int root_fd)
{
    struct statx stx;
    struct inode_key key;
    enum inode_keep keep;
    struct inode *root;
    view->hooks = &hooks;
    if (inode_table_get(view->inodes, FUSE_ROOT_ID))
        return 0;
    auto_fd int fd = inode_fd_reopen(root_fd, O_PATH | O_DIRECTORY);
    int r = fd < 0 ? fd : inode_fd_statx(fd, &stx);
    if (r == 0)
        r = source_key_of_fd(view->source, fd, &stx, &key, &keep);
    if (r == 0)
        r = inode_table_intern(view->inodes, &key, DT_DIR, &fd, INODE_KEEP_PINNED, &root);
    return r;
}
