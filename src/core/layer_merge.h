/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * How layers become one tree (behaviours D1, D2, D4): what a name is, given what each layer says about it from the top
 * down; where to go on below a renamed directory; and which names a merged directory lists. Pure: the caller asks the
 * layers.
 */

/* What one layer says about one name in one directory. */
enum layer_found {
    LAYER_FOUND_NOTHING,
    LAYER_FOUND_WHITEOUT, /* an overlayfs whiteout in its place */
    LAYER_FOUND_DIR,
    LAYER_FOUND_OTHER, /* anything that is no directory; links are never followed */
};

struct layer_answer {
    enum layer_found found;
    bool hides;    /* an AUFS mark .wh.NAME lies beside it: it hides what is below, not what its own layer has */
    bool opaque;   /* of a directory: nothing below shows through */
    bool metacopy; /* of a regular file: its data lies in a layer below */
};

/* The fold over the layers for one name. Start with all zero. */
struct layer_merge {
    unsigned n_members; /* layers that make up the entry: of a directory all, of a file one, and those with its data */
    bool is_dir;        /* of the topmost member, once n_members > 0 */
    bool wants_data;    /* a metacopy whose data has not been found: at the end of the layers, an error (EIO) */
};

/* What to do with the layer that just answered, as bits. */
enum layer_step {
    LAYER_STEP_TAKE = 1, /* its entry is a member */
    LAYER_STEP_STOP = 2, /* ask no lower layer */
};

/* Takes the answer of the next lower layer. Not to be called again after LAYER_STEP_STOP. */
unsigned layer_merge_add(struct layer_merge *merge, const struct layer_answer *answer);

/*
 * A directory that was renamed says where its lower part is: "NAME" (beside it) or "/PATH" (from the root of the
 * layers). Whether it is one of those, with no empty, "." or ".." component.
 */
bool layer_redirect_is_valid(const char *redirect);

/*
 * The path to go on with in the layers below, when looking up path ("a/b/c", no leading slash) and its component that
 * starts at byte begin and ends before byte end was found to have that redirect. *ret_from_root says whether the
 * result counts from the root of the layers rather than from where path did. Caller frees; NULL if invalid.
 */
char *layer_redirect_apply(const char *path, size_t begin, size_t end, const char *redirect, bool *ret_from_root);

/*
 * The names of a merged directory. Feed the layers from the top: layer_listing_begin(), each entry of it, and so on;
 * marks of a layer hide names of the layers below it only. Not thread-safe.
 */
struct layer_listing;

struct layer_listing_entry {
    const char *name; /* owned by the listing */
    uint64_t ino;
    uint32_t layer; /* as given to layer_listing_begin() */
    uint8_t type;   /* DT_* as given */
};

struct layer_listing *layer_listing_new(void);
void layer_listing_free(struct layer_listing *listing);

typedef struct layer_listing layer_listing;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(layer_listing, layer_listing_free)

void layer_listing_begin(struct layer_listing *listing, uint32_t layer);

/* Adds an entry of the current layer: ".", ".." and marks in AUFS form are taken for what they are. */
void layer_listing_add(struct layer_listing *listing, const char *name, uint8_t type, uint64_t ino);

/* Adds an entry of the current layer that is a whiteout in overlayfs form. */
void layer_listing_add_whiteout(struct layer_listing *listing, const char *name);

/* What shows: *ret_n_entries entries in the order they were added, valid until the listing changes or is freed. */
const struct layer_listing_entry *layer_listing_entries(const struct layer_listing *listing, size_t *ret_n_entries);
