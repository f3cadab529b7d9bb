/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Where the parts of a view's memory are, in this program and in those that may have written it.
 *
 * A part is an array of structs. A struct only ever grows at its end, and zero in a new field means what was so before
 * there was the field: so a program reads what another version wrote by taking the beginning of each struct. The memory
 * says itself where its parts are. MEMORY_LAYOUT is counted up only when that is not enough, and then the layout before
 * it needs a translation of its own, or is refused before anything is done to the running view.
 */
#define MEMORY_MAGIC  0x7365727574616567U
#define MEMORY_LAYOUT 2

enum memory_part {
    MEMORY_HEADER,
    MEMORY_TRANSPORT, /* but for what follows */
    MEMORY_SLOTS,
    MEMORY_ORPHANS,
    MEMORY_ORPHAN_LOOKUPS,
    MEMORY_SOURCE,
    MEMORY_BUFFERS,
    MEMORY_INODES, /* but for the records */
    MEMORY_RECORDS,
    MEMORY_PLACES, /* one, with its own parts in it; as long as there is room for inodes */
    MEMORY_N_PARTS
};

/* n structs of n_bytes each. */
struct memory_span {
    uint64_t offset;
    uint64_t n_bytes;
    uint64_t n;
};

/* The layout of this program. Returns the size of it all. */
uint64_t memory_layout_own(uint32_t n_inodes_max, struct memory_span ret_spans[MEMORY_N_PARTS]);

/*
 * The layout of what is behind fd, and how many inodes it has room for. -EPROTO if this program can't read it. *ret_own
 * says that it is exactly that of this program.
 */
int memory_layout_read(int fd, struct memory_span ret_spans[MEMORY_N_PARTS], uint32_t *ret_n_inodes_max, bool *ret_own,
                       GError **error);
