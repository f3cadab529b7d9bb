/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"
#include "sys/share_fds.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How many descriptors the table of this process has room for. */
static long table_size(void)
{
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    const char *line = strstr(text, "FDSize:");
    assert_non_null(line);
    return atol(line + strlen("FDSize:"));
}

static void test_room_is_made_and_nothing_left_open(void **state)
{
    struct rlimit limit = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    long n = limit.rlim_cur < 600 ? (long)limit.rlim_cur : 600;
    share_fds_reserve((unsigned)n, STDOUT_FILENO);
    assert_true(table_size() >= n);
    assert_int_equal(close((int)n - 1), -1);
}

static void test_no_more_is_asked_for_than_may_be(void **state)
{
    struct rlimit limit = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit low = {.rlim_cur = limit.rlim_cur < 300 ? limit.rlim_cur : 300, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    share_fds_reserve(100000, STDOUT_FILENO);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_true(table_size() >= (long)low.rlim_cur);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_is_asked_for_than_may_be),
        cmocka_unit_test(test_room_is_made_and_nothing_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
