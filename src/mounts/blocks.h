/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/registry.h"

/*
 * Blocks of subordinate ids for user namespaces (behaviour A11): as many uids and gids in a row that nobody else has. A
 * block belongs to an owner (the id of a container, as a rule) until it is given back. The host's files are read, never
 * written. All functions are thread-safe.
 */
#define BLOCK_SIZE_DEFAULT 65536

typedef void (*block_visitor)(const struct table_block *block, bool reused, void *data);

/* The block of owner, or a new one of count ids. The same owner with another count is a refusal: exists. */
int block_create(struct registry *registry, const char *owner, int64_t count, block_visitor visit, void *data,
                 GError **error);

/* Gives it back; the visitor sees it as it was. */
int block_remove(struct registry *registry, const char *owner, block_visitor visit, void *data, GError **error);

struct block_counts {
    uint64_t total; /* blocks of BLOCK_SIZE_DEFAULT that the ranges hold */
    uint64_t free;
};

/* All blocks in order of their first id; the ranges as text are the caller's. */
void block_visit_all(struct registry *registry, struct block_counts *ret_counts, char **ret_ranges, block_visitor visit,
                     void *data);
