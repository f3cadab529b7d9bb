/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/memory_layout.h"

#include "viewd/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE        4096UL
#define ROUND_UP(n) (((n) + PAGE - 1) & ~(PAGE - 1))

/* What layout 1 ended with stays where it was: who fails here has put a field before others. */
#define STAYS(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type " grows at its end only")
STAYS(struct memory_header, watch.echo.name, 288);
STAYS(struct memory_header, n_parts, 544);
STAYS(struct transport_state, n_notifications, 632);
STAYS(struct request_slot, object, 233);
STAYS(struct source_state, mounts, 24);
STAYS(struct inode_state, n_private_bytes, 16);
STAYS(struct inode, key, 39);

static struct memory_span span(uint64_t offset, size_t n_bytes, size_t n)
{
    return (struct memory_span){.offset = offset, .n_bytes = n_bytes, .n = n};
}

static uint64_t end_of(const struct memory_span *span)
{
    return span->offset + span->n_bytes * span->n;
}

uint64_t memory_layout_own(uint32_t n_inodes_max, struct memory_span ret_spans[MEMORY_N_PARTS])
{
    struct memory_span *p = ret_spans;
    uint64_t transport = ROUND_UP(sizeof(struct memory_header));
    uint64_t source = ROUND_UP(transport + sizeof(struct transport_state));
    uint64_t buffers = ROUND_UP(source + sizeof(struct source_state));
    uint64_t inodes = buffers + (uint64_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES;
    p[MEMORY_HEADER] = span(0, sizeof(struct memory_header), 1);
    p[MEMORY_TRANSPORT] = span(transport, offsetof(struct transport_state, slots), 1);
    p[MEMORY_SLOTS] =
        span(transport + offsetof(struct transport_state, slots), sizeof(struct request_slot), REQUEST_MAX_THREADS);
    p[MEMORY_ORPHANS] =
        span(transport + offsetof(struct transport_state, orphans), sizeof(struct request_slot), REQUEST_MAX_ORPHANS);
    p[MEMORY_ORPHAN_LOOKUPS] = span(transport + offsetof(struct transport_state, orphan_lookups),
                                    REQUEST_MAX_LOOKUPS * sizeof(uint64_t), REQUEST_MAX_ORPHANS);
    p[MEMORY_SOURCE] = span(source, sizeof(struct source_state), 1);
    p[MEMORY_BUFFERS] = span(buffers, TRANSPORT_BUFFER_BYTES, REQUEST_MAX_THREADS);
    p[MEMORY_INODES] = span(inodes, sizeof(struct inode_state), 1);
    p[MEMORY_RECORDS] = span(inodes + sizeof(struct inode_state), sizeof(struct inode), n_inodes_max);
    p[MEMORY_PLACES] = span(ROUND_UP(end_of(&p[MEMORY_RECORDS])), places_state_size(n_inodes_max), 1);
    return ROUND_UP(end_of(&p[MEMORY_PLACES]));
}

/* Layout 1 did not say where its parts are. n_structs_bytes told builds apart: with fault points, and without. */
static bool spans_of_layout_1(const struct memory_header *header, struct memory_span ret_spans[MEMORY_N_PARTS])
{
    struct memory_span *p = ret_spans;
    p[MEMORY_HEADER] = span(0, 544, 1);
    p[MEMORY_TRANSPORT] = span(4096, 640, 1);
    p[MEMORY_SLOTS] = span(4096 + 640, 384, 64);
    p[MEMORY_ORPHANS] = span(4096 + 25216, 384, 128);
    p[MEMORY_ORPHAN_LOOKUPS] = span(0, 0, 0);
    p[MEMORY_SOURCE] = span(81920, 16408, 1);
    p[MEMORY_BUFFERS] = span(102400, 1056768, 64);
    p[MEMORY_INODES] = span(67735552, 24, 1);
    p[MEMORY_RECORDS] = span(67735552 + 24, 96, header->n_inodes_max);
    p[MEMORY_PLACES] = span(0, 0, 0); /* each worker had its own */
    return header->n_structs_bytes == 91416 || header->n_structs_bytes == 91488;
}

static bool spans_of_layout_2(const struct memory_header *header, struct memory_span ret_spans[MEMORY_N_PARTS])
{
    memcpy(ret_spans, header->parts, sizeof(header->parts));
    return header->n_parts == MEMORY_N_PARTS;
}

static bool lies_within(const struct memory_span *span, uint64_t n_bytes)
{
    uint64_t n_span_bytes;
    return !__builtin_mul_overflow(span->n_bytes, span->n, &n_span_bytes) && span->offset <= n_bytes &&
           n_span_bytes <= n_bytes - span->offset;
}

static bool find_spans(const struct memory_header *header, uint64_t n_bytes, struct memory_span *ret_spans)
{
    bool known = header->layout == 1               ? spans_of_layout_1(header, ret_spans)
                 : header->layout == MEMORY_LAYOUT ? spans_of_layout_2(header, ret_spans)
                                                   : false;
    for (int i = 0; known && i < MEMORY_N_PARTS; i++)
        known = lies_within(&ret_spans[i], n_bytes);
    return known && ret_spans[MEMORY_RECORDS].n == header->n_inodes_max;
}

int memory_layout_read(int fd, struct memory_span ret_spans[MEMORY_N_PARTS], uint32_t *ret_n_inodes_max, bool *ret_own,
                       GError **error)
{
    struct memory_span own[MEMORY_N_PARTS];
    struct memory_header header;
    struct stat st;
    ssize_t n = pread(fd, &header, sizeof(header), 0);
    if (n != (ssize_t)sizeof(header) || header.magic != MEMORY_MAGIC || fstat(fd, &st) < 0)
        return gidfs_error(error, EPROTO, "descriptor %d holds no view's memory", fd);
    if (!find_spans(&header, (uint64_t)st.st_size, ret_spans))
        return gidfs_error(error, EPROTO,
                           "the running view has memory layout %u, and this program reads layouts 1 to %u: "
                           "unmount the view and mount it again",
                           header.layout, MEMORY_LAYOUT);
    *ret_n_inodes_max = header.n_inodes_max;
    *ret_own = memory_layout_own(header.n_inodes_max, own) == (uint64_t)st.st_size && header.layout == MEMORY_LAYOUT &&
               memcmp(own, ret_spans, sizeof(own)) == 0;
    return 0;
}
