/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge rules. A name is decided by the topmost layer that says anything about it: a whiteout ends it, a file
 * hides all below, a directory goes on collecting directories until a layer is opaque or has something else there.
 *
 * A listing keeps one table from name to what was decided about it. A mark is entered only when its layer is done,
 * since a layer may hold both a mark and a new entry of the same name: the mark is for the layers below.
 */
#include "core/layer_merge.h"

#include "core/whiteout.h"

#include <string.h>

static unsigned add_to_dir(struct layer_merge *merge, const struct layer_answer *answer)
{
    if (answer->found != LAYER_FOUND_DIR)
        return LAYER_STEP_STOP;
    merge->n_members++;
    return LAYER_STEP_TAKE | (answer->opaque || answer->hides ? LAYER_STEP_STOP : 0);
}

static unsigned add_to_file(struct layer_merge *merge, const struct layer_answer *answer)
{
    if (answer->found != LAYER_FOUND_OTHER)
        return LAYER_STEP_STOP;
    merge->n_members++;
    merge->wants_data = answer->metacopy;
    return LAYER_STEP_TAKE | (answer->metacopy && !answer->hides ? 0 : LAYER_STEP_STOP);
}

unsigned layer_merge_add(struct layer_merge *merge, const struct layer_answer *answer)
{
    if (answer->found == LAYER_FOUND_NOTHING && !answer->hides)
        return 0;
    if (merge->n_members == 0)
        merge->is_dir = answer->found == LAYER_FOUND_DIR;
    return merge->is_dir ? add_to_dir(merge, answer) : add_to_file(merge, answer);
}

static bool component_is_valid(const char *begin, size_t length)
{
    return length > 0 && !(length == 1 && begin[0] == '.') && !(length == 2 && begin[0] == '.' && begin[1] == '.');
}

bool layer_redirect_is_valid(const char *redirect)
{
    if (redirect[0] != '/')
        return !strchr(redirect, '/') && component_is_valid(redirect, strlen(redirect));
    for (const char *at = redirect; *at == '/';) {
        const char *next = strchrnul(at + 1, '/');
        if (!component_is_valid(at + 1, next - at - 1))
            return false;
        at = next;
    }
    return true;
}

char *layer_redirect_apply(const char *path, size_t begin, size_t end, const char *redirect, bool *ret_from_root)
{
    if (!layer_redirect_is_valid(redirect))
        return NULL;
    *ret_from_root = redirect[0] == '/';
    if (*ret_from_root)
        return g_strconcat(redirect + 1, path + end, NULL);
    g_autofree char *before = g_strndup(path, begin);
    return g_strconcat(before, redirect, path + end, NULL);
}

struct layer_listing {
    GArray *entries;     /* struct layer_listing_entry, their names owned by names */
    GStringChunk *names; /* the memory of all names */
    GHashTable *decided; /* names that layers so far have shown or hidden */
    GPtrArray *marks;    /* names that the current layer hides in those below it */
    bool opaque_so_far;  /* a layer above the current one was opaque */
    bool opaque_here;    /* the current one is */
    uint32_t layer;
};

struct layer_listing *layer_listing_new(void)
{
    struct layer_listing *listing = g_new0(struct layer_listing, 1);
    listing->entries = g_array_new(FALSE, FALSE, sizeof(struct layer_listing_entry));
    listing->names = g_string_chunk_new(4096);
    listing->decided = g_hash_table_new(g_str_hash, g_str_equal);
    listing->marks = g_ptr_array_new();
    return listing;
}

void layer_listing_free(struct layer_listing *listing)
{
    if (!listing)
        return;
    g_array_unref(listing->entries);
    g_hash_table_unref(listing->decided);
    g_ptr_array_unref(listing->marks);
    g_string_chunk_free(listing->names);
    g_free(listing);
}

void layer_listing_begin(struct layer_listing *listing, uint32_t layer)
{
    for (guint i = 0; i < listing->marks->len; i++)
        g_hash_table_add(listing->decided, g_ptr_array_index(listing->marks, i));
    g_ptr_array_set_size(listing->marks, 0);
    listing->opaque_so_far |= listing->opaque_here;
    listing->opaque_here = false;
    listing->layer = layer;
}

static void hide_below(struct layer_listing *listing, const char *name)
{
    g_ptr_array_add(listing->marks, g_string_chunk_insert(listing->names, name));
}

void layer_listing_add(struct layer_listing *listing, const char *name, uint8_t type, uint64_t ino)
{
    const char *hidden;
    switch (whiteout_parse_name(name, &hidden)) {
    case WHITEOUT_NAME_NONE:
        break;
    case WHITEOUT_NAME_HIDES:
        hide_below(listing, hidden);
        return;
    case WHITEOUT_NAME_OPAQUE:
        listing->opaque_here = true;
        return;
    case WHITEOUT_NAME_REFUSED:
        return;
    }
    if (listing->opaque_so_far || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        g_hash_table_contains(listing->decided, name))
        return;
    char *kept = g_string_chunk_insert(listing->names, name);
    struct layer_listing_entry entry = {.name = kept, .ino = ino, .layer = listing->layer, .type = type};
    g_hash_table_add(listing->decided, kept);
    g_array_append_val(listing->entries, entry);
}

void layer_listing_add_whiteout(struct layer_listing *listing, const char *name)
{
    hide_below(listing, name);
}

const struct layer_listing_entry *layer_listing_entries(const struct layer_listing *listing, size_t *ret_n_entries)
{
    *ret_n_entries = listing->entries->len;
    return (const struct layer_listing_entry *)(void *)listing->entries->data;
}
