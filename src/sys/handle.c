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

/* The kernel's types of handles, which are of words of 32 bits. XFS's has 64 bits of inode number in front. */
#define FILEID_INO32_GEN  1
#define FILEID_XFS_64BITS 0x81

uint64_t handle_ino(const struct handle *handle)
{
    uint32_t words[3] = {0};
    if (handle->n_bytes > sizeof(words))
        return 0;
    memcpy(words, handle->bytes, handle->n_bytes);
    if (handle->type == FILEID_INO32_GEN && handle->n_bytes == 2 * sizeof(uint32_t))
        return words[0];
    if (handle->type == FILEID_INO32_GEN && handle->n_bytes == sizeof(words)) /* tmpfs: the generation comes first */
        return words[1] | (uint64_t)words[2] << 32;
    if (handle->type == FILEID_XFS_64BITS && handle->n_bytes == sizeof(words))
        return words[0] | (uint64_t)words[1] << 32;
    return 0;
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
