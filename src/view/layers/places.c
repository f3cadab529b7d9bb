/* SPDX-License-Identifier: Apache-2.0 */
/* A table by record number (the lower half of the nodeid); `lock` guards it. */
#include "view/layers/places.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct block {
    uint64_t nodeid;
    uint64_t parent;
    uint64_t ino;
    char name[];
};

struct places {
    pthread_mutex_t lock;
    struct block **blocks;
    uint32_t n_blocks;
};

struct places *places_new(void)
{
    struct places *places = g_new0(struct places, 1);
    pthread_mutex_init(&places->lock, NULL);
    return places;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    for (uint32_t i = 0; i < places->n_blocks; i++)
        g_free(places->blocks[i]);
    g_free(places->blocks);
    pthread_mutex_destroy(&places->lock);
    g_free(places);
}

/* The block of an inode, or NULL. With the lock held. */
static struct block *find(struct places *places, uint64_t nodeid)
{
    uint32_t index = (uint32_t)nodeid;
    struct block *block = index < places->n_blocks ? places->blocks[index] : NULL;
    return block && block->nodeid == nodeid ? block : NULL;
}

static void reserve(struct places *places, uint32_t index)
{
    if (index < places->n_blocks)
        return;
    uint32_t n = MAX(1024, MAX(index + 1, places->n_blocks * 2));
    places->blocks = g_renew(struct block *, places->blocks, n);
    memset(places->blocks + places->n_blocks, 0, (n - places->n_blocks) * sizeof(*places->blocks));
    places->n_blocks = n;
}

/* Puts a block in the place of the one that is there. With the lock held. */
static void store(struct places *places, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino)
{
    size_t length = strlen(name) + 1;
    uint32_t index = (uint32_t)nodeid;
    reserve(places, index);
    struct block *block = g_malloc(sizeof(*block) + length);
    *block = (struct block){.nodeid = nodeid, .parent = parent, .ino = ino};
    memcpy(block->name, name, length);
    g_free(places->blocks[index]);
    places->blocks[index] = block;
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
