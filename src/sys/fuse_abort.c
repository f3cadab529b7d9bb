/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/fuse_abort.h"

#include <errno.h>
#include <sys/mount.h>

/* A forced unmount aborts before it looks whether the mount is in use. */
int fuse_abort(const char *path)
{
    if (umount2(path, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno != EBUSY)
        return -errno;
    return 0;
}
