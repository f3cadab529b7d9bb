/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/dirent.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t dirent_read(int dir_fd, void *buffer, size_t size_bytes)
{
    ssize_t n = syscall(SYS_getdents64, dir_fd, buffer, size_bytes);
    return n < 0 ? -errno : n;
}
