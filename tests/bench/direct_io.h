/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Random O_DIRECT reads and writes of one file, some at a time, through the kernel's asynchronous I/O. One thread. */
struct direct_io;

/* Opens path, of n_blocks blocks. NULL with errno on failure. */
struct direct_io *direct_io_open(const char *path, size_t block_bytes, size_t n_blocks);

/* Does a batch of blocks, drawn with *seed, and waits for it. Bytes done, or a negative errno. */
ssize_t direct_io_batch(struct direct_io *io, bool writes, unsigned int *seed);
void direct_io_close(struct direct_io *io);
