/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash from nodeid to entries, which also stand in a list by last use. The cache counts as one user of each entry in
 * it; an entry goes when its last user does. `lock` guards all of it; closing descriptors happens outside.
 */
#include "view/layers/members.h"

#include <pthread.h>

struct members {
    pthread_mutex_t lock;
    GHashTable *by_nodeid; /* &merged->nodeid → merged */
    struct merged *newest, *oldest;
    unsigned n_fds, n_fds_max;
};

struct members *members_new(unsigned n_fds_max)
{
    struct members *members = g_new0(struct members, 1);
    pthread_mutex_init(&members->lock, NULL);
    members->by_nodeid = g_hash_table_new(g_int64_hash, g_int64_equal);
    members->n_fds_max = n_fds_max;
    return members;
}

static void destroy(struct merged *merged)
{
    layer_object_clear(&merged->object);
    layer_names_free(atomic_load(&merged->names));
    g_free(merged);
}

void merged_set_names(struct merged *merged, struct layer_names *names)
{
    struct layer_names *known = NULL;
    if (!atomic_compare_exchange_strong(&merged->names, &known, names))
        layer_names_free(names);
}

void members_free(struct members *members)
{
    if (!members)
        return;
    for (struct merged *merged = members->newest, *older; merged; merged = older) {
        older = merged->older;
        destroy(merged);
    }
    g_hash_table_unref(members->by_nodeid);
    pthread_mutex_destroy(&members->lock);
    g_free(members);
}

static void unlink_entry(struct members *members, struct merged *merged)
{
    *(merged->newer ? &merged->newer->older : &members->newest) = merged->older;
    *(merged->older ? &merged->older->newer : &members->oldest) = merged->newer;
    merged->newer = merged->older = NULL;
}

static void link_newest(struct members *members, struct merged *merged)
{
    merged->older = members->newest;
    merged->newer = NULL;
    *(members->newest ? &members->newest->newer : &members->oldest) = merged;
    members->newest = merged;
}

/* Takes an entry out of the cache; returns it if that was its last use. */
static struct merged *drop(struct members *members, struct merged *merged)
{
    unlink_entry(members, merged);
    g_hash_table_remove(members->by_nodeid, &merged->nodeid);
    members->n_fds -= merged->object.n_members;
    return --merged->n_users == 0 ? merged : NULL;
}

struct merged *members_get(struct members *members, uint64_t nodeid)
{
    pthread_mutex_lock(&members->lock);
    struct merged *merged = g_hash_table_lookup(members->by_nodeid, &nodeid);
    if (merged) {
        merged->n_users++;
        unlink_entry(members, merged);
        link_newest(members, merged);
    }
    pthread_mutex_unlock(&members->lock);
    return merged;
}

void members_put(struct members *members, struct merged *merged)
{
    pthread_mutex_lock(&members->lock);
    bool is_last = --merged->n_users == 0;
    pthread_mutex_unlock(&members->lock);
    if (is_last)
        destroy(merged);
}

/* Drops the oldest entries until the descriptors are within bounds; those that nobody uses are chained in *unused. */
static void shrink(struct members *members, const struct merged *keep, struct merged **unused)
{
    while (members->n_fds > members->n_fds_max && members->oldest != keep) {
        struct merged *dropped = drop(members, members->oldest);
        if (dropped) {
            dropped->older = *unused;
            *unused = dropped;
        }
    }
}

struct merged *members_set(struct members *members, uint64_t nodeid, struct layer_object *object)
{
    struct merged *merged = g_new0(struct merged, 1), *unused = NULL;
    *merged = (struct merged){.object = *object, .nodeid = nodeid, .n_users = 2};
    *object = (struct layer_object){0};
    pthread_mutex_lock(&members->lock);
    struct merged *known = g_hash_table_lookup(members->by_nodeid, &nodeid);
    if (known)
        unused = drop(members, known);
    g_hash_table_insert(members->by_nodeid, &merged->nodeid, merged);
    link_newest(members, merged);
    members->n_fds += merged->object.n_members;
    shrink(members, merged, &unused);
    pthread_mutex_unlock(&members->lock);
    for (struct merged *older; unused; unused = older) {
        older = unused->older;
        destroy(unused);
    }
    return merged;
}
