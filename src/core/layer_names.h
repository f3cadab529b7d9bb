/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Which layers of a merged directory have anything to say about a name: read once, it spares a lookup the question to
 * each layer that would answer "nothing". Layers above the first n_changing ones never change, so what they have is
 * known to the letter; of the changing ones only whether they hold marks in AUFS form. Pure. Filled by one thread, and
 * then free to read from any.
 */
struct layer_names;

/* gets_marks: marks may come to the changing layers later. */
struct layer_names *layer_names_new(uint32_t n_changing, bool gets_marks);
void layer_names_free(struct layer_names *names);

typedef struct layer_names layer_names;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(layer_names, layer_names_free)

/* Adds an entry of the directory in a layer as it is called there, marks included. The top layer first. */
void layer_names_add(struct layer_names *names, uint32_t layer, const char *name);

/* The unchanging layers that have a name or a mark for it: NULL if none has. Valid as long as names. */
struct layer_holders;
const struct layer_holders *layer_names_find(const struct layer_names *names, const char *name);

/* What a layer may have of the name that holders were found for, as bits. */
enum layer_has {
    LAYER_HAS_ENTRY = 1,
    LAYER_HAS_MARK = 2, /* in AUFS form, beside it */
    LAYER_HAS_ANY = 3,
};

unsigned layer_names_ask(const struct layer_names *names, const struct layer_holders *holders, uint32_t layer);
