/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

union handle_buffer {
    struct file_handle kernel;
    char space[sizeof(struct file_handle) + HANDLE_MAX_BYTES];
};

int handle_of_name(int dir_fd, const char *name, struct handle *ret_handle)
{
    union handle_buffer buffer;
    int mount_id;
    buffer.kernel.handle_bytes = HANDLE_MAX_BYTES;
    if (name_to_handle_at(dir_fd, name, &buffer.kernel, &mount_id, AT_EMPTY_PATH) < 0)
        return -errno;
    ret_handle->type = buffer.kernel.handle_type;
    ret_handle->n_bytes = buffer.kernel.handle_bytes;
    memcpy(ret_handle->bytes, buffer.kernel.f_handle, buffer.kernel.handle_bytes);
    return 0;
}

int handle_of_fd(int fd, struct handle *ret_handle)
{
    return handle_of_name(fd, "", ret_handle);
}

int handle_open(int mount_fd, const struct handle *handle, int flags)
{
    union handle_buffer buffer;
    if (handle->n_bytes > HANDLE_MAX_BYTES)
        return -EINVAL;
    buffer.kernel.handle_bytes = handle->n_bytes;
    buffer.kernel.handle_type = handle->type;
    memcpy(buffer.kernel.f_handle, handle->bytes, handle->n_bytes);
    int fd = open_by_handle_at(mount_fd, &buffer.kernel, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
