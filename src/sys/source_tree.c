/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/source_tree.h"

#include "base/fd.h"
#include "sys/mount_resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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
 * mistake, nor when somebody has taken it over, is made sure of here. (nosuid stays as it is: it says whether setuid
 * bits of a layer are real.) Best effort.
 */
static void harden(int tree_fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NODEV | ATTR_NOSYMFOLLOW};
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) == 0)
        return;
    attr.attr_set &= ~(uint64_t)ATTR_NOSYMFOLLOW; /* came with 5.14 */
    mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr));
}

/*
 * Nothing that is read through it leaves a trace, not even a time of access; and nothing is written by mistake. In two
 * steps: in a user namespace, how the mount keeps times may not be changed. Best effort.
 */
static void make_read_only(int tree_fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr));
    attr = (struct mount_attr){.attr_set = MOUNT_ATTR_NOATIME, .attr_clr = MOUNT_ATTR__ATIME};
    mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr));
}

static int clone_tree(int dir_fd, bool read_only, int *ret_tree_fd)
{
    auto_fd int tree =
        (int)syscall(SYS_open_tree, dir_fd, "", OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (tree < 0 && errno != EPERM && errno != ENOSYS && errno != EINVAL)
        return -errno;
    int fd = openat(tree < 0 ? dir_fd : tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (tree >= 0)
        harden(tree);
    if (tree >= 0 && read_only)
        make_read_only(tree);
    *ret_tree_fd = fd_steal(&tree);
    return fd;
}

int source_tree_open_read_only(const char *path, int *ret_tree_fd)
{
    auto_fd int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 ? -errno : clone_tree(dir_fd, true, ret_tree_fd);
}

int source_tree_open_nofollow(const char *path, int *ret_tree_fd)
{
    auto_fd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int dir_fd = -1;
    if (root_fd < 0)
        return -errno;
    int r = mount_resolve_nofollow(root_fd, path, &dir_fd, NULL);
    return r < 0 ? r : clone_tree(dir_fd, false, ret_tree_fd);
}
