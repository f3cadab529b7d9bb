/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/layer_merge.h"
#include "core/layer_names.h"
#include "layer/layer_set.h"

#include <sys/stat.h>

/*
 * An object of the merged tree: what of which layers it is made of. Found by name in a merged directory, always
 * relative to descriptors and never through a symlink (behaviour D4).
 */
struct layer_member {
    int fd; /* O_PATH, of the object itself (also of a symlink); owned by the object */
    unsigned layer;
};

struct layer_object {
    struct layer_member *members; /* the top first; of a directory all that merge, of a file the one, or a metacopy's */
    unsigned n_members;
    struct statx stx; /* of members[0], with the birth time */
    struct stat st;   /* the same */
    bool is_metacopy; /* members[0] has the metadata, the last member the data */
    bool no_origin;   /* members[0] is known not to say what it was copied from */
    bool is_indexed;  /* an index led to members[0]: its name is still below. Set by who keeps one, never here */
};

/* Empties an object: closes its descriptors. Harmless on an all-zero one. */
void layer_object_clear(struct layer_object *object);

typedef struct layer_object layer_object;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(layer_object, layer_object_clear)

/* Another object of the same members, with descriptors of its own. -EMFILE and the like. */
int layer_object_copy(const struct layer_object *object, struct layer_object *ret_copy);

/* Puts a member on top (copy-up): fd, of the given layer, is taken over, and what it is now is asked of it. */
int layer_object_push(struct layer_object *object, unsigned layer, int fd);

/* The root of the tree: all layers. */
int layer_object_root(const struct layer_set *set, struct layer_object *ret_object);

/*
 * Looks name up in the merged directory dir; names, unless NULL, are those of it (layer_object_list()). -ENOENT where
 * no layer has it or one hides it; -EIO for a metacopy without its data.
 */
int layer_object_lookup(const struct layer_set *set, const struct layer_object *dir, const struct layer_names *names,
                        const char *name, struct layer_object *ret_object);

/*
 * Finds the rest of an object whose member in the given layer is fd (taken over): for a directory, by its path from
 * the root of that layer, so that it also works for one that was opened by its file handle. -ESTALE where the
 * directory can't be found in its layer any more.
 */
int layer_object_from_member(const struct layer_set *set, unsigned layer, int fd, struct layer_object *ret_object);

/* Lists the merged directory dir; what each layer has is added to names, unless NULL. The listing is the caller's. */
int layer_object_list(const struct layer_object *dir, struct layer_names *names, struct layer_listing **ret_listing);
