/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdint.h>

/*
 * A map between the ids that a view shows and the ids on disk (behaviour B8), as ranges VIEW:DISK:COUNT. Immutable once
 * built; free to read from any thread. A NULL map is the identity.
 */
struct id_map;

/* What an id outside the map looks like in the view: the kernel's overflow id. */
#define ID_MAP_OVERFLOW ((uint32_t)65534)

/*
 * Parses "VIEW:DISK:COUNT[:VIEW:DISK:COUNT…]". -EINVAL with a message that names the part that is wrong: not a number,
 * a count of 0, a range beyond 2^32-2, or two ranges that overlap on either side. The result is the caller's.
 */
int id_map_parse(const char *text, struct id_map **ret_map, GError **error);
void id_map_free(struct id_map *map);

typedef struct id_map id_map;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(id_map, id_map_free)

/* The effective map in the grammar that id_map_parse reads, ranges in order; "identity" for NULL. Caller frees. */
char *id_map_to_string(const struct id_map *map);

/* The view's id of a disk id; ID_MAP_OVERFLOW where the map has none. */
uint32_t id_map_to_view(const struct id_map *map, uint32_t disk_id);

/* The disk's id of a view id in *ret_disk_id; -EOVERFLOW where the map has none (chown to it must fail with EINVAL). */
int id_map_to_disk(const struct id_map *map, uint32_t view_id, uint32_t *ret_disk_id);
