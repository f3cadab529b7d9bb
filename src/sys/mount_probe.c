/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_probe.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

bool mount_probe_is_mounted(const char *path)
{
    return mount_probe_is_mounted_at(AT_FDCWD, path);
}

bool mount_probe_is_mounted_at(int dir_fd, const char *name)
{
    struct statx st;
    return statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

bool mount_probe_is_fuse(const char *path)
{
    struct statfs st;
    return statfs(path, &st) == 0 && st.f_type == FUSE_SUPER_MAGIC;
}
