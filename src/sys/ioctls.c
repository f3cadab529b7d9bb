/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/ioctls.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

static const struct {
    unsigned command;
    bool changes;
} passed_on[] = {
    {FS_IOC_GETFLAGS, false},   {FS_IOC_SETFLAGS, true},      {FS_IOC32_GETFLAGS, false},
    {FS_IOC32_SETFLAGS, true},  {FS_IOC_FSGETXATTR, false},   {FS_IOC_FSSETXATTR, true},
    {FS_IOC_GETVERSION, false}, {FS_IOC32_GETVERSION, false}, {FS_IOC_GETFSLABEL, false},
};

int ioctl_of_inode(unsigned command, size_t *ret_n_bytes, bool *ret_changes)
{
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        if (passed_on[i].command == command) {
            *ret_n_bytes = _IOC_SIZE(command);
            *ret_changes = passed_on[i].changes;
            return 0;
        }
    }
    return -ENOTTY;
}

unsigned ioctl_at(size_t index)
{
    return index < sizeof(passed_on) / sizeof(passed_on[0]) ? passed_on[index].command : 0;
}

int ioctl_run(int fd, unsigned command, void *value)
{
    int r = ioctl(fd, (unsigned long)command, value);
    return r < 0 ? -errno : r;
}
