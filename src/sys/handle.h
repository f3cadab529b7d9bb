/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * File handles: the name of an inode that outlives descriptors and paths (name_to_handle_at(2)). A plain value.
 */
#define HANDLE_MAX_BYTES 128 /* the kernel's MAX_HANDLE_SZ */

struct handle {
    int32_t type;
    uint32_t n_bytes;
    uint8_t bytes[HANDLE_MAX_BYTES];
};

/* The handle of the inode behind fd (O_PATH too). -EOPNOTSUPP where the file system has none. */
int handle_of_fd(int fd, struct handle *ret_handle);

/* The handle of name in dir_fd, not following a link. */
int handle_of_name(int dir_fd, const char *name, struct handle *ret_handle);

/* The inode number that a handle holds, as ext4 and its kin, XFS and tmpfs make them; 0 where that is not known. */
uint64_t handle_ino(const struct handle *handle);

/*
 * Opens the inode of a handle; mount_fd is any descriptor on its file system that is not O_PATH. Needs
 * CAP_DAC_READ_SEARCH in the initial user namespace. -ESTALE when the inode is gone. Returns an fd.
 */
int handle_open(int mount_fd, const struct handle *handle, int flags);
