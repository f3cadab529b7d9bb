/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include <errno.h>
#include <glib.h>

#include "cli/table.h"
#include "cli/volume_spec.h"

static void check(const char *text, const char *name, const char *source, const char *target, gboolean read_only,
                  const char *propagation)
{
    struct volume_spec spec;
    assert_int_equal(volume_spec_parse(text, &spec, NULL), 0);
    if (g_strcmp0(spec.name, name) || g_strcmp0(spec.source, source) || g_strcmp0(spec.target, target) ||
        g_strcmp0(spec.propagation, propagation) || spec.read_only != read_only)
        fail_msg("%s: name %s source %s target %s read-only %d propagation %s", text, spec.name, spec.source,
                 spec.target, spec.read_only, spec.propagation);
    volume_spec_clear(&spec);
}

static void test_reads(void **state)
{
    check("data:/data", "data", NULL, "/data", FALSE, NULL);
    check("data:/data:ro", "data", NULL, "/data", TRUE, NULL);
    check("data:/data:rw", "data", NULL, "/data", FALSE, NULL);
    check("data:/data:ro,slave", "data", NULL, "/data", TRUE, "slave");
    check("/srv/a:/x", NULL, "/srv/a", "/x", FALSE, NULL);
    check("./a:/x", NULL, "./a", "/x", FALSE, NULL);
    check("/srv/a:b:c:/x:ro", NULL, "/srv/a:b:c", "/x", TRUE, NULL);
    check("/a:/b:/c", NULL, "/a:/b", "/c", FALSE, NULL);
    check("data:/", "data", NULL, "/", FALSE, NULL);
}

static void test_refuses(void **state)
{
    static const char *const bad[] = {"",     ":",        "data",        "data:",       ":/x",    "data:x",
                                      "/a:b", "data:/x:", "data:/x:ro,", "data:/x:a,b", "a:b:ro", "::/x:,"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct volume_spec spec;
        g_autoptr(GError) error = NULL;
        if (volume_spec_parse(bad[i], &spec, &error) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(error->message, bad[i]));
    }
}

static void test_width(void **state)
{
    gboolean unprintable;
    assert_int_equal(table_text_width("", &unprintable), 0);
    assert_int_equal(table_text_width("abc", &unprintable), 3);
    assert_false(unprintable);
    assert_int_equal(table_text_width("\xc3\xa9", &unprintable), 1);
    assert_int_equal(table_text_width("e\xcc\x81", &unprintable), 1);
    assert_int_equal(table_text_width("\xe6\xbc\xa2", &unprintable), 2);
    assert_false(unprintable);
    table_text_width("a\x1b[0m", &unprintable);
    assert_true(unprintable);
    table_text_width("a\nb", &unprintable);
    assert_true(unprintable);
    table_text_width("\xc2\x9b", &unprintable); /* the eight-bit form of ESC [ */
    assert_true(unprintable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
