/* SPDX-License-Identifier: Apache-2.0 */
#include "core/path_rules.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static void test_normal_paths(void **state)
{
    static const struct {
        const char *path, *normal;
    } good[] = {
        {"/", "/"},
        {"///", "/"},
        {"/.", "/"},
        {"/a", "/a"},
        {"//a///b//", "/a/b"},
        {"/./a/./b/.", "/a/b"},
        {"/a/.b/...", "/a/.b/..."},
        {"/a/b..", "/a/b.."},
        {"/a b/\n", "/a b/\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *normal = NULL;
        assert_int_equal(path_normalize("source", good[i].path, &normal, NULL), 0);
        assert_string_equal(normal, good[i].normal);
    }
    static const struct {
        const char *path, *message;
    } bad[] = {
        {"", "source: \"\" is not an absolute path; start it with /"},
        {"a/b", "source: \"a/b\" is not an absolute path"},
        {"./a", "not an absolute path"},
        {"/a/../b", "source: \"/a/../b\" holds \"..\""},
        {"/..", "holds \"..\""},
        {"/a/..//", "holds \"..\""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *normal = NULL;
        g_autoptr(GError) error = NULL;
        assert_int_equal(path_normalize("source", bad[i].path, &normal, &error), -EINVAL);
        assert_non_null(strstr(error->message, bad[i].message));
        assert_null(normal);
    }
}

static void test_relations_go_by_component(void **state)
{
    static const struct {
        const char *a, *b;
        enum path_relation relation;
    } cases[] = {
        {"/a/b", "/a/b", PATH_SAME},      {"/a/b/", "//a/./b", PATH_SAME}, {"/", "/", PATH_SAME},
        {"/a/b/c", "/a/b", PATH_INSIDE},  {"/a/bc", "/a/b", PATH_APART},   {"/a/b", "/a/bc", PATH_APART},
        {"/a", "/", PATH_INSIDE},         {"/", "/a", PATH_CONTAINS},      {"/a/b", "/a/b/c/d", PATH_CONTAINS},
        {"/a/b", "/a/c", PATH_APART},     {"/b", "/a/b", PATH_APART},      {"/a/B", "/a/b", PATH_APART},
        {"/a/b/c", "/a/b/", PATH_INSIDE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        enum path_relation relation = cases[i].relation;
        assert_int_equal(path_relate(cases[i].a, cases[i].b), relation);
        assert_int_equal(path_is_within(cases[i].a, cases[i].b), relation == PATH_SAME || relation == PATH_INSIDE);
        assert_int_equal(path_is_within(cases[i].b, cases[i].a), relation == PATH_SAME || relation == PATH_CONTAINS);
    }
}

static void test_the_deepest_container(void **state)
{
    const char *const dirs[] = {"/run/views", "/run", "/run/views/a", "/run/views/ab", NULL}, *const none[] = {NULL};
    assert_string_equal(path_deepest_container("/run/views/a/x", dirs), "/run/views/a");
    assert_string_equal(path_deepest_container("/run/views/abc", dirs), "/run/views");
    assert_string_equal(path_deepest_container("/run", dirs), "/run");
    assert_null(path_deepest_container("/ru", dirs));
    assert_null(path_deepest_container("/run", none));
}

static void test_where_a_view_may_go(void **state)
{
    const char *const views[] = {"/mnt/view", NULL};
    static const struct {
        const char *source, *mount_point;
        int r;
        const char *message;
    } cases[] = {
        {"/srv/data", "/mnt/a", 0, NULL},
        {"/srv/data", "/srv/data2", 0, NULL},
        {"/srv/data", "/srv", 0, NULL},
        {"/srv/data", "/mnt/view", 0, NULL},
        {"/srv/data", "/mnt/viewer", 0, NULL},
        {"/mnt/viewer", "/srv/a", 0, NULL},
        {"/srv/data", "/srv/data", -EINVAL, "mount point /srv/data: lies in the source /srv/data, so"},
        {"/srv/data", "/srv/data/x/y", -EINVAL, "would contain itself; take one outside"},
        {"/", "/mnt/a", -EINVAL, "lies in the source /"},
        {"/mnt/view", "/srv/a", -EBUSY, "source /mnt/view: lies in the gidfs view at /mnt/view; take"},
        {"/mnt/view/x", "/srv/a", -EBUSY, "source /mnt/view/x: lies in the gidfs view at /mnt/view"},
        {"/srv/data", "/mnt/view/x", -EBUSY, "mount point /mnt/view/x: lies in the gidfs view at /mnt/view"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        int r = path_check_view(cases[i].source, cases[i].mount_point, views, &error);
        if (r != cases[i].r || (r < 0 && !strstr(error->message, cases[i].message)))
            fail_msg("%s at %s: got %d, %s", cases[i].source, cases[i].mount_point, r, error ? error->message : "");
    }
}

static void test_uppers(void **state)
{
    static const char *const lowers[] = {"/l/app", "/l/base", NULL};
    static const struct {
        const char *upper, *work, *mount_point, *message;
    } cases[] = {
        {"/u", "/w", "/m", NULL},
        {"/s/diff", "/s/diff2", "/s/merged", NULL},
        {"/l", "/w", "/l/base", "mount point /l/base: lies in the upperdir"},
        {"/l/app/u", "/w", "/l/base", NULL},
        {"/u", "/u", "/m", "workdir /u: one of it and upperdir /u lies in the other"},
        {"/u", "/u/w", "/m", "lies in the other"},
        {"/w/u", "/w", "/m", "lies in the other"},
        {"/l/base", "/w", "/m", "upperdir /l/base: is a lower layer as well"},
        {"/u", "/w", "/u", "lies in the upperdir or workdir"},
        {"/u", "/w", "/u/in/it", "lies in the upperdir or workdir"},
        {"/u", "/w", "/w/work", "lies in the upperdir or workdir"},
        {"/u", "/w", "/user", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        int r = path_check_upper(cases[i].upper, cases[i].work, lowers, cases[i].mount_point, &error);
        assert_int_equal(r, cases[i].message ? -EINVAL : 0);
        if (r < 0 && !strstr(error->message, cases[i].message))
            fail_msg("upper %s, work %s at %s: %s", cases[i].upper, cases[i].work, cases[i].mount_point,
                     error->message);
    }
}

static void test_names(void **state)
{
    static const char *const good[] = {"a", "0", "data-1_x.y", "A..b"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        assert_int_equal(volume_name_check(good[i], NULL), 0);
        assert_int_equal(container_id_check(good[i], NULL), 0);
    }
    static const struct {
        const char *name, *message;
    } bad[] = {
        {"", "volume name: empty"},
        {".", "volume name \".\": starts with no letter or digit"},
        {"..", "starts with no letter"},
        {"-f", "starts with no letter"},
        {".wh.a", "starts with no letter"},
        {"a/b", "holds something else than letters, digits and _.-"},
        {"a b", "holds something else"},
        {"a\n", "holds something else"},
        {"caf\xc3\xa9", "holds something else"},
        {"a:b", "holds something else"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        assert_int_equal(volume_name_check(bad[i].name, &error), -EINVAL);
        assert_non_null(strstr(error->message, bad[i].message));
    }
    assert_int_equal(container_id_check("pod:web@1", NULL), 0);
    assert_int_equal(container_id_check("a/b", NULL), -EINVAL);
}

static void test_names_have_a_longest(void **state)
{
    g_autofree char *longest = g_strnfill(VOLUME_NAME_MAX, 'v'), *longer = g_strnfill(VOLUME_NAME_MAX + 1, 'v');
    g_autofree char *id = g_strnfill(CONTAINER_ID_MAX, 'c'), *longer_id = g_strnfill(CONTAINER_ID_MAX + 1, 'c');
    assert_int_equal(volume_name_check(longest, NULL), 0);
    g_autoptr(GError) error = NULL;
    assert_int_equal(volume_name_check(longer, &error), -EINVAL);
    assert_non_null(strstr(error->message, "129 bytes long; the most is 128"));
    assert_int_equal(container_id_check(id, NULL), 0);
    assert_int_equal(container_id_check(longer_id, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_paths),
        cmocka_unit_test(test_relations_go_by_component),
        cmocka_unit_test(test_the_deepest_container),
        cmocka_unit_test(test_where_a_view_may_go),
        cmocka_unit_test(test_uppers),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_have_a_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
