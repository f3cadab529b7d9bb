/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

static json_doc *parse(const char *text)
{
    json_doc *doc = NULL;
    g_autoptr(GError) error = NULL;
    if (json_doc_parse(text, strlen(text), &doc, &error) < 0)
        fail_msg("%s: %s", text, error->message);
    return doc;
}

static void round_trip(const char *text, const char *expected)
{
    g_autoptr(json_doc) doc = parse(text);
    g_autoptr(GString) out = g_string_new(NULL);
    json_doc_write(doc, 0, out);
    assert_string_equal(out->str, expected);
}

static void test_round_trips(void **state)
{
    round_trip("{}", "{}");
    round_trip(" [ ] ", "[]");
    round_trip("{\"a\" : [1, -2.5e+3, true ,false,null, \"x\"], \"b\":{\"c\":{}}}",
               "{\"a\":[1,-2.5e+3,true,false,null,\"x\"],\"b\":{\"c\":{}}}");
    round_trip("\"\\u00e9\\ud83d\\ude00 \\/ \\n\\u0001\"", "\"\xc3\xa9\xf0\x9f\x98\x80 / \\n\\u0001\"");
    round_trip("\"\\\"\\\\\"", "\"\\\"\\\\\"");
    round_trip("0", "0");
}

static void test_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "01",
        "1.",
        "1e",
        "-",
        "tru",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"\n\"",
        "\"open",
        "[1]x",
        "\"\xff\"",
        "{\"a\"}",
        "[,1]",
        "+1",
        "\"\\ud800\\u0041\"",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        json_doc *doc = NULL;
        g_autoptr(GError) error = NULL;
        if (json_doc_parse(bad[i], strlen(bad[i]), &doc, &error) != -EBADMSG)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(error);
        assert_null(doc);
    }
    json_doc *doc = NULL;
    assert_int_equal(json_doc_parse("[1]\0", 4, &doc, NULL), -EBADMSG);
}

static void test_depth_is_bounded(void **state)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int depth = 1; depth <= 65; depth++) {
        g_string_truncate(text, 0);
        for (int i = 0; i < depth; i++)
            g_string_append_c(text, '[');
        for (int i = 0; i < depth; i++)
            g_string_append_c(text, ']');
        g_autoptr(json_doc) doc = NULL;
        assert_int_equal(json_doc_parse(text->str, text->len, &doc, NULL), depth <= 64 ? 0 : -EBADMSG);
    }
}

static void test_every_prefix_is_refused(void **state)
{
    static const char whole[] = "{\"a\":[1,{\"b\":\"\\u00e9\\n\"},[],true],\"c\":null}";
    for (size_t n = 0; n < strlen(whole); n++) {
        g_autofree char *exact = g_memdup2(whole, n ? n : 1); /* a byte too far is a heap overflow */
        json_doc *doc = NULL;
        assert_int_equal(json_doc_parse(exact, n, &doc, NULL), -EBADMSG);
    }
}

static void test_finds(void **state)
{
    g_autoptr(json_doc) doc = parse("{\"mounts\":[{\"target\":\"/a\"},{\"target\":\"/b\",\"gid\":50000}],\"ok\":true}");
    assert_string_equal(json_doc_string(doc, json_doc_find(doc, "mounts.1.target")), "/b");
    assert_int_equal(json_doc_find(doc, "mounts.2.target"), JSON_DOC_NONE);
    assert_int_equal(json_doc_find(doc, "mounts.x"), JSON_DOC_NONE);
    assert_int_equal(json_doc_find(doc, "ok.x"), JSON_DOC_NONE);
    assert_int_equal(json_doc_find(doc, "absent.x"), JSON_DOC_NONE);
    assert_int_equal(json_doc_count(doc, json_doc_find(doc, "mounts")), 2);
    assert_int_equal(json_doc_count(doc, 0), 2);
    assert_true(json_doc_true(doc, json_doc_find(doc, "ok")));
    assert_null(json_doc_string(doc, json_doc_find(doc, "ok")));

    gint64 gid = 0;
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "mounts.1.gid"), &gid), 0);
    assert_int_equal(gid, 50000);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "ok"), &gid), -EINVAL);
    assert_int_equal(json_doc_int64(doc, JSON_DOC_NONE, &gid), -EINVAL);
}

static void test_numbers(void **state)
{
    gint64 value = 7;
    g_autoptr(json_doc) doc =
        parse("[9223372036854775807,9223372036854775808,-9223372036854775808,1.5,1e3,4294967295]");
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "1"), &value), -ERANGE);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "3"), &value), -EINVAL);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "4"), &value), -EINVAL);
    assert_int_equal(value, 7);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "0"), &value), 0);
    assert_true(value == G_MAXINT64);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "2"), &value), 0);
    assert_true(value == G_MININT64);
    assert_int_equal(json_doc_int64(doc, json_doc_find(doc, "5"), &value), 0);
    assert_true(value == G_MAXUINT32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
