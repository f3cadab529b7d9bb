/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/proc_self.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char *self = "/proc/self";

const char *proc_self(void)
{
    return self;
}

int proc_self_pin(int *ret_fd, GError **error)
{
    int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "open /proc/self");
    *ret_fd = fd;
    return 0;
}

int proc_self_enter(int fd, GError **error)
{
    if (fchdir(fd) < 0)
        return gidfs_error_errno(error, errno, "go back to /proc/self");
    self = ".";
    return 0;
}
