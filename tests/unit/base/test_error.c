/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "gidfs_test.h"

#include <fcntl.h>

static void test_error_carries_errno_and_message(void **state)
{
    g_autoptr(GError) error = NULL;
    assert_int_equal(gidfs_error(&error, ENOENT, "volume %s: no such volume", "v"), -ENOENT);
    assert_true(g_error_matches(error, GIDFS_ERROR, ENOENT));
    assert_string_equal(error->message, "volume v: no such volume");
    assert_int_equal(gidfs_error_to_errno(error), -ENOENT);
}

static void test_error_takes_both_signs_and_no_error(void **state)
{
    assert_int_equal(gidfs_error(NULL, -EBUSY, "busy"), -EBUSY);
    assert_int_equal(gidfs_error(NULL, 0, "nothing"), -EIO);
    g_autoptr(GError) error = NULL;
    assert_int_equal(gidfs_error_errno(&error, -EACCES, "open /x"), -EACCES);
    assert_string_equal(error->message, "open /x: Permission denied");
    assert_int_equal(gidfs_error_to_errno(NULL), -EIO);
}

static void test_auto_fd_closes_unless_stolen(void **state)
{
    int kept = -1, closed = -1;
    {
        auto_fd int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
        auto_fd int b = open("/dev/null", O_RDONLY | O_CLOEXEC);
        closed = a;
        kept = fd_steal(&b);
        assert_int_equal(b, -1);
    }
    assert_int_equal(fcntl(closed, F_GETFD), -1);
    assert_int_not_equal(fcntl(kept, F_GETFD), -1);
    fd_close(kept);
}

static void test_log_levels_are_parsed(void **state)
{
    enum log_level level = LOG_LEVEL_INFO;
    assert_int_equal(log_level_from_string("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_from_string("loud", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    gint64 last = 0;
    assert_true(log_limit_allows(&last));
    assert_false(log_limit_allows(&last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_carries_errno_and_message),
        cmocka_unit_test(test_error_takes_both_signs_and_no_error),
        cmocka_unit_test(test_auto_fd_closes_unless_stolen),
        cmocka_unit_test(test_log_levels_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
