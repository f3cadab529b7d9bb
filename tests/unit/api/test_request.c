/* SPDX-License-Identifier: Apache-2.0 */
#include "api/request.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static struct api_request *request_of(const char *body)
{
    struct api_request *request = api_request_new("POST", "/v1/volumes");
    g_byte_array_append(request->body, (const guint8 *)body, (guint)strlen(body));
    return request;
}

static void assert_not_parsed(const char *body, const char *word)
{
    g_autoptr(api_request) request = request_of(body);
    g_autoptr(GError) error = NULL;
    assert_int_equal(api_request_parse(request, &error), -EINVAL);
    assert_int_equal(refusal_of(error), REFUSAL_BAD_REQUEST);
    if (!strstr(error->message, word))
        fail_msg("\"%s\" does not speak of %s", error->message, word);
}

static void test_what_is_no_object(void **state)
{
    g_autofree char *deep = g_strnfill(100000, '[');
    assert_not_parsed("{", "not JSON");
    assert_not_parsed("[]", "not a JSON object");
    assert_not_parsed("null", "not a JSON object");
    assert_not_parsed("\"x\"", "not a JSON object");
    assert_not_parsed("{\"a\":\"\xff\"}", "UTF-8");
    assert_not_parsed(deep, "nested");
    assert_not_parsed("{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "nested");
}

static void test_a_zero_character_ends_no_string(void **state)
{
    assert_not_parsed("{\"a\":\"/srv/data\\u0000x\"}", "u0000");
    assert_not_parsed("{\"a\\\\\\u0000\":1}", "u0000");
    g_autoptr(api_request) request = request_of("{\"a\":\"\\\\u0000 \\u0001\"}");
    assert_int_equal(api_request_parse(request, NULL), 0);
    g_autoptr(api_request) short_one = request_of("{\"a\":\"\\u000");
    assert_int_equal(api_request_parse(short_one, NULL), -EINVAL);
}

static void test_brackets_in_strings_do_not_nest(void **state)
{
    g_autoptr(api_request) request = request_of("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}");
    assert_int_equal(api_request_parse(request, NULL), 0);
}

static void test_an_absent_body_is_empty(void **state)
{
    g_autoptr(api_request) request = request_of(" \r\n");
    struct api_reader reader;
    assert_int_equal(api_request_parse(request, NULL), 0);
    api_reader_body(&reader, request);
    assert_null(api_read_string(&reader, "name"));
    assert_int_equal(api_read_bool(&reader, "flag"), -1);
    assert_int_equal(api_read_number(&reader, "gid", 10, -1), -1);
    assert_null(api_read_array(&reader, "list"));
    assert_int_equal(api_reader_end(&reader, NULL), 0);
}

static void test_members(void **state)
{
    g_autoptr(api_request) request = request_of("{\"name\":\"x\",\"flag\":true,\"gid\":7,\"none\":null,\"list\":[1]}");
    struct api_reader reader;
    assert_int_equal(api_request_parse(request, NULL), 0);
    api_reader_body(&reader, request);
    assert_string_equal(api_read_required(&reader, "name"), "x");
    assert_int_equal(api_read_bool(&reader, "flag"), 1);
    assert_int_equal(api_read_number(&reader, "gid", 7, -1), 7);
    assert_null(api_read_string(&reader, "none"));
    assert_int_equal(json_array_get_length(api_read_array(&reader, "list")), 1);
    assert_int_equal(api_reader_end(&reader, NULL), 0);
}

/* Reads one member in each way that it may be wrong; the message names it. */
static void assert_wrong(const char *body, void (*read)(struct api_reader *reader), const char *word)
{
    g_autoptr(api_request) request = request_of(body);
    g_autoptr(GError) error = NULL;
    struct api_reader reader;
    assert_int_equal(api_request_parse(request, NULL), 0);
    api_reader_body(&reader, request);
    read(&reader);
    assert_int_equal(api_reader_end(&reader, &error), -EINVAL);
    if (!strstr(error->message, word))
        fail_msg("\"%s\" does not speak of %s", error->message, word);
}

static void read_name(struct api_reader *reader)
{
    api_read_required(reader, "name");
}

static void read_flag(struct api_reader *reader)
{
    api_read_bool(reader, "flag");
}

static void read_gid(struct api_reader *reader)
{
    api_read_number(reader, "gid", 10, -1);
}

static void test_wrong_members(void **state)
{
    assert_wrong("{}", read_name, "name: missing");
    assert_wrong("{\"name\":1}", read_name, "name: not a string");
    assert_wrong("{\"nmae\":\"x\"}", read_name, "nmae: no such member"); /* rather than: missing */
    assert_wrong("{\"flag\":\"true\"}", read_flag, "flag");
    assert_wrong("{\"gid\":11}", read_gid, "gid");
    assert_wrong("{\"gid\":-1}", read_gid, "gid");
    assert_wrong("{\"gid\":1.5}", read_gid, "gid");
    assert_wrong("{\"gid\":\"7\"}", read_gid, "gid");
}

static void test_query(void **state)
{
    g_autoptr(api_request) request = api_request_new("GET", "/");
    g_autoptr(GError) error = NULL;
    struct api_reader reader;
    g_hash_table_insert(request->query, g_strdup("force"), g_strdup("true"));
    g_hash_table_insert(request->query, g_strdup("pid"), g_strdup("12"));
    api_reader_query(&reader, request);
    assert_int_equal(api_read_bool(&reader, "force"), 1);
    assert_int_equal(api_read_number(&reader, "pid", 100, 0), 12);
    assert_int_equal(api_reader_end(&reader, NULL), 0);

    g_hash_table_insert(request->query, g_strdup("pid"), g_strdup("12x"));
    api_reader_query(&reader, request);
    assert_int_equal(api_read_number(&reader, "pid", 100, 0), 0);
    assert_int_equal(api_read_bool(&reader, "force"), 1);
    assert_int_equal(api_reader_end(&reader, &error), -EINVAL);
}

static void test_failures_as_answers(void **state)
{
    g_autoptr(api_request) request = api_request_new("GET", "/");
    g_autoptr(GError) error = NULL;
    json_begin_object(&request->out, NULL); /* half an answer is thrown away */
    refuse(&error, REFUSAL_BUSY, "volume \"x\" is busy");
    refusal_set_details(error, g_variant_new_parsed("{'attachments': <['/a']>}"));
    api_request_fail(request, error);
    assert_int_equal(request->status, 423);
    assert_string_equal(request->out.text->str,
                        "{\"error\":{\"code\":\"busy\",\"errno\":16,\"message\":\"volume \\\"x\\\" is busy\","
                        "\"details\":{\"attachments\":[\"/a\"]}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_object),
        cmocka_unit_test(test_a_zero_character_ends_no_string),
        cmocka_unit_test(test_brackets_in_strings_do_not_nest),
        cmocka_unit_test(test_an_absent_body_is_empty),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_failures_as_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
