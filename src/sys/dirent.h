/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One record of getdents64(2). */
struct dirent_record {
    uint64_t ino;
    int64_t next_offset;
    uint16_t record_size_bytes;
    uint8_t type;
    char name[];
};

/* Reads records into buffer (8-byte aligned). The number of bytes, 0 at the end, or a negative errno. */
ssize_t dirent_read(int dir_fd, void *buffer, size_t size_bytes);
