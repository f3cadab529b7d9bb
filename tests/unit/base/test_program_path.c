/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/program_path.h"

/* A tree as "cmake --install" makes it, somewhere it was not configured for. */
static char *make_program(const char *root, const char *folder, const char *name)
{
    g_autofree char *dir = g_build_filename(root, folder, NULL);
    char *path = g_build_filename(dir, name, NULL);
    assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
    assert_true(g_file_set_contents(path, "#!/bin/sh\n", -1, NULL));
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

static void assert_near(const char *root, const char *from, const char *name, const char *expected)
{
    g_autofree char *dir = g_build_filename(root, from, NULL);
    g_autofree char *found = program_path_near(dir, name);
    if (g_strcmp0(found, expected) != 0)
        fail_msg("%s from %s: %s, not %s", name, from, found, expected);
}

static void test_an_installed_tree_finds_its_own(void **state)
{
    g_autofree char *root = g_dir_make_tmp("gidfs-tree-XXXXXX", NULL);
    g_autofree char *view = make_program(root, "bin", "gidfs-view");
    g_autofree char *service = make_program(root, "sbin", "gidfsd");
    g_autofree char *helper = make_program(root, "libexec/gidfs", "gidfs-nsmount");
    assert_near(root, "sbin", "gidfs-view", view);
    assert_near(root, "sbin", "gidfs-nsmount", helper);
    assert_near(root, "bin", "gidfs-nsmount", helper);
    assert_near(root, "bin", "gidfsd", service);
    assert_near(root, "libexec/gidfs", "gidfs-view", view);
    assert_near(root, "libexec/gidfs", "gidfs-nsmount", helper);
    assert_near(root, "bin", "gidfs-absent", NULL);

    g_autofree char *remove = g_strdup_printf("rm -r '%s'", root);
    assert_int_equal(system(remove), 0);
}

static void test_the_environment_wins(void **state)
{
    g_setenv("GIDFS_ABSENT_PROGRAM", "/some/where", TRUE);
    g_autofree char *named = program_path("gidfs-absent");
    assert_string_equal(named, "/some/where");
    g_unsetenv("GIDFS_ABSENT_PROGRAM");
    g_autofree char *guessed = program_path("gidfs-absent");
    assert_string_equal(guessed, GIDFS_BINDIR "/gidfs-absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_installed_tree_finds_its_own),
        cmocka_unit_test(test_the_environment_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
