/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define FS_UUID_BYTES 16

/*
 * The UUID of the file system of fd (O_PATH too), as the kernel keeps it. -EOPNOTSUPP where it has none, or the kernel
 * (before 6.9) does not tell.
 */
int fs_uuid_of_fd(int fd, uint8_t ret_uuid[FS_UUID_BYTES]);
