/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The kernel's side of a FUSE connection: the device, the mount, backing files.
 */

/* Opens /dev/fuse. Returns an fd. */
int fuse_dev_open(GError **error);

struct fuse_dev_mount {
    const char *source;     /* what the mount table shows, also in fstab */
    const char *mountpoint; /* an existing directory */
    uint32_t flags;         /* enum view_flag of core/view_options.h */
};

/* Mounts the connection behind fuse_fd with the type fuse.gidfs, allow_other and default_permissions. */
int fuse_dev_mount(int fuse_fd, const struct fuse_dev_mount *mount, GError **error);

/* Changes the flags of a mounted view: mount -o remount. */
int fuse_dev_remount(const char *mountpoint, uint32_t flags, GError **error);

/* Detaches the mount at a path, not following a link there. */
int fuse_dev_unmount(const char *mountpoint);

/*
 * Registers the inode behind backing_fd (O_PATH is enough) for passthrough; the positive id in *ret_id. -EPERM without
 * CAP_SYS_ADMIN, -ELOOP when the file system is stacked deeper than agreed at INIT, -EOPNOTSUPP before Linux 6.9.
 */
int fuse_dev_backing_open(int fuse_fd, int backing_fd, int32_t *ret_id);
int fuse_dev_backing_close(int fuse_fd, int32_t id);
