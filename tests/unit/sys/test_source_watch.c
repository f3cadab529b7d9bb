/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/source_watch.h"

#include "base/fd.h"
#include "gidfs_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char base[] = "/tmp/gidfs-watch-XXXXXX";

static char *in_base(const char *name)
{
    return g_build_filename(base, name, NULL);
}

static void make_dir(const char *name)
{
    g_autofree char *path = in_base(name);
    assert_int_equal(g_mkdir_with_parents(path, 0755), 0);
}

static struct source_watch *watch_some(void)
{
    struct source_watch *watch = NULL;
    g_autofree char *a = in_base("one/a"), *ab = in_base("one/ab"), *b = in_base("two/b");
    make_dir("one/a");
    make_dir("one/ab");
    make_dir("two/b");
    assert_int_equal(source_watch_new(&watch, NULL), 0);
    assert_int_equal(source_watch_add(watch, "a", a, NULL), 0);
    assert_int_equal(source_watch_add(watch, "ab", ab, NULL), 0);
    assert_int_equal(source_watch_add(watch, "b", b, NULL), 0);
    return watch;
}

static void expect(struct source_watch *watch, const char *expected)
{
    g_auto(GStrv) keys = source_watch_read(watch);
    g_autofree char *got = g_strjoinv(" ", keys);
    assert_string_equal(got, expected);
}

/* The source of a view is open all the time: its removal must be heard of nevertheless, and only that of its own. */
static void test_a_removed_directory_is_heard_of_while_it_is_open(void **state)
{
    g_autoptr(source_watch) watch = watch_some();
    g_autofree char *a = in_base("one/a"), *file = in_base("one/file");
    auto_fd int held = open(a, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(g_file_set_contents(file, "", 0, NULL));
    expect(watch, "");
    assert_int_equal(rmdir(a), 0);
    expect(watch, "a");
    expect(watch, "");
}

static void test_moves_and_the_directory_above(void **state)
{
    g_autoptr(source_watch) watch = watch_some();
    g_autofree char *ab = in_base("one/ab"), *moved = in_base("moved"), *b = in_base("two/b"), *two = in_base("two");
    assert_int_equal(rename(ab, moved), 0);
    expect(watch, "ab");
    assert_int_equal(rename(moved, ab), 0);
    expect(watch, "ab");
    assert_int_equal(rmdir(b), 0);
    assert_int_equal(rmdir(two), 0);
    expect(watch, "b");
    g_autoptr(GError) error = NULL;
    assert_int_equal(source_watch_add(watch, "b", b, &error), -ENOENT);
    assert_non_null(strstr(error->message, two));
}

static void test_what_is_no_longer_watched(void **state)
{
    g_autoptr(source_watch) watch = watch_some();
    g_autofree char *a = in_base("one/a"), *ab = in_base("one/ab"), *b = in_base("two/b");
    source_watch_remove(watch, "a");
    source_watch_remove(watch, "b");
    source_watch_remove(watch, "none");
    assert_int_equal(rmdir(a), 0);
    assert_int_equal(rmdir(b), 0);
    expect(watch, "");
    assert_int_equal(source_watch_add(watch, "ab", b, NULL), 0); /* moved to another place */
    assert_int_equal(rmdir(ab), 0);
    expect(watch, "");
    make_dir("two/b");
    expect(watch, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_removed_directory_is_heard_of_while_it_is_open),
        cmocka_unit_test(test_moves_and_the_directory_above),
        cmocka_unit_test(test_what_is_no_longer_watched),
    };
    if (!mkdtemp(base))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    const char *argv[] = {"rm", "-rf", base, NULL};
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    return failed;
}
