/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_resolve.h"

#include "base/fd.h"
#include "gidfs_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/*
 * The tree of each test: root/{dir/file, in → /dir, up → ../../outside, abs → OUTSIDE, dangling → /none, loop → loop}
 * and outside/ beside root. Nothing may ever come to be in outside.
 */
struct fixture {
    char dir[32];
    char *root, *outside;
    int root_fd;
};

static void make_link(const struct fixture *f, const char *target, const char *name)
{
    g_autofree char *path = g_build_filename(f->root, name, NULL);
    assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    g_strlcpy(f->dir, "/tmp/gidfs-resolve-XXXXXX", sizeof(f->dir));
    assert_non_null(mkdtemp(f->dir));
    f->root = g_build_filename(f->dir, "root", NULL);
    f->outside = g_build_filename(f->dir, "outside", NULL);
    g_autofree char *sub = g_build_filename(f->root, "dir", NULL);
    g_autofree char *file = g_build_filename(sub, "file", NULL);
    assert_int_equal(g_mkdir_with_parents(sub, 0755), 0);
    assert_int_equal(g_mkdir_with_parents(f->outside, 0755), 0);
    assert_true(g_file_set_contents(file, "x", 1, NULL));
    make_link(f, "/dir", "in");
    make_link(f, "../../outside", "up");
    make_link(f, f->outside, "abs");
    make_link(f, "/none", "dangling");
    make_link(f, "loop", "loop");
    f->root_fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->root_fd >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    GDir *outside = g_dir_open(f->outside, 0, NULL);
    assert_null(g_dir_read_name(outside));
    g_dir_close(outside);
    fd_close(f->root_fd);
    const char *const argv[] = {"rm", "-rf", f->dir, NULL};
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    g_free(f->root);
    g_free(f->outside);
    g_free(f);
    return 0;
}

/* The path of what was opened, from the root of the test, or the error's text. */
static void expect(const struct fixture *f, const char *path, enum mount_resolve_missing missing, const char *expected)
{
    auto_fd int fd = -1;
    g_autoptr(GError) error = NULL;
    assert_int_equal(mount_resolve(f->root_fd, path, missing, &fd, &error), 0);
    g_autofree char *got = mount_resolve_path_of_fd(fd);
    g_autofree char *whole = g_strconcat(f->root, expected, NULL);
    assert_string_equal(got, whole);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void refuse(const struct fixture *f, const char *path, enum mount_resolve_missing missing, int expected)
{
    int fd = -1;
    g_autoptr(GError) error = NULL;
    assert_int_equal(mount_resolve(f->root_fd, path, missing, &fd, &error), expected);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(error->message, path));
}

static void test_what_exists(void **state)
{
    const struct fixture *f = *state;
    expect(f, "/dir/file", MOUNT_RESOLVE_MUST_EXIST, "/dir/file");
    expect(f, "dir//./file", MOUNT_RESOLVE_MUST_EXIST, "/dir/file");
    expect(f, "/", MOUNT_RESOLVE_MUST_EXIST, "");
    expect(f, "/in/file", MOUNT_RESOLVE_MUST_EXIST, "/dir/file");
    expect(f, "/dir/../../../dir", MOUNT_RESOLVE_MUST_EXIST, "/dir");
    expect(f, "/in", MOUNT_RESOLVE_MAKE_DIRECTORY, "/dir");
    refuse(f, "/none", MOUNT_RESOLVE_MUST_EXIST, -ENOENT);
    refuse(f, "/loop", MOUNT_RESOLVE_MUST_EXIST, -ELOOP);
    refuse(f, "/dir/file/x", MOUNT_RESOLVE_MUST_EXIST, -ENOTDIR);
}

/* A link to outside is read from inside: what it names there does not exist. */
static void test_links_to_outside(void **state)
{
    const struct fixture *f = *state;
    refuse(f, "/up", MOUNT_RESOLVE_MUST_EXIST, -ENOENT);
    refuse(f, "/abs", MOUNT_RESOLVE_MUST_EXIST, -ENOENT);
    refuse(f, "/up/new", MOUNT_RESOLVE_MAKE_DIRECTORY, -EEXIST);
    refuse(f, "/abs/new", MOUNT_RESOLVE_MAKE_FILE, -EEXIST);
    refuse(f, "/dangling", MOUNT_RESOLVE_MAKE_DIRECTORY, -EEXIST);
    refuse(f, "/dangling", MOUNT_RESOLVE_MAKE_FILE, -EEXIST);
}

static void test_missing_targets_are_made(void **state)
{
    const struct fixture *f = *state;
    expect(f, "/a/b/c", MOUNT_RESOLVE_MAKE_DIRECTORY, "/a/b/c");
    expect(f, "/a/b/c", MOUNT_RESOLVE_MUST_EXIST, "/a/b/c");
    expect(f, "/in/n//f/", MOUNT_RESOLVE_MAKE_FILE, "/dir/n/f");
    expect(f, "/dir/n/f", MOUNT_RESOLVE_MAKE_FILE, "/dir/n/f");
    refuse(f, "/q/../../x", MOUNT_RESOLVE_MAKE_DIRECTORY, -EINVAL);
    refuse(f, "/dir/file/x", MOUNT_RESOLVE_MAKE_DIRECTORY, -ENOTDIR);
}

static void test_no_link_is_followed_where_none_may_be(void **state)
{
    const struct fixture *f = *state;
    int (*const openers[])(int, const char *, int *, GError **) = {mount_resolve_nofollow, mount_resolve_walk};
    for (size_t i = 0; i < G_N_ELEMENTS(openers); i++) {
        auto_fd int fd = -1;
        int none = -1;
        assert_int_equal(openers[i](f->root_fd, "/dir/file", &fd, NULL), 0);
        assert_int_equal(openers[i](f->root_fd, "/in/file", &none, NULL), -ELOOP);
        assert_int_equal(openers[i](f->root_fd, "/up", &none, NULL), -ELOOP);
        assert_int_equal(openers[i](f->root_fd, "../outside", &none, NULL), -EXDEV);
        assert_int_equal(openers[i](f->root_fd, "/none", &none, NULL), -ENOENT);
        assert_int_equal(none, -1);
    }
}

#define with_tree(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_tree(test_what_exists),
        with_tree(test_links_to_outside),
        with_tree(test_missing_targets_are_made),
        with_tree(test_no_link_is_followed_where_none_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
