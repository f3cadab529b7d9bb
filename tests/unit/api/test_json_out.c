/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_out.h"
#include "gidfs_test.h"

static void assert_writes(void (*write)(struct json_out *out), const char *expected)
{
    g_auto(json_out) out = {0};
    json_out_init(&out);
    write(&out);
    assert_string_equal(out.text->str, expected);
}

static void write_nested(struct json_out *out)
{
    json_begin_object(out, NULL);
    json_begin_array(out, "a");
    json_int(out, NULL, 1);
    json_begin_object(out, NULL);
    json_end_object(out);
    json_begin_array(out, NULL);
    json_end_array(out);
    json_end_array(out);
    json_null(out, "b");
    json_bool(out, "c", true);
    json_raw(out, "d", "[1,2]");
    json_end_object(out);
}

static void write_numbers(struct json_out *out)
{
    json_begin_array(out, NULL);
    json_int(out, NULL, 0);
    json_int(out, NULL, INT64_MIN);
    json_int(out, NULL, INT64_MAX);
    json_uint(out, NULL, UINT64_MAX);
    json_id(out, NULL, 0);
    json_id(out, NULL, 7);
    json_end_array(out);
}

/* Controls, quotes and what is no UTF-8: JSON whatever the bytes. */
static void write_strings(struct json_out *out)
{
    json_begin_array(out, NULL);
    json_string(out, NULL, "plain ä€😀");
    json_string(out, NULL, "\"\\\n\t\x01\x7f");
    json_string(out, NULL, "a\xff\xc3z");
    json_string(out, NULL, "\xed\xa0\x80"); /* a surrogate */
    json_string(out, NULL, "");
    json_string(out, NULL, NULL);
    json_end_array(out);
}

static void write_times(struct json_out *out)
{
    json_begin_array(out, NULL);
    json_time(out, NULL, 0);
    json_time(out, NULL, 0);
    json_time(out, NULL, 1714564800);
    json_time(out, NULL, 1714564801);
    json_time(out, NULL, -1);
    json_time(out, NULL, INT64_MAX);
    json_time(out, NULL, 1714564801);
    json_end_array(out);
}

static void test_writes(void **state)
{
    assert_writes(write_nested, "{\"a\":[1,{},[]],\"b\":null,\"c\":true,\"d\":[1,2]}");
    assert_writes(write_numbers, "[0,-9223372036854775808,9223372036854775807,18446744073709551615,null,7]");
    assert_writes(write_strings, "[\"plain ä€😀\",\"\\\"\\\\\\n\\t\\u0001\\u007f\",\"a\xef\xbf\xbd\xef\xbf\xbdz\","
                                 "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"\",null]");
    assert_writes(write_times, "[\"1970-01-01T00:00:00Z\",\"1970-01-01T00:00:00Z\",\"2024-05-01T12:00:00Z\","
                               "\"2024-05-01T12:00:01Z\",null,null,\"2024-05-01T12:00:01Z\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
