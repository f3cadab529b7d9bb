/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where new entries are made in the gid view, and how one that a first try made is told from what was there before.
 */
#include "view/common/create.h"
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/gid/names.h"

#include <fcntl.h>

static int make(void *data)
{
    struct creation *c = data;
    return creation_make(c, c->name);
}

/* Whether what is at the name now was made by a first try, rather than being there before it. */
static bool is_ours(void *data)
{
    struct creation *c = data;
    struct statx stx;
    auto_fd int fd = openat(c->dir_fd, c->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || inode_fd_statx(fd, &stx) < 0)
        return false;
    return journal_is_recent(fd, stx.stx_mask & STATX_BTIME ? &stx.stx_btime : &stx.stx_ctime);
}

static int make_entry(const struct creation *c, const struct dir *dir, struct fuse_entry_param *ret_entry,
                      struct inode **ret_inode)
{
    auto_fd int fd = creation_path_fd(c);
    return fd < 0 ? fd : names_make_entry(c->view, dir, &fd, INODE_KEEP_CACHED, ret_entry, ret_inode);
}

int gid_create(struct creation *c, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    struct dir dir;
    int r = dir_get(c->view, parent, &dir);
    if (r < 0)
        return r;
    c->dir_fd = dir.fd;
    r = c->is_echo ? 0 : creation_run(c, make, c, is_ours);
    if (r == 0)
        r = make_entry(c, &dir, ret_entry, ret_inode);
    dir_put(c->view, &dir);
    return r;
}
