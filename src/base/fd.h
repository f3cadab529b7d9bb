/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <unistd.h>

/*
 * File descriptors with owners. "auto_fd int fd = -1;" closes itself when it goes out of scope, and leaves errno
 * alone; fd_steal() moves the ownership on.
 */

/* Closes fd unless it is negative. Leaves errno as it was. Always returns -1, to be assigned. */
static inline int fd_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -1;
}

/* Takes the descriptor out of *fd, which no longer owns it. */
static inline int fd_steal(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

static inline void fd_close_p(int *fd)
{
    fd_close(*fd);
}

/* "unused": a descriptor may be held for nothing but to be open. */
#define auto_fd __attribute__((cleanup(fd_close_p), unused))
