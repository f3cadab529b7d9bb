/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "layer/layer_object.h"

#include <stdatomic.h>
#include <stdint.h>

/*
 * What directories in use are made of: a bounded cache from nodeid to the members of the directory. An entry is
 * counted, and immutable but for the names that may be added to it; who holds one may go on with it after it was
 * replaced. Safe in any thread.
 */
struct members;

struct merged {
    struct layer_object object;
    uint64_t nodeid;
    _Atomic(struct layer_names *) names; /* which layers have which name; NULL: not read (yet) */
    _Atomic unsigned n_asked;            /* questions to layers without them */
    int n_users;                         /* members.c's own */
    struct merged *newer, *older;
};

/* n_fds_max: descriptors that are kept for directories that are not in use. */
struct members *members_new(unsigned n_fds_max);
void members_free(struct members *members);

/* The members of a directory, to be given back; NULL if they are not known. */
struct merged *members_get(struct members *members, uint64_t nodeid);
void members_put(struct members *members, struct merged *merged);

/* Makes these the members of a directory, in the place of what was known; takes the object over and returns it in use.
 */
struct merged *members_set(struct members *members, uint64_t nodeid, struct layer_object *object);

/* The names of a directory, or NULL. Valid as long as it is in use. */
static inline const struct layer_names *merged_names(const struct merged *merged)
{
    return atomic_load_explicit(&merged->names, memory_order_acquire);
}

/* Gives the directory its names, which are taken over, unless another thread has done so meanwhile. */
void merged_set_names(struct merged *merged, struct layer_names *names);
