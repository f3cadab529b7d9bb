/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/source_tree.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

int source_tree_open(const char *path, int *ret_tree_fd)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    auto_fd int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 && errno != EPERM && errno != ENOSYS && errno != EINVAL)
        return -errno;
    int fd = tree < 0 ? open(path, flags) : openat(tree, ".", flags);
    if (fd < 0)
        return -errno;
    *ret_tree_fd = fd_steal(&tree);
    return fd;
}
