/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What the view remembers of an inode beside its record: where it was last looked up, which is where a lower object is
 * copied up to, and the number it shows if that isn't its own. One small block for each inode that needs it, replaced
 * when the record is used again. Safe in any thread.
 *
 * The blocks are in memory that outlives a worker: whoever works in a directory of a lower layer, or has a lower file
 * open, is not looked up again before a change of it must be copied up.
 */
struct places;

/* The shared memory: zero to begin with. */
struct places_state {
    uint32_t n_inodes_max;
    _Atomic uint32_t n_records_used; /* none behind has a block */
    _Atomic uint32_t n_granules_used;
    _Atomic uint32_t blocks[]; /* of each record, 1 + the number of its first granule; 0: none. The granules follow */
};

/* The size in bytes of the state for this many records, and how it begins. */
size_t places_state_size(uint32_t n_inodes_max);
void places_state_init(struct places_state *state, uint32_t n_inodes_max);

struct place {
    uint64_t parent; /* nodeid; 0: the inode has no name any more */
    uint64_t ino;    /* 0: its own */
    char *name;      /* the caller's to free */
};

/* state outlives the places; it is used as it is found. NULL if there is no memory. */
struct places *places_new(struct places_state *state);
void places_free(struct places *places);

/* Remembers where an inode is. ino 0 leaves the number as it is known. */
void places_set(struct places *places, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino);

/* Remembers that its name has gone: if it is copied up, then to nowhere. */
void places_detach(struct places *places, uint64_t nodeid);

/* -ENOENT if nothing is known of it. */
int places_get(struct places *places, uint64_t nodeid, struct place *ret_place);
uint64_t places_get_ino(struct places *places, uint64_t nodeid);
