/* SPDX-License-Identifier: Apache-2.0 */
#include "core/number.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static int parse(const char *text, uint64_t max, uint64_t *ret_number)
{
    return number_parse(text, strlen(text), max, ret_number);
}

static void test_number_reads_up_to_its_limit(void **state)
{
    uint64_t number = 1;
    assert_int_equal(parse("0", 10, &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(parse("0010", 10, &number), 0);
    assert_int_equal(number, 10);
    assert_int_equal(parse("11", 10, &number), -ERANGE);
    assert_int_equal(number, 10);
    assert_int_equal(parse("18446744073709551615", UINT64_MAX, &number), 0);
    assert_true(number == UINT64_MAX);
    assert_int_equal(parse("18446744073709551616", UINT64_MAX, &number), -ERANGE);
    assert_int_equal(parse("99999999999999999999999", UINT64_MAX, &number), -ERANGE);
}

static void test_number_is_digits_only(void **state)
{
    const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1e3", "a", "99999999999999999999999x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint64_t number = 7;
        assert_int_equal(parse(bad[i], UINT64_MAX, &number), -EINVAL);
        assert_int_equal(number, 7);
    }
}

static void test_number_reads_no_further_than_its_length(void **state)
{
    uint64_t number = 0;
    assert_int_equal(number_parse("123456", 3, 1000, &number), 0);
    assert_int_equal(number, 123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_reads_up_to_its_limit),
        cmocka_unit_test(test_number_is_digits_only),
        cmocka_unit_test(test_number_reads_no_further_than_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
