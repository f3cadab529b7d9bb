/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/direct_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 16

struct direct_io {
    int fd;
    aio_context_t context;
    size_t block_bytes, n_blocks;
    char *buffers; /* BATCH blocks */
};

struct direct_io *direct_io_open(const char *path, size_t block_bytes, size_t n_blocks)
{
    struct direct_io *io = calloc(1, sizeof(*io));
    if (!io)
        return NULL;
    io->block_bytes = block_bytes;
    io->n_blocks = n_blocks;
    io->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    io->buffers = io->fd < 0 ? NULL : aligned_alloc(block_bytes, BATCH * block_bytes);
    if (!io->buffers || syscall(SYS_io_setup, BATCH, &io->context) < 0) {
        direct_io_close(io);
        return NULL;
    }
    memset(io->buffers, 0, BATCH * block_bytes);
    return io;
}

ssize_t direct_io_batch(struct direct_io *io, bool writes, unsigned int *seed)
{
    struct iocb blocks[BATCH], *pointers[BATCH];
    struct io_event events[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        blocks[i] = (struct iocb){
            .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
            .aio_fildes = (uint32_t)io->fd,
            .aio_buf = (uint64_t)(uintptr_t)(io->buffers + i * io->block_bytes),
            .aio_nbytes = io->block_bytes,
            .aio_offset = (int64_t)((size_t)rand_r(seed) % io->n_blocks * io->block_bytes),
        };
        pointers[i] = &blocks[i];
    }
    if (syscall(SYS_io_submit, io->context, BATCH, pointers) != BATCH)
        return -errno;
    if (syscall(SYS_io_getevents, io->context, BATCH, BATCH, events, NULL) != BATCH)
        return -errno;
    for (size_t i = 0; i < BATCH; i++) {
        if (events[i].res != (int64_t)io->block_bytes)
            return events[i].res < 0 ? (ssize_t)events[i].res : -EIO;
    }
    return (ssize_t)(BATCH * io->block_bytes);
}

void direct_io_close(struct direct_io *io)
{
    if (io->context)
        syscall(SYS_io_destroy, io->context);
    if (io->fd >= 0)
        close(io->fd);
    free(io->buffers);
    free(io);
}
