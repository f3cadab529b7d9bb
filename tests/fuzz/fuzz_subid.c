/* SPDX-License-Identifier: Apache-2.0 */
/* The host's files of groups and subordinate ids: the first byte says which one the rest is read as. */
#include "core/subid.h"
#include "fuzz.h"

static void check_ids(const struct host_ids *ids)
{
    const struct range_set *set = host_ids_set(ids);
    struct range beyond;
    FUZZ_CHECK(!range_set_next_range(set, UINT32_MAX, &beyond));
    g_auto(GStrv) warnings = host_ids_overlaps(ids, set, 3);
    FUZZ_CHECK(g_strv_length(warnings) <= 4);
    FUZZ_CHECK((g_strv_length(warnings) > 0) == (range_set_count(set) > 0));
}

static void check_login_defs(const char *text, const struct host_ids *ids)
{
    struct login_defs defs;
    login_defs_parse(text, &defs);
    g_autoptr(range_set) range = subid_default_range(&defs, ids);
    g_autoptr(range_set) both = range_set_intersect(range, host_ids_set(ids));
    FUZZ_CHECK(range_set_count(both) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    g_autofree char *text = fuzz_text(data + 1, size - 1);
    g_autoptr(host_ids) ids = host_ids_new();
    switch (data[0]) {
    case 'g':
        host_ids_add_groups(ids, "group", text);
        break;
    case 's':
        host_ids_add_subids(ids, "subgid", text);
        break;
    default:
        host_ids_add_subids(ids, "subgid", "a:100000:65536\nb:2000000000:65536");
        check_login_defs(text, ids);
    }
    check_ids(ids);
    return 0;
}
