/* SPDX-License-Identifier: Apache-2.0 */
#include "core/subid.h"
#include "gidfs_test.h"

#include <string.h>

static struct range_set *ranges(const char *text)
{
    struct range_set *set = NULL;
    assert_int_equal(range_set_parse(text, UINT32_MAX, &set, NULL), 0);
    return set;
}

static void assert_set(const struct range_set *set, const char *wanted)
{
    g_autofree char *text = range_set_to_string(set);
    assert_string_equal(text, wanted);
}

static void test_groups(void **state)
{
    g_autoptr(host_ids) ids = host_ids_new();
    assert_int_equal(host_ids_add_groups(ids, "/etc/group",
                                         "root:x:0:\nstaff:x:50:alice,bob\n\n# local\n+::::\nbuild:x:50010:\n"
                                         "no-newline:x:4294967294:"),
                     0);
    assert_set(host_ids_set(ids), "0-0,50-50,50010-50010,4294967294-4294967294");
    assert_int_equal(host_ids_add_groups(ids, "/etc/group", "a\na:x\na:x:\na:x:y:\na:x:-1:\na:x:4294967295:\nb:x:7:\n"),
                     6);
    assert_true(range_set_contains(host_ids_set(ids), 7));
}

static void test_subids(void **state)
{
    g_autoptr(host_ids) ids = host_ids_new();
    assert_int_equal(
        host_ids_add_subids(ids, "/etc/subgid", "alice:100000:65536\n bob:165536:65536 \n1001:300000:1\nempty:5:0\n"),
        0);
    assert_set(host_ids_set(ids), "100000-231071,300000-300000");
    assert_int_equal(host_ids_add_subids(ids, "/etc/subgid", "a:1\na:1:2:3\na:x:1\na:4294967294:2\na:4294967294:1"), 4);
    assert_true(range_set_contains(host_ids_set(ids), 4294967294u));
    host_ids_free(NULL);
}

static void test_overlaps_name_the_owner(void **state)
{
    g_autoptr(host_ids) ids = host_ids_new();
    host_ids_add_groups(ids, "/etc/group", "low:x:49999:\nfirst:x:50000:\nlast:x:59999:\nhigh:x:60000:");
    host_ids_add_subids(ids, "/etc/subgid", "alice:59990:65536\nbob:70000:100");
    g_autoptr(range_set) range = ranges("50000-59999");
    g_auto(GStrv) warnings = host_ids_overlaps(ids, range, 10);
    assert_int_equal(g_strv_length(warnings), 3);
    assert_true(g_str_has_prefix(warnings[0], "50000-50000: already the group first in /etc/group; "));
    assert_true(g_str_has_prefix(warnings[1], "59999-59999: already the group last in /etc/group; "));
    assert_true(g_str_has_prefix(warnings[2], "59990-59999: already alice's subordinate ids in /etc/subgid; "));

    g_auto(GStrv) few = host_ids_overlaps(ids, range, 1);
    assert_int_equal(g_strv_length(few), 2);
    assert_string_equal(few[1], "3 groups and blocks of the host overlap the range in all");

    g_autoptr(range_set) elsewhere = ranges("200000-200010");
    g_auto(GStrv) none = host_ids_overlaps(ids, elsewhere, 10);
    assert_int_equal(g_strv_length(none), 0);
}

static void test_login_defs(void **state)
{
    struct login_defs defs;
    login_defs_parse("", &defs);
    assert_int_equal(defs.sub_uid_min, 100000);
    assert_int_equal(defs.sub_uid_max, 600100000);
    assert_int_equal(defs.sub_gid_count, 65536);
    login_defs_parse("# SUB_UID_MIN 1\nSUB_UID_MIN\t\t   200000\n SUB_UID_MAX 300000 \nSUB_UID_COUNT 1000\n"
                     "SUB_GID_MIN x\nSUB_GID_MAX 400000\nSUB_GID_COUNT 2000\nSUB_GID_MAXIMUM 5\nUMASK 022\n",
                     &defs);
    assert_int_equal(defs.sub_uid_min, 200000);
    assert_int_equal(defs.sub_uid_max, 300000);
    assert_int_equal(defs.sub_uid_count, 1000);
    assert_int_equal(defs.sub_gid_min, 100000);
    assert_int_equal(defs.sub_gid_max, 400000);
    assert_int_equal(defs.sub_gid_count, 2000);
}

static void test_blocks_come_from_where_useradd_gives_none(void **state)
{
    g_autoptr(host_ids) ids = host_ids_new();
    host_ids_add_subids(ids, "/etc/subuid", "alice:100000:65536\nbob:700000000:100000");
    struct login_defs defs;
    login_defs_parse("", &defs);
    g_autoptr(range_set) range = subid_default_range(&defs, ids);
    assert_set(range, "600100001-699999999,700100000-2147483647");

    login_defs_parse("SUB_UID_MAX 2147418113\nSUB_GID_MAX 600000\n", &defs);
    g_autoptr(range_set) short_of_one = subid_default_range(&defs, ids);
    assert_set(short_of_one, "165536-600000");
    login_defs_parse("SUB_UID_MAX 2147418111\n", &defs);
    g_autoptr(range_set) one = subid_default_range(&defs, ids);
    assert_set(one, "2147418112-2147483647");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_subids),
        cmocka_unit_test(test_overlaps_name_the_owner),
        cmocka_unit_test(test_login_defs),
        cmocka_unit_test(test_blocks_come_from_where_useradd_gives_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
