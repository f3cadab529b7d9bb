/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/fuse_dev.h"

#include "core/view_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

/* linux/fuse.h since protocol 7.40; Debian 12 has 7.38. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define DEV_IOC_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

#define VIEW_TYPE             "fuse.gidfs"

int fuse_dev_open(GError **error)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return gidfs_error(error, errno, "/dev/fuse: the kernel offers no FUSE; load it with \"modprobe fuse\"");
    if (errno == EACCES || errno == EPERM)
        return gidfs_error(error, errno, "open /dev/fuse: %s; mount as root, and in a container let the device in",
                           g_strerror(errno));
    return gidfs_error_errno(error, errno, "open /dev/fuse");
}

static unsigned long kernel_flags(uint32_t view_flags)
{
    static const struct {
        uint32_t view;
        unsigned long kernel;
    } map[] = {
        {VIEW_READ_ONLY, MS_RDONLY},      {VIEW_NOSUID, MS_NOSUID},           {VIEW_NODEV, MS_NODEV},
        {VIEW_NOEXEC, MS_NOEXEC},         {VIEW_NOATIME, MS_NOATIME},         {VIEW_STRICTATIME, MS_STRICTATIME},
        {VIEW_NODIRATIME, MS_NODIRATIME}, {VIEW_LAZYTIME, MS_LAZYTIME},       {VIEW_SYNC, MS_SYNCHRONOUS},
        {VIEW_DIRSYNC, MS_DIRSYNC},       {VIEW_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    };
    unsigned long flags = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(map); i++) {
        if (view_flags & map[i].view)
            flags |= map[i].kernel;
    }
    return flags;
}

int fuse_dev_mount(int fuse_fd, const struct fuse_dev_mount *m, GError **error)
{
    char options[128];
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other",
             fuse_fd, getuid(), getgid());
    if (mount(m->source, m->mountpoint, VIEW_TYPE, kernel_flags(m->flags), options) == 0)
        return 0;
    if (errno == EPERM)
        return gidfs_error(error, EPERM, "mount a view at %s: %s; mount as root, or in a user namespace of your own",
                           m->mountpoint, g_strerror(EPERM));
    return gidfs_error_errno(error, errno, "mount a view at %s", m->mountpoint);
}

int fuse_dev_remount(const char *mountpoint, uint32_t flags, GError **error)
{
    if (mount(NULL, mountpoint, NULL, MS_REMOUNT | kernel_flags(flags), NULL) < 0)
        return gidfs_error_errno(error, errno, "remount %s", mountpoint);
    return 0;
}

int fuse_dev_unmount(const char *mountpoint)
{
    return umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int fuse_dev_backing_open(int fuse_fd, int backing_fd, int32_t *ret_id)
{
    struct backing_map map = {.fd = backing_fd};
    int id = ioctl(fuse_fd, DEV_IOC_BACKING_OPEN, &map);
    if (id <= 0)
        return id < 0 && errno != ENOTTY && errno != EINVAL ? -errno : -EOPNOTSUPP;
    *ret_id = id;
    return 0;
}

int fuse_dev_backing_close(int fuse_fd, int32_t id)
{
    uint32_t value = (uint32_t)id;
    return ioctl(fuse_fd, DEV_IOC_BACKING_CLOSE, &value) < 0 ? -errno : 0;
}
