/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/source_tree.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define ATTR_NOSYMFOLLOW 0x00200000 /* MOUNT_ATTR_NOSYMFOLLOW, of linux/mount.h */

/*
 * The server goes by single names and never by a link, and leaves device nodes to the kernel: that it does neither by
 * mistake, nor when somebody has taken it over, is made sure of here. Best effort.
 */
static void harden(int tree_fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | ATTR_NOSYMFOLLOW};
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) == 0)
        return;
    attr.attr_set &= ~(uint64_t)ATTR_NOSYMFOLLOW; /* came with 5.14 */
    mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr));
}

int source_tree_open(const char *path, int *ret_tree_fd)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    auto_fd int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 && errno != EPERM && errno != ENOSYS && errno != EINVAL)
        return -errno;
    int fd = tree < 0 ? open(path, flags) : openat(tree, ".", flags);
    if (fd < 0)
        return -errno;
    if (tree >= 0)
        harden(tree);
    *ret_tree_fd = fd_steal(&tree);
    return fd;
}
