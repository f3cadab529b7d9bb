/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps between view ids and disk ids. The same ranges are kept twice, sorted by each side, so that both directions are
 * a binary search. Built once by the parser, never changed afterwards: readers need no lock.
 */
#include "core/id_map.h"

#include "core/number.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* (uid_t)-1 means "leave it" to chown and is no id. */
#define ID_MAX ((uint64_t)UINT32_MAX - 1)

/*
 * The ids start[side] … start[side] + count - 1 of the two sides correspond. INVARIANT: count >= 1, no range goes
 * beyond ID_MAX, and no two ranges of a map overlap on either side.
 */
enum side { SIDE_VIEW, SIDE_DISK };
struct id_range {
    uint32_t start[2];
    uint32_t count;
};

struct id_map {
    size_t n_ranges;
    struct id_range *by[2]; /* by[side] is sorted by start[side], ascending */
};

static const char *const side_names[] = {[SIDE_VIEW] = "view", [SIDE_DISK] = "disk"};

static int compare_view(const void *a, const void *b)
{
    const struct id_range *x = a, *y = b;
    return (x->start[SIDE_VIEW] > y->start[SIDE_VIEW]) - (x->start[SIDE_VIEW] < y->start[SIDE_VIEW]);
}

static int compare_disk(const void *a, const void *b)
{
    const struct id_range *x = a, *y = b;
    return (x->start[SIDE_DISK] > y->start[SIDE_DISK]) - (x->start[SIDE_DISK] < y->start[SIDE_DISK]);
}

static int parse_number(const char *text, const char *field, uint32_t *ret_number, GError **error)
{
    uint64_t number;
    int r = number_parse(field, strlen(field), ID_MAX, &number);
    if (r == -ERANGE)
        return gidfs_error(error, EINVAL, "map %s: %s is beyond the largest id, 4294967294", text, field);
    if (r < 0)
        return gidfs_error(error, EINVAL, "map %s: \"%s\" is not a number; write VIEW:DISK:COUNT[:VIEW:DISK:COUNT...]",
                           text, field);
    *ret_number = (uint32_t)number;
    return 0;
}

static int parse_range(const char *text, char *const fields[3], struct id_range *ret_range, GError **error)
{
    struct id_range range;
    int r = parse_number(text, fields[0], &range.start[SIDE_VIEW], error);
    if (r == 0)
        r = parse_number(text, fields[1], &range.start[SIDE_DISK], error);
    if (r == 0)
        r = parse_number(text, fields[2], &range.count, error);
    if (r < 0)
        return r;
    if (range.count == 0)
        return gidfs_error(error, EINVAL, "map %s: %s:%s:%s maps no id; COUNT is at least 1", text, fields[0],
                           fields[1], fields[2]);
    for (int side = SIDE_VIEW; side <= SIDE_DISK; side++)
        if ((uint64_t)range.start[side] + range.count - 1 > ID_MAX)
            return gidfs_error(error, EINVAL,
                               "map %s: %s:%s:%s goes beyond the largest id, 4294967294, on the %s side; lower COUNT",
                               text, fields[0], fields[1], fields[2], side_names[side]);
    *ret_range = range;
    return 0;
}

static int check_overlap(const char *text, const struct id_map *map, enum side side, GError **error)
{
    for (size_t i = 1; i < map->n_ranges; i++) {
        const struct id_range *low = &map->by[side][i - 1], *high = &map->by[side][i];
        if ((uint64_t)low->start[side] + low->count > high->start[side])
            return gidfs_error(error, EINVAL,
                               "map %s: the ranges %u:%u:%u and %u:%u:%u overlap on the %s side; give each id once",
                               text, low->start[SIDE_VIEW], low->start[SIDE_DISK], low->count, high->start[SIDE_VIEW],
                               high->start[SIDE_DISK], high->count, side_names[side]);
    }
    return 0;
}

int id_map_parse(const char *text, struct id_map **ret_map, GError **error)
{
    g_auto(GStrv) fields = g_strsplit(text, ":", -1);
    size_t n_fields = g_strv_length(fields);
    if (n_fields == 0 || n_fields % 3 != 0)
        return gidfs_error(error, EINVAL, "map %s: %zu numbers are not groups of three; write VIEW:DISK:COUNT[:...]",
                           n_fields ? text : "\"\"", n_fields);

    g_autoptr(id_map) map = g_new0(struct id_map, 1);
    map->n_ranges = n_fields / 3;
    map->by[SIDE_VIEW] = g_new(struct id_range, map->n_ranges);
    for (size_t i = 0; i < map->n_ranges; i++) {
        int r = parse_range(text, fields + 3 * i, &map->by[SIDE_VIEW][i], error);
        if (r < 0)
            return r;
    }
    map->by[SIDE_DISK] = g_memdup2(map->by[SIDE_VIEW], map->n_ranges * sizeof(struct id_range));
    qsort(map->by[SIDE_VIEW], map->n_ranges, sizeof(struct id_range), compare_view);
    qsort(map->by[SIDE_DISK], map->n_ranges, sizeof(struct id_range), compare_disk);
    int r = check_overlap(text, map, SIDE_VIEW, error);
    if (r == 0)
        r = check_overlap(text, map, SIDE_DISK, error);
    if (r < 0)
        return r;
    *ret_map = g_steal_pointer(&map);
    return 0;
}

void id_map_free(struct id_map *map)
{
    if (!map)
        return;
    g_free(map->by[SIDE_VIEW]);
    g_free(map->by[SIDE_DISK]);
    g_free(map);
}

char *id_map_to_string(const struct id_map *map)
{
    if (!map)
        return g_strdup("identity");
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < map->n_ranges; i++) {
        const struct id_range *range = &map->by[SIDE_VIEW][i];
        g_string_append_printf(out, "%s%u:%u:%u", i ? ":" : "", range->start[SIDE_VIEW], range->start[SIDE_DISK],
                               range->count);
    }
    return g_string_free(out, FALSE);
}

/* Whether the map has id on side from; *ret_id is then its counterpart. */
static bool map_id(const struct id_map *map, enum side from, uint32_t id, uint32_t *ret_id)
{
    size_t low = 0, high = map->n_ranges; /* the first range that starts after id lies in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->by[from][middle].start[from] <= id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    const struct id_range *range = &map->by[from][low - 1];
    uint32_t offset = id - range->start[from];
    if (offset >= range->count)
        return false;
    *ret_id = range->start[from == SIDE_VIEW ? SIDE_DISK : SIDE_VIEW] + offset;
    return true;
}

uint32_t id_map_to_view(const struct id_map *map, uint32_t disk_id)
{
    uint32_t view_id = disk_id;
    if (map && !map_id(map, SIDE_DISK, disk_id, &view_id))
        return ID_MAP_OVERFLOW;
    return view_id;
}

int id_map_to_disk(const struct id_map *map, uint32_t view_id, uint32_t *ret_disk_id)
{
    uint32_t disk_id = view_id;
    if (map && !map_id(map, SIDE_VIEW, view_id, &disk_id))
        return -EOVERFLOW;
    *ret_disk_id = disk_id;
    return 0;
}
