/* SPDX-License-Identifier: Apache-2.0 */
#include "view/gid/gid_view.h"

#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/gid/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

void gid_view_ops(const struct view_options *options, struct fuse_lowlevel_ops *ops)
{
    view_ops_attributes(ops);
    view_ops_open(ops);
    view_ops_io(ops);
    view_ops_xattr(ops);
    view_ops_forget(ops);
    if (options->cache != VIEW_CACHE_NONE)
        view_ops_open_cached_directories(ops);
    gid_ops_lookup(ops);
    gid_ops_readdir(ops);
    gid_ops_create(ops);
    gid_ops_remove(ops);
    gid_ops_rename(ops);
}

bool gid_view_raw(void *data, const struct fuse_in_header *header, const void *body, size_t n_bytes)
{
    struct view *view = data;
    if (header->opcode == ABI_OP_TMPFILE) {
        gid_raw_tmpfile(view, header, body, n_bytes);
        return true;
    }
    return view_raw_operation(view, header, body, n_bytes);
}

int gid_view_root(struct view *view, int root_fd)
{
    struct statx stx;
    struct inode_key key;
    enum inode_keep keep;
    struct inode *root;
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
