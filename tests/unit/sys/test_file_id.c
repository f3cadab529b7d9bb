/* SPDX-License-Identifier: Apache-2.0 */
/* A directory is known by what it is and not by its path (behaviour A4). */
#include "gidfs_test.h"
#include "sys/file_id.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

struct fixture {
    char *top;
    char *a;
    char *b;
};

static int setup(void **state)
{
    struct fixture *fixture = g_new0(struct fixture, 1);
    fixture->top = g_dir_make_tmp("gidfs-id-XXXXXX", NULL);
    fixture->a = g_build_filename(fixture->top, "a", NULL);
    fixture->b = g_build_filename(fixture->top, "b", NULL);
    *state = fixture;
    return g_mkdir(fixture->a, 0755);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    g_unlink(fixture->a);
    g_rmdir(fixture->a);
    g_rmdir(fixture->b);
    g_rmdir(fixture->top);
    g_free(fixture->top);
    g_free(fixture->a);
    g_free(fixture->b);
    g_free(fixture);
    return 0;
}

static struct file_id id_of(const char *path)
{
    struct file_id id = {0};
    g_autofree char *real = NULL;
    g_autoptr(GError) error = NULL;
    if (file_id_of_directory(path, &id, &real, &error) < 0)
        fail_msg("%s", error->message);
    return id;
}

static void test_same_by_any_path(void **state)
{
    struct fixture *fixture = *state;
    g_auto(file_id) id = id_of(fixture->a);
    assert_int_equal(symlink(fixture->a, fixture->b), 0);
    struct file_id other = {0};
    g_autofree char *real = NULL;
    assert_int_equal(file_id_of_directory(fixture->b, &other, &real, NULL), 0);
    assert_true(g_bytes_equal(id.handle, other.handle));
    assert_true(g_str_has_suffix(real, "/a"));
    file_id_clear(&other);
    g_unlink(fixture->b);
}

static void test_refuses_what_is_no_directory(void **state)
{
    struct fixture *fixture = *state;
    struct file_id id = {0};
    char *real = NULL;
    g_autoptr(GError) error = NULL;
    assert_true(g_file_set_contents(fixture->b, "", 0, NULL));
    assert_int_equal(file_id_of_directory(fixture->b, &id, &real, &error), -ENOTDIR);
    assert_int_equal(file_id_of_directory("/nonexistent", &id, &real, NULL), -ENOENT);
    assert_null(real);
    g_unlink(fixture->b);
}

static void test_fates(void **state)
{
    struct fixture *fixture = *state;
    g_auto(file_id) id = id_of(fixture->a);
    g_autofree char *found = NULL;
    assert_int_equal(file_id_find(&id, fixture->a, FALSE, &found), FILE_ID_SAME);
    g_auto(file_id) renumbered = {.device = id.device + 1, .handle = g_bytes_ref(id.handle)};
    assert_int_equal(file_id_find(&renumbered, fixture->a, TRUE, &found), FILE_ID_SAME);
    assert_int_equal(file_id_find(&renumbered, fixture->a, FALSE, &found), FILE_ID_UNKNOWN);
    assert_null(found);

    assert_int_equal(rename(fixture->a, fixture->b), 0);
    enum file_id_fate fate = file_id_find(&id, fixture->a, FALSE, &found);
    if (fate == FILE_ID_MOVED) /* not where opening by handle is not permitted, or there are no handles */
        assert_true(g_str_has_suffix(found, "/b"));
    assert_int_equal(rename(fixture->b, fixture->a), 0);
}

/* Deleted, and another one in its place, whose inode number may be the same. */
static void test_gone(void **state)
{
    struct fixture *fixture = *state;
    g_auto(file_id) id = id_of(fixture->a);
    g_autofree char *found = NULL;
    assert_int_equal(g_rmdir(fixture->a), 0);
    enum file_id_fate fate = file_id_find(&id, fixture->a, FALSE, &found);
    assert_true(fate == FILE_ID_GONE || fate == FILE_ID_UNKNOWN);
    assert_int_equal(g_mkdir(fixture->a, 0755), 0);
    assert_int_not_equal(file_id_find(&id, fixture->a, FALSE, &found), FILE_ID_SAME);
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(test_same_by_any_path),
        with_fixture(test_refuses_what_is_no_directory),
        with_fixture(test_fates),
        with_fixture(test_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
