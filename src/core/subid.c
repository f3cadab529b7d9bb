/* SPDX-License-Identifier: Apache-2.0 */
#include "core/subid.h"

#include "core/number.h"

#include <string.h>

#define ID_LIMIT     ((uint64_t)UINT32_MAX) /* the first number that is no id */
#define SIGNED_LIMIT ((uint64_t)1 << 31)

struct entry {
    char *owner;      /* who has the ids, as a warning names them */
    struct range ids; /* INVARIANT: not empty, and ids.end <= ID_LIMIT */
};

struct host_ids {
    GArray *entries; /* struct entry, in the order in which they were added */
    struct range_set *set;
};

static void clear_entry(void *data)
{
    g_free(((struct entry *)data)->owner);
}

struct host_ids *host_ids_new(void)
{
    struct host_ids *ids = g_new0(struct host_ids, 1);
    ids->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    g_array_set_clear_func(ids->entries, clear_entry);
    ids->set = range_set_new();
    return ids;
}

void host_ids_free(struct host_ids *ids)
{
    if (!ids)
        return;
    g_array_unref(ids->entries);
    range_set_free(ids->set);
    g_free(ids);
}

static void add_entry(struct host_ids *ids, char *owner, uint64_t first, uint64_t count)
{
    struct entry entry = {owner, {first, first + count}};
    g_array_append_val(ids->entries, entry);
    range_set_add(ids->set, first, first + count);
}

static bool parse_id(const char *field, uint64_t *ret_id)
{
    return number_parse(field, strlen(field), ID_LIMIT - 1, ret_id) == 0;
}

static bool add_group(struct host_ids *ids, const char *file, char **fields)
{
    uint64_t gid;
    if (g_strv_length(fields) < 3 || !parse_id(fields[2], &gid))
        return false;
    add_entry(ids, g_strdup_printf("the group %s in %s", fields[0], file), gid, 1);
    return true;
}

static bool add_subid(struct host_ids *ids, const char *file, char **fields)
{
    uint64_t first, count;
    if (g_strv_length(fields) != 3 || !parse_id(fields[1], &first) || !parse_id(fields[2], &count))
        return false;
    if (count > ID_LIMIT - first)
        return false;
    if (count > 0)
        add_entry(ids, g_strdup_printf("%s's subordinate ids in %s", fields[0], file), first, count);
    return true;
}

typedef bool (*add_line_fn)(struct host_ids *ids, const char *file, char **fields);

static size_t add_lines(struct host_ids *ids, const char *file, const char *text, add_line_fn add)
{
    size_t n_bad = 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        const char *line = g_strstrip(lines[i]);
        if (!*line || strchr("#+-", *line))
            continue;
        g_auto(GStrv) fields = g_strsplit(line, ":", -1);
        n_bad += add(ids, file, fields) ? 0 : 1;
    }
    return n_bad;
}

size_t host_ids_add_groups(struct host_ids *ids, const char *file, const char *text)
{
    return add_lines(ids, file, text, add_group);
}

size_t host_ids_add_subids(struct host_ids *ids, const char *file, const char *text)
{
    return add_lines(ids, file, text, add_subid);
}

const struct range_set *host_ids_set(const struct host_ids *ids)
{
    return ids->set;
}

static char *warning(const struct entry *entry, const struct range_set *range)
{
    g_autoptr(range_set) shared = range_set_new();
    range_set_add(shared, entry->ids.start, entry->ids.end);
    g_autoptr(range_set) both = range_set_intersect(shared, range);
    g_autofree char *text = range_set_to_string(both);
    return g_strdup_printf("%s: already %s; who has them could use a volume's files, so leave them out of the range",
                           text, entry->owner);
}

char **host_ids_overlaps(const struct host_ids *ids, const struct range_set *range, size_t max_warnings)
{
    GPtrArray *warnings = g_ptr_array_new();
    size_t n_overlaps = 0;
    for (size_t i = 0; i < ids->entries->len; i++) {
        const struct entry *entry = &g_array_index(ids->entries, struct entry, i);
        if (!range_set_contains_any(range, entry->ids.start, entry->ids.end))
            continue;
        if (n_overlaps++ < max_warnings)
            g_ptr_array_add(warnings, warning(entry, range));
    }
    if (n_overlaps > max_warnings)
        g_ptr_array_add(warnings,
                        g_strdup_printf("%zu groups and blocks of the host overlap the range in all", n_overlaps));
    g_ptr_array_add(warnings, NULL);
    return (char **)g_ptr_array_free(warnings, FALSE);
}

/* "NAME VALUE", blanks around both. */
static void parse_setting(char *line, struct login_defs *defs)
{
    const struct {
        const char *name;
        uint64_t *value;
    } settings[] = {
        {"SUB_UID_MIN", &defs->sub_uid_min},     {"SUB_UID_MAX", &defs->sub_uid_max},
        {"SUB_UID_COUNT", &defs->sub_uid_count}, {"SUB_GID_MIN", &defs->sub_gid_min},
        {"SUB_GID_MAX", &defs->sub_gid_max},     {"SUB_GID_COUNT", &defs->sub_gid_count},
    };
    g_strstrip(line);
    size_t length = strcspn(line, " \t");
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        uint64_t value;
        if (strlen(settings[i].name) != length || strncmp(line, settings[i].name, length) != 0)
            continue;
        if (parse_id(g_strchug(line + length), &value))
            *settings[i].value = value;
    }
}

void login_defs_parse(const char *text, struct login_defs *ret_defs)
{
    *ret_defs = (struct login_defs){100000, 600100000, 65536, 100000, 600100000, 65536};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++)
        parse_setting(lines[i], ret_defs);
}

struct range_set *subid_default_range(const struct login_defs *defs, const struct host_ids *ids)
{
    uint64_t behind = MAX(defs->sub_uid_max, defs->sub_gid_max) + 1, start = 0;
    struct range_set *range = range_set_new();
    range_set_add(range, behind, SIGNED_LIMIT);
    range_set_remove_set(range, ids->set);
    if (range_set_first_fit(range, 0, MAX(MAX(defs->sub_uid_count, defs->sub_gid_count), 1), 1, &start))
        return range;
    range_set_remove(range, 0, UINT64_MAX);
    range_set_add(range, MAX(defs->sub_uid_min, defs->sub_gid_min), MIN(defs->sub_uid_max, defs->sub_gid_max) + 1);
    range_set_remove_set(range, ids->set);
    return range;
}
