/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gid_range.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static void test_gids_of_volumes(void **state)
{
    static const char *const good[] = {"1", "50000", "65533", "65535", "4294967294"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        uint32_t gid = 0;
        assert_int_equal(gid_parse("--gid", good[i], &gid, NULL), 0);
        assert_int_equal(gid, strtoul(good[i], NULL, 10));
    }
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"0", "--gid: gid 0 is root's group"},
        {"65534", "--gid: gid 65534 is nogroup"},
        {"4294967295", "--gid: gid 4294967295 is out of bounds; the largest is 4294967294"},
        {"18446744073709551616", "out of bounds"},
        {"", "--gid: \"\" is not a gid"},
        {"users", "--gid: \"users\" is not a gid; write a number"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint32_t gid = 7;
        g_autoptr(GError) error = NULL;
        assert_int_equal(gid_parse("--gid", bad[i].text, &gid, &error), -EINVAL);
        assert_non_null(strstr(error->message, bad[i].message));
        assert_int_equal(gid, 7);
    }
    assert_int_equal(gid_check("x", (uint64_t)GID_MAX + 1, NULL), -EINVAL);
    assert_int_equal(gid_check("x", GID_MAX, NULL), 0);
}

static void test_ranges_of_gids(void **state)
{
    static const struct {
        const char *text;
        int r;
        const char *outcome; /* the range printed, or a part of the message */
    } cases[] = {
        {"50000-59999,70000-70999", 0, "50000-59999,70000-70999"},
        {"[50000-59999]", 0, "50000-59999"},
        {"1-65533,65535-4294967294", 0, "1-65533,65535-4294967294"},
        {"0-10", -EINVAL, "gid range 0-10: gids 0 (root), 65534 (nogroup)"},
        {"0-10", -EINVAL, "; write 1-10"},
        {"60000-70000", -EINVAL, "; write 60000-65533,65535-70000"},
        {"65534-65534", -EINVAL, "; write another range"},
        {"4294967290-4294967295", -EINVAL, "; write 4294967290-4294967294"},
        {"4294967290-4294967296", -ERANGE, "the largest is 4294967295"},
        {"fifty", -EINVAL, "not parseable"},
        {"50000", -EDOM, "not a range"},
        {"59999-50000", -ENODATA, "empty"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(range_set) range = NULL;
        g_autoptr(GError) error = NULL;
        assert_int_equal(gid_range_parse(cases[i].text, &range, &error), cases[i].r);
        g_autofree char *text = range ? range_set_to_string(range) : g_strdup(error->message);
        if (!strstr(text, cases[i].outcome))
            fail_msg("%s: %s", cases[i].text, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gids_of_volumes),
        cmocka_unit_test(test_ranges_of_gids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
