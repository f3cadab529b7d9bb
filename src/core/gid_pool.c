/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool is a handful of range sets. Each change moves ids from one to another through three functions, hold(),
 * drop() and put_free(), which keep the counters and the queue of freed ids in step.
 */
#include "core/gid_pool.h"

#include <errno.h>

/* Ids in one of the two held states. */
struct held {
    struct range_set *ids; /* in the range or not */
    uint64_t n_inside;     /* INVARIANT: the number of ids that are in the range */
};

struct gid_pool {
    enum gid_pool_order order;
    struct range_set *range;
    /* INVARIANT: free, allocated and quarantined have no id in common, and free = range - allocated - quarantined. */
    struct range_set *free;
    struct held allocated, quarantined;
    /* INVARIANT: a part of free: what was never freed. Only GID_POOL_RECENT_LAST looks at it. */
    struct range_set *fresh;
    /* INVARIANT: free - fresh, as disjoint struct range, what was freed the longest ago at the head. Owned. */
    GQueue freed;
};

struct gid_pool *gid_pool_new(const struct range_set *range, enum gid_pool_order order)
{
    struct gid_pool *pool = g_new0(struct gid_pool, 1);
    pool->order = order;
    pool->range = range_set_copy(range);
    pool->free = range_set_copy(range);
    pool->fresh = range_set_copy(range);
    pool->allocated.ids = range_set_new();
    pool->quarantined.ids = range_set_new();
    g_queue_init(&pool->freed);
    return pool;
}

void gid_pool_free(struct gid_pool *pool)
{
    if (!pool)
        return;
    range_set_free(pool->range);
    range_set_free(pool->free);
    range_set_free(pool->fresh);
    range_set_free(pool->allocated.ids);
    range_set_free(pool->quarantined.ids);
    g_queue_clear_full(&pool->freed, g_free);
    g_free(pool);
}

static struct range *new_range(uint64_t start, uint64_t end)
{
    const struct range range = {start, end};
    return g_memdup2(&range, sizeof(range));
}

/* Takes ids out of the queue, wherever they are in it; what is left of a cut range keeps its place. */
static void unqueue(struct gid_pool *pool, struct range ids)
{
    for (GList *link = pool->freed.head, *next; link; link = next) {
        struct range *freed = link->data;
        next = link->next;
        if (freed->end <= ids.start || freed->start >= ids.end)
            continue;
        if (freed->end > ids.end)
            g_queue_insert_after(&pool->freed, link, new_range(ids.end, freed->end));
        freed->end = ids.start;
        if (freed->start >= freed->end) {
            g_free(freed);
            g_queue_delete_link(&pool->freed, link);
        }
    }
}

static uint64_t count_inside(const struct gid_pool *pool, struct range ids)
{
    return range_set_count_below(pool->range, ids.end) - range_set_count_below(pool->range, ids.start);
}

/* Ids that are nobody's, free or out of range, become held. */
static void hold(struct gid_pool *pool, struct held *held, struct range ids)
{
    range_set_remove(pool->free, ids.start, ids.end);
    range_set_remove(pool->fresh, ids.start, ids.end);
    unqueue(pool, ids);
    range_set_add(held->ids, ids.start, ids.end);
    held->n_inside += count_inside(pool, ids);
}

static void drop(struct gid_pool *pool, struct held *held, struct range ids)
{
    range_set_remove(held->ids, ids.start, ids.end);
    held->n_inside -= count_inside(pool, ids);
}

/* Ids that nobody holds are free where they are in the range, and the latest to be given again. */
static void put_free(struct gid_pool *pool, struct range ids)
{
    struct range inside;
    for (uint64_t at = ids.start; range_set_next_range(pool->range, at, &inside) && inside.start < ids.end;
         at = inside.end) {
        inside.end = MIN(inside.end, ids.end);
        range_set_add(pool->free, inside.start, inside.end);
        range_set_remove(pool->fresh, inside.start, inside.end);
        g_queue_push_tail(&pool->freed, new_range(inside.start, inside.end));
    }
}

static void replace(struct range_set **set, struct range_set *by)
{
    range_set_free(*set);
    *set = by;
}

static uint64_t count_held_inside(const struct gid_pool *pool, const struct held *held)
{
    g_autoptr(range_set) inside = range_set_intersect(pool->range, held->ids);
    return range_set_count(inside);
}

void gid_pool_set_range(struct gid_pool *pool, const struct range_set *range)
{
    replace(&pool->range, range_set_copy(range));
    replace(&pool->free, range_set_copy(range));
    range_set_remove_set(pool->free, pool->allocated.ids);
    range_set_remove_set(pool->free, pool->quarantined.ids);
    pool->allocated.n_inside = count_held_inside(pool, &pool->allocated);
    pool->quarantined.n_inside = count_held_inside(pool, &pool->quarantined);

    /* Frees are told again in their order: what fell out of the range is forgotten on the way. */
    replace(&pool->fresh, range_set_copy(pool->free));
    GQueue freed = pool->freed;
    g_queue_init(&pool->freed);
    for (struct range *ids; (ids = g_queue_pop_head(&freed)) != NULL; g_free(ids))
        put_free(pool, *ids);
}

