/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/passthrough_check.h"

#include "base/fd.h"
#include "sys/fuse_dev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* Any regular file in the directory, as O_PATH; one in memory if it has none. */
static int open_sample(int root_fd)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return memfd_create("gidfs-check", MFD_CLOEXEC);
    }
    int sample = -1;
    for (struct dirent *entry; sample < 0 && (entry = readdir(dir));) {
        if (entry->d_type == DT_REG)
            sample = openat(fd, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    closedir(dir);
    return sample >= 0 ? sample : memfd_create("gidfs-check", MFD_CLOEXEC);
}

int passthrough_check(int dev_fd, int root_fd)
{
    int32_t id;
    auto_fd int sample = open_sample(root_fd);
    if (sample < 0)
        return -errno;
    int r = fuse_dev_backing_open(dev_fd, sample, &id);
    return r < 0 ? r : fuse_dev_backing_close(dev_fd, id);
}
