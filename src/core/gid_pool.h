/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/range_set.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which ids of a configured range are free, and which to give next (behaviours A1, A2, A5, A7, A10 to A12). It knows
 * numbers only: whose an id is, and that one volume gets one gid however often it asks, is the table's affair. The same
 * pool hands out single gids and blocks (subordinate ids of a user namespace). Pure; one owner, no locks. n is the
 * number of ranges that the ids in one state form.
 *
 *     free → allocated → quarantined → free, or out of range and gone
 */
struct gid_pool;

enum gid_state {
    GID_STATE_FREE,
    GID_STATE_ALLOCATED,
    GID_STATE_QUARANTINED, /* released, but a mount, an open file or a process may still hold it */
    GID_STATE_OUTSIDE,     /* nobody's, and not in the range */
};

enum gid_pool_order {
    GID_POOL_LOWEST,      /* the lowest free one */
    GID_POOL_RECENT_LAST, /* the lowest that was never freed, then the one that was freed the longest ago */
};

/* total = free + allocated + quarantined. */
struct gid_counts {
    uint64_t total; /* ids in the range */
    uint64_t free;
    uint64_t allocated;    /* in the range */
    uint64_t quarantined;  /* in the range */
    uint64_t out_of_range; /* allocated or quarantined, and not in the range any more */
};

/* All of range is free; it is copied, and holds no id beyond 2^32-1. */
struct gid_pool *gid_pool_new(const struct range_set *range, enum gid_pool_order order);
void gid_pool_free(struct gid_pool *pool);

typedef struct gid_pool gid_pool;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(gid_pool, gid_pool_free)

/*
 * Another range, at a new start or when the configuration is read again: what is held stays held, in the range or out
 * of it (A7). O(n log n).
 */
void gid_pool_set_range(struct gid_pool *pool, const struct range_set *range);

/* A free id becomes allocated. -ENOSPC with the counts in the message when none is free. */
int gid_pool_allocate(struct gid_pool *pool, uint32_t *ret_gid, GError **error);

/*
 * length free ids in a row become allocated; the first is a multiple of alignment. Both are at least 1. -ENOSPC when
 * there is no such row.
 */
int gid_pool_allocate_block(struct gid_pool *pool, uint64_t length, uint64_t alignment, uint32_t *ret_first,
                            GError **error);

/*
 * What the table knows of length ids from first at a start: state is allocated or quarantined, in the range or not.
 * -EEXIST if one of them is held already, which a sound table never says; nothing is changed then.
 */
int gid_pool_restore(struct gid_pool *pool, uint32_t first, uint64_t length, enum gid_state state, GError **error);

/* The gid, if it is free, was freed just now: tells the order of frees again at a start, the longest ago first. */
void gid_pool_note_freed(struct gid_pool *pool, uint32_t gid);

/* Allocated ids become quarantined. -ENOENT, and nothing is changed, unless all of them are allocated. */
int gid_pool_release(struct gid_pool *pool, uint32_t first, uint64_t length);

/* Quarantined ids become free, those out of range are gone. -ENOENT, as above. */
int gid_pool_end_quarantine(struct gid_pool *pool, uint32_t first, uint64_t length);

enum gid_state gid_pool_state(const struct gid_pool *pool, uint32_t gid);        /* O(log n) */
void gid_pool_count(const struct gid_pool *pool, struct gid_counts *ret_counts); /* O(1) */

/* For listings. The pool's own: valid until its next change. */
const struct range_set *gid_pool_range(const struct gid_pool *pool);
const struct range_set *gid_pool_ids(const struct gid_pool *pool, enum gid_state state); /* not GID_STATE_OUTSIDE */
