/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table by record number (the lower half of the nodeid) leads to blocks of one or more granules, which are taken from
 * the end of those in use and never given back, but used again: each by a name that needs as many.
 *
 * For a successor, a block is written whole before the table leads to it, and has its size before it is in use. Which
 * blocks are free is known to the worker alone; a successor finds those that the table doesn't lead to. `lock` guards
 * all of it.
 */
#include "view/layers/places.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#define GRANULE_BYTES     32
#define GRANULES_AN_INODE 4 /* room for as many on average: names of up to 100 bytes */
#define N_SIZES           (1 + (sizeof(struct block) + NAME_MAX + GRANULE_BYTES) / GRANULE_BYTES)

struct block {
    uint64_t nodeid;
    uint64_t parent;
    uint64_t ino;
    uint16_t n_granules;
    char name[];
};

struct places {
    struct places_state *state;
    char *granules;
    uint32_t n_granules_max;
    pthread_mutex_t lock;
    GArray *unused[N_SIZES]; /* numbers of free blocks, by their granules */
};

static uint32_t n_granules_max(uint32_t n_inodes_max)
{
    return n_inodes_max > UINT32_MAX / GRANULES_AN_INODE ? UINT32_MAX - 1 : n_inodes_max * GRANULES_AN_INODE;
}

/* Where the granules begin. */
static size_t offset_of_granules(uint32_t n_inodes_max)
{
    size_t end = sizeof(struct places_state) + (size_t)n_inodes_max * sizeof(uint32_t);
    return (end + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
}

size_t places_state_size(uint32_t n_inodes_max)
{
    return offset_of_granules(n_inodes_max) + (size_t)n_granules_max(n_inodes_max) * GRANULE_BYTES;
}

void places_state_init(struct places_state *state, uint32_t n_inodes_max)
{
    state->n_inodes_max = n_inodes_max;
}

static struct block *block_at(const struct places *places, uint32_t number)
{
    return (struct block *)(places->granules + (size_t)number * GRANULE_BYTES);
}

/* The record's block; NULL: none. */
static struct block *block_of(const struct places *places, uint32_t record)
{
    if (record >= places->state->n_inodes_max)
        return NULL;
    uint32_t number = atomic_load(&places->state->blocks[record]);
    return number == 0 || number > atomic_load(&places->state->n_granules_used) ? NULL : block_at(places, number - 1);
}

/* Sorts out the blocks that no record leads to. */
static void find_unused(struct places *places)
{
    uint32_t n_used = atomic_load(&places->state->n_granules_used);
    uint32_t n_records = MIN(atomic_load(&places->state->n_records_used), places->state->n_inodes_max);
    g_autofree bool *in_use = g_new0(bool, (size_t)n_used + 1);
    for (uint32_t i = 0; i < n_records; i++) {
        uint32_t number = atomic_load(&places->state->blocks[i]);
        if (number > 0 && number <= n_used)
            in_use[number - 1] = true;
    }
    for (uint32_t at = 0, n; at < n_used; at += n) {
        n = block_at(places, at)->n_granules;
        if (n == 0 || n >= N_SIZES)
            break; /* not what a worker writes: what follows stays unused */
        if (!in_use[at])
            g_array_append_val(places->unused[n], at);
    }
}

struct places *places_new(struct places_state *state)
{
    struct places *places = g_new0(struct places, 1);
    *places = (struct places){.state = state,
                              .granules = (char *)state + offset_of_granules(state->n_inodes_max),
                              .n_granules_max = n_granules_max(state->n_inodes_max)};
    pthread_mutex_init(&places->lock, NULL);
    for (unsigned i = 0; i < N_SIZES; i++)
        places->unused[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    find_unused(places);
    return places;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    for (unsigned i = 0; i < N_SIZES; i++)
        g_array_unref(places->unused[i]);
    pthread_mutex_destroy(&places->lock);
    g_free(places);
}

/* The block of an inode, or NULL. With the lock held. */
static struct block *find(struct places *places, uint64_t nodeid)
{
    struct block *block = block_of(places, (uint32_t)nodeid);
    return block && block->nodeid == nodeid ? block : NULL;
}

/* A block of so many granules that nothing leads to. False if the memory is full. With the lock held. */
static bool take_block(struct places *places, uint16_t n_granules, uint32_t *ret_number)
{
    GArray *unused = places->unused[n_granules];
    if (unused->len > 0) {
        *ret_number = g_array_index(unused, uint32_t, unused->len - 1);
        g_array_set_size(unused, unused->len - 1);
        return true;
    }
    uint32_t n_used = atomic_load(&places->state->n_granules_used);
    if (n_granules > places->n_granules_max - n_used)
        return false;
    block_at(places, n_used)->n_granules = n_granules;
    atomic_store(&places->state->n_granules_used, n_used + n_granules);
    *ret_number = n_used;
    return true;
}

/* Lets the table lead to another block of the record (NULL: to none). With the lock held. */
static void replace(struct places *places, uint32_t record, const uint32_t *number)
{
    const struct block *old = block_of(places, record);
    if (record >= atomic_load(&places->state->n_records_used))
        atomic_store(&places->state->n_records_used, record + 1);
    uint32_t old_number = atomic_exchange(&places->state->blocks[record], number ? *number + 1 : 0) - 1;
    if (old)
        g_array_append_val(places->unused[old->n_granules], old_number);
}

/* Puts a block in the place of the one that is there. With the lock held. */
static void store(struct places *places, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino)
{
    uint32_t record = (uint32_t)nodeid, number;
    size_t length = strnlen(name, NAME_MAX);
    uint16_t n_granules = (uint16_t)((offsetof(struct block, name) + length + GRANULE_BYTES) / GRANULE_BYTES);
    if (record >= places->state->n_inodes_max)
        return;
    if (!take_block(places, n_granules, &number)) {
        replace(places, record, NULL); /* better no place than an old one */
        return;
    }
    struct block *block = block_at(places, number);
    *block = (struct block){.nodeid = nodeid, .parent = parent, .ino = ino, .n_granules = n_granules};
    memcpy(block->name, name, length);
    block->name[length] = '\0';
    replace(places, record, &number);
}

void places_set(struct places *places, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino)
{
    pthread_mutex_lock(&places->lock);
    struct block *known = find(places, nodeid);
    if (ino == 0 && known)
        ino = known->ino;
    bool is_known = known && known->parent == parent && strcmp(known->name, name) == 0;
    if (is_known)
        known->ino = ino;
    else
        store(places, nodeid, parent, name, ino);
    pthread_mutex_unlock(&places->lock);
}

void places_detach(struct places *places, uint64_t nodeid)
{
    pthread_mutex_lock(&places->lock);
    struct block *known = find(places, nodeid);
    if (known)
        known->parent = 0;
    pthread_mutex_unlock(&places->lock);
}

int places_get(struct places *places, uint64_t nodeid, struct place *ret_place)
{
    pthread_mutex_lock(&places->lock);
    struct block *known = find(places, nodeid);
    if (known)
        *ret_place = (struct place){.parent = known->parent, .ino = known->ino, .name = g_strdup(known->name)};
    pthread_mutex_unlock(&places->lock);
    return known ? 0 : -ENOENT;
}

uint64_t places_get_ino(struct places *places, uint64_t nodeid)
{
    pthread_mutex_lock(&places->lock);
    struct block *known = find(places, nodeid);
    uint64_t ino = known ? known->ino : 0;
    pthread_mutex_unlock(&places->lock);
    return ino;
}
