/* SPDX-License-Identifier: Apache-2.0 */
#include "core/overlay_xattr.h"
#include "core/whiteout.h"
#include "gidfs_test.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void test_names_are_told_apart(void **state)
{
    const char *hidden = NULL;
    assert_int_equal(whiteout_parse_name("plain", &hidden), WHITEOUT_NAME_NONE);
    assert_int_equal(whiteout_parse_name(".wh", &hidden), WHITEOUT_NAME_NONE);
    assert_int_equal(whiteout_parse_name(".who", &hidden), WHITEOUT_NAME_NONE);
    assert_int_equal(whiteout_parse_name("x.wh.y", &hidden), WHITEOUT_NAME_NONE);
    assert_int_equal(whiteout_parse_name(".wh..wh..opq", &hidden), WHITEOUT_NAME_OPAQUE);
    assert_null(hidden);
    assert_int_equal(whiteout_parse_name(".wh.gone", &hidden), WHITEOUT_NAME_HIDES);
    assert_string_equal(hidden, "gone");
    assert_int_equal(whiteout_parse_name(".wh..hidden", &hidden), WHITEOUT_NAME_HIDES);
    assert_string_equal(hidden, ".hidden");
    assert_int_equal(whiteout_parse_name(".wh.....", &hidden), WHITEOUT_NAME_HIDES);
    assert_string_equal(hidden, "....");
}

/* ".wh..." once made a server delete the parent of the rootfs. */
static void test_hostile_names_hide_nothing(void **state)
{
    static const char *const hostile[] = {".wh.",     ".wh..",        ".wh...",           ".wh.a/b",
                                          ".wh./etc", ".wh.../x",     ".wh..wh.",         ".wh..wh.plnk",
                                          ".wh.x/",   ".wh..wh.orph", ".wh..wh..opq.more"};
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        const char *hidden = "untouched";
        assert_int_equal(whiteout_parse_name(hostile[i], &hidden), WHITEOUT_NAME_REFUSED);
        assert_string_equal(hidden, "untouched");
        assert_true(whiteout_is_mark(hostile[i]));
    }
}

static void test_marks_are_made_to_be_read_back(void **state)
{
    char mark[NAME_MAX + 1], longest[NAME_MAX + 1] = {0};
    const char *hidden;
    assert_int_equal(whiteout_make_name("f", mark), 0);
    assert_string_equal(mark, ".wh.f");
    memset(longest, 'n', NAME_MAX - 4);
    assert_int_equal(whiteout_make_name(longest, mark), 0);
    assert_int_equal(whiteout_parse_name(mark, &hidden), WHITEOUT_NAME_HIDES);
    assert_string_equal(hidden, longest);
    longest[NAME_MAX - 4] = 'n';
    assert_int_equal(whiteout_make_name(longest, mark), -ENAMETOOLONG);
    static const char *const impossible[] = {"", ".", "..", "a/b", ".wh.x", ".wh..opq"};
    for (size_t i = 0; i < G_N_ELEMENTS(impossible); i++)
        assert_int_equal(whiteout_make_name(impossible[i], mark), -EINVAL);
}

static void test_device_whiteout(void **state)
{
    assert_true(whiteout_is_device(S_IFCHR | 0644, makedev(0, 0)));
    assert_true(whiteout_is_device(S_IFCHR, 0));
    assert_false(whiteout_is_device(S_IFCHR | 0644, makedev(1, 3)));
    assert_false(whiteout_is_device(S_IFBLK | 0644, makedev(0, 0)));
    assert_false(whiteout_is_device(S_IFREG | 0644, makedev(0, 0)));
}

static void test_overlay_xattr_names(void **state)
{
    for (int form = 0; form < 2; form++)
        for (int attr = 0; attr < OVERLAY_XATTR_COUNT; attr++) {
            enum overlay_xattr_form got_form;
            enum overlay_xattr got;
            assert_true(overlay_xattr_parse(overlay_xattr_name(form, attr), &got_form, &got));
            assert_int_equal(got_form, form);
            assert_int_equal(got, attr);
        }
    enum overlay_xattr_form form;
    enum overlay_xattr attr;
    assert_false(overlay_xattr_parse("trusted.overlay.", &form, &attr));
    assert_false(overlay_xattr_parse("trusted.overlay.overlay.opaque", &form, &attr));
    assert_false(overlay_xattr_parse("user.opaque", &form, &attr));
}

static void test_a_client_cannot_name_what_steers_the_merge(void **state)
{
    char disk[XATTR_NAME_MAX + 1], view[XATTR_NAME_MAX + 1];
    static const struct {
        const char *view, *disk;
    } cases[] = {
        {"user.x", "user.x"},
        {"user.overlay", "user.overlay"},
        {"user.overlay.opaque", "user.overlay.overlay.opaque"},
        {"trusted.overlay.redirect", "trusted.overlay.overlay.redirect"},
        {"trusted.overlay.overlay.opaque", "trusted.overlay.overlay.overlay.opaque"},
        {"trusted.overlay.", "trusted.overlay.overlay."},
        {"security.capability", "security.capability"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_int_equal(overlay_xattr_to_disk(cases[i].view, disk), 0);
        assert_string_equal(disk, cases[i].disk);
        assert_true(overlay_xattr_to_view(disk, view));
        assert_string_equal(view, cases[i].view);
    }
    assert_false(overlay_xattr_to_view("trusted.overlay.opaque", view));
    assert_false(overlay_xattr_to_view("user.overlay.origin", view));
    assert_false(overlay_xattr_to_view("user.overlay.", view));

    char longest[XATTR_NAME_MAX + 2] = "user.overlay.";
    memset(longest + strlen(longest), 'x', XATTR_NAME_MAX - 8 - strlen(longest));
    assert_int_equal(overlay_xattr_to_disk(longest, disk), 0);
    strcat(longest, "x");
    assert_int_equal(overlay_xattr_to_disk(longest, disk), -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_told_apart),
        cmocka_unit_test(test_hostile_names_hide_nothing),
        cmocka_unit_test(test_marks_are_made_to_be_read_back),
        cmocka_unit_test(test_device_whiteout),
        cmocka_unit_test(test_overlay_xattr_names),
        cmocka_unit_test(test_a_client_cannot_name_what_steers_the_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
