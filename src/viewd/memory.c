/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/memory.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE        4096UL
#define ROUND_UP(n) (((n) + PAGE - 1) & ~(PAGE - 1))

/* Where each part begins. */
struct layout {
    size_t transport, source, buffers, inodes, places, end;
};

static struct layout make_layout(uint32_t n_inodes_max)
{
    struct layout l;
    l.transport = ROUND_UP(sizeof(struct memory_header));
    l.source = ROUND_UP(l.transport + sizeof(struct transport_state));
    l.buffers = ROUND_UP(l.source + sizeof(struct source_state));
    l.inodes = l.buffers + (size_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES;
    l.places = ROUND_UP(l.inodes + sizeof(struct inode_state) + (size_t)n_inodes_max * sizeof(struct inode));
    l.end = ROUND_UP(l.places + places_state_size(n_inodes_max));
    return l;
}

static uint32_t size_of_structs(void)
{
    return (uint32_t)(sizeof(struct memory_header) + sizeof(struct transport_state) + sizeof(struct source_state) +
                      sizeof(struct inode));
}

static int map(int fd, const struct layout *l, uint32_t n_inodes_max, struct memory *ret_memory, GError **error)
{
    char *base = mmap(NULL, l->end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return gidfs_error_errno(error, errno, "map the memory of the view (%zu bytes)", l->end);
    *ret_memory = (struct memory){
        .header = (void *)base,
        .transport = (void *)(base + l->transport),
        .source = (void *)(base + l->source),
        .buffers = base + l->buffers,
        .inodes = (void *)(base + l->inodes),
        .places = (void *)(base + l->places),
        .n_inodes_max = n_inodes_max,
    };
    return 0;
}

int memory_create(uint32_t n_inodes_max, struct memory *ret_memory, GError **error)
{
    struct layout l = make_layout(n_inodes_max);
    auto_fd int fd = memfd_create("gidfs-view", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)l.end) < 0)
        return gidfs_error_errno(error, errno, "reserve the memory of the view");
    /* A worker could else cut it off, and the keeper die of looking at what is gone. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return gidfs_error_errno(error, errno, "seal the memory of the view");
    int r = map(fd, &l, n_inodes_max, ret_memory, error);
    if (r < 0)
        return r;
    *ret_memory->header = (struct memory_header){
        .magic = MEMORY_MAGIC,
        .layout = MEMORY_LAYOUT,
        .size_of_header = size_of_structs(),
        .n_bytes = l.end,
        .n_inodes_max = n_inodes_max,
        .memory_fd = fd,
        .dev_fd = -1,
        .tree_fd = -1,
        .root_fd = -1,
    };
    watch_state_begin(&ret_memory->header->watch);
    ret_memory->inodes->n_records_max = n_inodes_max;
    places_state_init(ret_memory->places, n_inodes_max);
    fd_steal(&fd);
    return 0;
}

int memory_attach(int fd, struct memory *ret_memory, GError **error)
{
    struct memory_header header;
    struct stat st;
    ssize_t n = pread(fd, &header, sizeof(header), 0);
    if (n != (ssize_t)sizeof(header) || header.magic != MEMORY_MAGIC || fstat(fd, &st) < 0)
        return gidfs_error(error, EPROTO, "descriptor %d holds no view's memory", fd);
    struct layout l = make_layout(header.n_inodes_max);
    if (header.layout != MEMORY_LAYOUT || header.size_of_header != size_of_structs() || (uint64_t)st.st_size != l.end)
        return gidfs_error(
            error, EPROTO,
            "the running view has memory layout %u, this program has layout %u: unmount and mount it again",
            header.layout, MEMORY_LAYOUT);
    return map(fd, &l, header.n_inodes_max, ret_memory, error);
}