/* A row of free ids by the pool's order. */
static bool choose(const struct gid_pool *pool, uint64_t length, uint64_t alignment, uint64_t *ret_start)
{
    if (pool->order == GID_POOL_RECENT_LAST) {
        if (range_set_first_fit(pool->fresh, 0, length, alignment, ret_start))
            return true;
        for (const GList *link = pool->freed.head; link; link = link->next)
            if (range_first_fit(*(const struct range *)link->data, 0, length, alignment, ret_start))
                return true;
        /* No range by itself is long enough; some together may be. */
    }
    return range_set_first_fit(pool->free, 0, length, alignment, ret_start);
}

static int exhausted(const struct gid_pool *pool, uint64_t length, GError **error)
{
    struct gid_counts counts;
    gid_pool_count(pool, &counts);
    g_autofree char *range = range_set_to_string(pool->range);
    g_autofree char *what = length == 1 ? g_strdup("no gid is free")
                                        : g_strdup_printf("no %" G_GUINT64_FORMAT " ids in a row are free", length);
    return gidfs_error(error, ENOSPC,
                       "%s in %s: %" G_GUINT64_FORMAT " in total, %" G_GUINT64_FORMAT " allocated, %" G_GUINT64_FORMAT
                       " quarantined; remove volumes, or widen the range",
                       what, *range ? range : "an empty range", counts.total, counts.allocated, counts.quarantined);
}

int gid_pool_allocate_block(struct gid_pool *pool, uint64_t length, uint64_t alignment, uint32_t *ret_first,
                            GError **error)
{
    uint64_t start;
    if (!choose(pool, length, alignment, &start))
        return exhausted(pool, length, error);
    hold(pool, &pool->allocated, (struct range){start, start + length});
    *ret_first = (uint32_t)start;
    return 0;
}

int gid_pool_allocate(struct gid_pool *pool, uint32_t *ret_gid, GError **error)
{
    return gid_pool_allocate_block(pool, 1, 1, ret_gid, error);
}

static bool is_held(const struct gid_pool *pool, struct range ids)
{
    return range_set_contains_any(pool->allocated.ids, ids.start, ids.end) ||
           range_set_contains_any(pool->quarantined.ids, ids.start, ids.end);
}

int gid_pool_restore(struct gid_pool *pool, uint32_t first, uint64_t length, enum gid_state state, GError **error)
{
    const struct range ids = {first, first + length};
    g_assert(state == GID_STATE_ALLOCATED || state == GID_STATE_QUARANTINED);
    if (is_held(pool, ids))
        return gidfs_error(error, EEXIST,
                           "ids %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT ": the table gives one of them twice",
                           ids.start, ids.end - 1);
    hold(pool, state == GID_STATE_ALLOCATED ? &pool->allocated : &pool->quarantined, ids);
    return 0;
}

void gid_pool_note_freed(struct gid_pool *pool, uint32_t gid)
{
    const struct range ids = {gid, (uint64_t)gid + 1};
    if (gid_pool_state(pool, gid) != GID_STATE_FREE)
        return;
    unqueue(pool, ids);
    put_free(pool, ids);
}

int gid_pool_release(struct gid_pool *pool, uint32_t first, uint64_t length)
{
    const struct range ids = {first, first + length};
    if (!range_set_contains_all(pool->allocated.ids, ids.start, ids.end))
        return -ENOENT;
    drop(pool, &pool->allocated, ids);
    hold(pool, &pool->quarantined, ids);
    return 0;
}

int gid_pool_end_quarantine(struct gid_pool *pool, uint32_t first, uint64_t length)
{
    const struct range ids = {first, first + length};
    if (!range_set_contains_all(pool->quarantined.ids, ids.start, ids.end))
        return -ENOENT;
    drop(pool, &pool->quarantined, ids);
    put_free(pool, ids);
    return 0;
}

enum gid_state gid_pool_state(const struct gid_pool *pool, uint32_t gid)
{
    if (range_set_contains(pool->allocated.ids, gid))
        return GID_STATE_ALLOCATED;
    if (range_set_contains(pool->quarantined.ids, gid))
        return GID_STATE_QUARANTINED;
    return range_set_contains(pool->free, gid) ? GID_STATE_FREE : GID_STATE_OUTSIDE;
}

void gid_pool_count(const struct gid_pool *pool, struct gid_counts *ret_counts)
{
    uint64_t n_held = range_set_count(pool->allocated.ids) + range_set_count(pool->quarantined.ids);
    *ret_counts = (struct gid_counts){
        .total = range_set_count(pool->range),
        .free = range_set_count(pool->free),
        .allocated = pool->allocated.n_inside,
        .quarantined = pool->quarantined.n_inside,
        .out_of_range = n_held - pool->allocated.n_inside - pool->quarantined.n_inside,
    };
}

const struct range_set *gid_pool_range(const struct gid_pool *pool)
{
    return pool->range;
}

const struct range_set *gid_pool_ids(const struct gid_pool *pool, enum gid_state state)
{
    g_assert(state != GID_STATE_OUTSIDE);
    if (state == GID_STATE_FREE)
        return pool->free;
    return state == GID_STATE_ALLOCATED ? pool->allocated.ids : pool->quarantined.ids;
}
