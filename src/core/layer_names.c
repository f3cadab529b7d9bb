/* SPDX-License-Identifier: Apache-2.0 */
#include "core/layer_names.h"

#include "core/whiteout.h"

struct holder {
    uint32_t layer;
    unsigned has;
};

/* Most names are in one layer. */
struct layer_holders {
    unsigned n;
    struct holder holders[];
};

struct layer_names {
    GHashTable *by_name; /* name, in chunk → struct layer_holders */
    GStringChunk *chunk;
    uint32_t n_changing;
    bool changing_have_marks;
};

struct layer_names *layer_names_new(uint32_t n_changing, bool gets_marks)
{
    struct layer_names *names = g_new0(struct layer_names, 1);
    names->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    names->chunk = g_string_chunk_new(512);
    names->n_changing = n_changing;
    names->changing_have_marks = gets_marks;
    return names;
}

void layer_names_free(struct layer_names *names)
{
    if (!names)
        return;
    g_hash_table_unref(names->by_name);
    g_string_chunk_free(names->chunk);
    g_free(names);
}

static void add_holder(struct layer_names *names, uint32_t layer, const char *name, unsigned has)
{
    char *known_name = NULL;
    struct layer_holders *known = NULL;
    g_hash_table_steal_extended(names->by_name, name, (void **)&known_name, (void **)&known);
    unsigned n = known ? known->n : 0;
    if (n > 0 && known->holders[n - 1].layer == layer) {
        known->holders[n - 1].has |= has;
    } else {
        known = g_realloc(known, sizeof(*known) + (n + 1) * sizeof(known->holders[0]));
        known->n = n + 1;
        known->holders[n] = (struct holder){.layer = layer, .has = has};
    }
    if (!known_name)
        known_name = g_string_chunk_insert(names->chunk, name);
    g_hash_table_insert(names->by_name, known_name, known);
}

void layer_names_add(struct layer_names *names, uint32_t layer, const char *name)
{
    const char *hidden;
    enum whiteout_name kind = whiteout_parse_name(name, &hidden);
    if (layer < names->n_changing)
        names->changing_have_marks |= kind == WHITEOUT_NAME_HIDES;
    else if (kind == WHITEOUT_NAME_HIDES)
        add_holder(names, layer, hidden, LAYER_HAS_MARK);
    else if (kind == WHITEOUT_NAME_NONE)
        add_holder(names, layer, name, LAYER_HAS_ENTRY);
}

const struct layer_holders *layer_names_find(const struct layer_names *names, const char *name)
{
    return g_hash_table_lookup(names->by_name, name);
}

unsigned layer_names_ask(const struct layer_names *names, const struct layer_holders *holders, uint32_t layer)
{
    if (layer < names->n_changing)
        return LAYER_HAS_ENTRY | (names->changing_have_marks ? LAYER_HAS_MARK : 0);
    for (unsigned i = 0; holders && i < holders->n; i++)
        if (holders->holders[i].layer == layer)
            return holders->holders[i].has;
    return 0;
}
