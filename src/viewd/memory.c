/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/memory.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map(int fd, const struct memory_span *spans, uint64_t n_bytes, uint32_t n_inodes_max,
               struct memory *ret_memory, GError **error)
{
    char *base = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return gidfs_error_errno(error, errno, "map the memory of the view (%" G_GUINT64_FORMAT " bytes)", n_bytes);
    *ret_memory = (struct memory){
        .header = (void *)base,
        .transport = (void *)(base + spans[MEMORY_TRANSPORT].offset),
        .source = (void *)(base + spans[MEMORY_SOURCE].offset),
        .buffers = base + spans[MEMORY_BUFFERS].offset,
        .inodes = (void *)(base + spans[MEMORY_INODES].offset),
        .places = (void *)(base + spans[MEMORY_PLACES].offset),
        .n_inodes_max = n_inodes_max,
    };
    return 0;
}

/* What a header says of the memory that it stands in. */
static void describe(struct memory_header *header, int fd, uint32_t n_inodes_max)
{
    header->magic = MEMORY_MAGIC;
    header->layout = MEMORY_LAYOUT;
    header->n_bytes = memory_layout_own(n_inodes_max, header->parts);
    header->n_parts = MEMORY_N_PARTS;
    header->n_inodes_max = n_inodes_max;
    header->memory_fd = fd;
}

int memory_create(uint32_t n_inodes_max, struct memory *ret_memory, GError **error)
{
    struct memory_span spans[MEMORY_N_PARTS];
    uint64_t n_bytes = memory_layout_own(n_inodes_max, spans);
    auto_fd int fd = memfd_create("gidfs-view", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)n_bytes) < 0)
        return gidfs_error_errno(error, errno, "reserve the memory of the view");
    /* A worker could else cut it off, and the keeper die of looking at what is gone. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return gidfs_error_errno(error, errno, "seal the memory of the view");
    int r = map(fd, spans, n_bytes, n_inodes_max, ret_memory, error);
    if (r < 0)
        return r;
    *ret_memory->header = (struct memory_header){.dev_fd = -1, .tree_fd = -1, .root_fd = -1};
    describe(ret_memory->header, fd_steal(&fd), n_inodes_max);
    watch_state_begin(&ret_memory->header->watch);
    ret_memory->inodes->n_records_max = n_inodes_max;
    places_state_init(ret_memory->places, n_inodes_max);
    return 0;
}

/* What another program wrote: the descriptor, where it is mapped, and what it holds. */
struct source {
    int fd;
    const char *bytes;
    const struct memory_span *spans;
};

/* Copies what was ever written to: most of the memory never was. */
static void copy_data(const struct source *from, uint64_t offset, uint64_t n_bytes, char *to)
{
    off_t end = (off_t)(offset + n_bytes), hole;
    for (off_t at = lseek(from->fd, (off_t)offset, SEEK_DATA); at >= 0 && at < end;
         at = lseek(from->fd, hole, SEEK_DATA)) {
        hole = MIN(lseek(from->fd, at, SEEK_HOLE), end);
        memcpy(to + ((uint64_t)at - offset), from->bytes + at, (size_t)(hole - at));
    }
}

static void copy_part(enum memory_part part, const struct source *from, struct memory *memory)
{
    const struct memory_span *old = &from->spans[part], *own = &memory->header->parts[part];
    char *to = (char *)memory->header + own->offset;
    uint64_t n = MIN(old->n, own->n);
    if (old->n_bytes == own->n_bytes) {
        copy_data(from, old->offset, n * old->n_bytes, to);
        return;
    }
    if (part == MEMORY_RECORDS)
        n = MIN(n, atomic_load(&memory->inodes->n_records_used)); /* which came before */
    for (uint64_t i = 0; i < n; i++)
        memcpy(to + i * own->n_bytes, from->bytes + old->offset + i * old->n_bytes, MIN(old->n_bytes, own->n_bytes));
}

static void copy_parts(const struct source *from, struct memory *memory)
{
    int fd = memory->header->memory_fd;
    for (int part = MEMORY_TRANSPORT; part < MEMORY_N_PARTS; part++)
        copy_part(part, from, memory);
    memcpy(memory->header, from->bytes,
           MIN(from->spans[MEMORY_HEADER].n_bytes, offsetof(struct memory_header, n_parts)));
    describe(memory->header, fd, memory->n_inodes_max);
}

/* Moves what another program wrote behind fd, which is closed, into a memory of this program's layout. */
static int translate(int fd, const struct memory_span *spans, uint32_t n_inodes_max, struct memory *ret_memory,
                     GError **error)
{
    struct stat st;
    size_t n_bytes = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
    void *bytes = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (bytes == MAP_FAILED)
        return gidfs_error_errno(error, errno, "map the memory of the running view");
    const struct source from = {.fd = fd, .bytes = bytes, .spans = spans};
    int r = memory_create(n_inodes_max, ret_memory, error);
    if (r == 0)
        copy_parts(&from, ret_memory);
    munmap(bytes, n_bytes);
    if (r == 0)
        fd_close(fd);
    return r;
}

int memory_check(int fd, GError **error)
{
    struct memory_span spans[MEMORY_N_PARTS];
    uint32_t n_inodes_max;
    bool own;
    return memory_layout_read(fd, spans, &n_inodes_max, &own, error);
}

int memory_attach(int fd, struct memory *ret_memory, GError **error)
{
    struct memory_span spans[MEMORY_N_PARTS];
    uint32_t n_inodes_max;
    bool own;
    int r = memory_layout_read(fd, spans, &n_inodes_max, &own, error);
    if (r < 0)
        return r;
    if (!own)
        return translate(fd, spans, n_inodes_max, ret_memory, error);
    return map(fd, spans, memory_layout_own(n_inodes_max, spans), n_inodes_max, ret_memory, error);
}
