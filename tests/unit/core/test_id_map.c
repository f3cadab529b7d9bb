/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id_map.h"
#include "gidfs_test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static struct id_map *parsed(const char *text)
{
    struct id_map *map = NULL;
    g_autoptr(GError) error = NULL;
    assert_int_equal(id_map_parse(text, &map, &error), 0);
    assert_null(error);
    return map;
}

static void assert_pair(const struct id_map *map, uint32_t view_id, uint32_t disk_id)
{
    uint32_t got = 1;
    assert_int_equal(id_map_to_disk(map, view_id, &got), 0);
    assert_int_equal(got, disk_id);
    assert_int_equal(id_map_to_view(map, disk_id), view_id);
}

static void assert_no_disk_id(const struct id_map *map, uint32_t view_id)
{
    uint32_t got = 77;
    assert_int_equal(id_map_to_disk(map, view_id, &got), -EOVERFLOW);
    assert_int_equal(got, 77);
}

static void test_null_is_the_identity(void **state)
{
    const uint32_t ids[] = {0, 1, 65534, 65536, 4294967294u};
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        assert_pair(NULL, ids[i], ids[i]);
    g_autofree char *text = id_map_to_string(NULL);
    assert_string_equal(text, "identity");
    id_map_free(NULL);
}

static void test_both_sides_of_every_boundary(void **state)
{
    g_autoptr(id_map) map = parsed("0:100000:1000:2000:5000:10");
    assert_pair(map, 0, 100000);
    assert_pair(map, 999, 100999);
    assert_no_disk_id(map, 1000);
    assert_no_disk_id(map, 1999);
    assert_pair(map, 2000, 5000);
    assert_pair(map, 2009, 5009);
    assert_no_disk_id(map, 2010);
    assert_no_disk_id(map, UINT32_MAX);

    const uint32_t outside[] = {0, 4999, 5010, 99999, 101000, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(outside); i++)
        assert_int_equal(id_map_to_view(map, outside[i]), ID_MAP_OVERFLOW);
}

static void test_adjacent_and_crossed_ranges(void **state)
{
    g_autoptr(id_map) map = parsed("10:0:10:0:10:10:20:20:1");
    assert_pair(map, 0, 10);
    assert_pair(map, 9, 19);
    assert_pair(map, 10, 0);
    assert_pair(map, 19, 9);
    assert_pair(map, 20, 20);
    assert_no_disk_id(map, 21);
    g_autofree char *text = id_map_to_string(map);
    assert_string_equal(text, "0:10:10:10:0:10:20:20:1");
}

static void test_the_largest_id(void **state)
{
    g_autoptr(id_map) whole = parsed("0:0:4294967294");
    assert_pair(whole, 4294967293u, 4294967293u);
    assert_no_disk_id(whole, 4294967294u);
    g_autoptr(id_map) last = parsed("4294967294:0:1:0:4294967294:1");
    assert_pair(last, 4294967294u, 0);
    assert_pair(last, 0, 4294967294u);
    assert_no_disk_id(last, UINT32_MAX);
}

static void test_errors_name_the_part(void **state)
{
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "not groups of three"},
        {"0:1", "2 numbers are not groups of three"},
        {"0:1:2:3", "4 numbers are not groups of three"},
        {"0:x:2", "\"x\" is not a number"},
        {"0::2", "\"\" is not a number"},
        {"0:-1:2", "\"-1\" is not a number"},
        {"0: 1:2", "\" 1\" is not a number"},
        {"0:1:0", "0:1:0 maps no id"},
        {"4294967295:0:1", "4294967295 is beyond the largest id"},
        {"0:99999999999999999999:1", "99999999999999999999 is beyond the largest id"},
        {"4294967294:0:2", "4294967294:0:2 goes beyond the largest id, 4294967294, on the view side"},
        {"0:4294967294:2", "0:4294967294:2 goes beyond the largest id, 4294967294, on the disk side"},
        {"0:100:10:9:200:1", "0:100:10 and 9:200:1 overlap on the view side"},
        {"9:200:1:0:100:10", "0:100:10 and 9:200:1 overlap on the view side"},
        {"0:100:10:10:109:1", "0:100:10 and 10:109:1 overlap on the disk side"},
        {"0:100:1:1:100:1", "overlap on the disk side"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct id_map *map = (struct id_map *)&cases;
        g_autoptr(GError) error = NULL;
        assert_int_equal(id_map_parse(cases[i].text, &map, &error), -EINVAL);
        assert_ptr_equal(map, &cases);
        assert_true(g_error_matches(error, GIDFS_ERROR, EINVAL));
        if (!strstr(error->message, cases[i].message))
            fail_msg("%s: got \"%s\", wanted \"%s\"", cases[i].text, error->message, cases[i].message);
    }
    struct id_map *map = NULL;
    assert_int_equal(id_map_parse("0:1", &map, NULL), -EINVAL);
}

/* Maps of small ranges at random places against one table that says for each id what it is. */
#define SPAN 200

static char *random_map(GRand *rand, int disk_of[SPAN])
{
    bool used[SPAN] = {false};
    for (int i = 0; i < SPAN; i++)
        disk_of[i] = -1;
    GString *text = g_string_new(NULL);
    for (int tries = 0; tries < 20; tries++) {
        int count = g_rand_int_range(rand, 1, 20);
        int view = g_rand_int_range(rand, 0, SPAN - count), disk = g_rand_int_range(rand, 0, SPAN - count);
        bool free_there = true;
        for (int i = 0; i < count; i++)
            free_there = free_there && disk_of[view + i] < 0 && !used[disk + i];
        if (!free_there)
            continue;
        for (int i = 0; i < count; i++) {
            disk_of[view + i] = disk + i;
            used[disk + i] = true;
        }
        g_string_append_printf(text, "%s%d:%d:%d", text->len ? ":" : "", view, disk, count);
    }
    return g_string_free(text, FALSE);
}

static void test_random_maps_agree_with_a_table(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20);
    for (int round = 0; round < 300; round++) {
        int disk_of[SPAN];
        g_autofree char *text = random_map(rand, disk_of);
        g_autoptr(id_map) map = parsed(text);
        g_autofree char *printed = id_map_to_string(map);
        g_autoptr(id_map) again = parsed(printed);
        uint32_t view_of[SPAN];
        for (int i = 0; i < SPAN; i++)
            view_of[i] = ID_MAP_OVERFLOW;
        for (int i = 0; i < SPAN; i++) {
            if (disk_of[i] < 0) {
                assert_no_disk_id(map, (uint32_t)i);
                continue;
            }
            assert_pair(map, (uint32_t)i, (uint32_t)disk_of[i]);
            assert_pair(again, (uint32_t)i, (uint32_t)disk_of[i]);
            view_of[disk_of[i]] = (uint32_t)i;
        }
        for (int i = 0; i < SPAN; i++)
            assert_int_equal(id_map_to_view(map, (uint32_t)i), view_of[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_is_the_identity),        cmocka_unit_test(test_both_sides_of_every_boundary),
        cmocka_unit_test(test_adjacent_and_crossed_ranges), cmocka_unit_test(test_the_largest_id),
        cmocka_unit_test(test_errors_name_the_part),        cmocka_unit_test(test_random_maps_agree_with_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
