/* SPDX-License-Identifier: Apache-2.0 */
/* Flattening and layer tars, the hostile ones above all. */
#include "base/fd.h"
#include "gidfs_test.h"
#include "provision/flatten.h"
#include "provision/layer_tar.h"
#include "provision/remove_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
    char *path;
    int fd;
    struct archive *tar;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    f->path = g_dir_make_tmp("gidfs-provision-XXXXXX", NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(f->fd, "out", 0755);
    *state = f;
    return f->fd < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_return_code(remove_tree(AT_FDCWD, f->path), 0);
    close(f->fd);
    g_free(f->path);
    g_free(f);
    return 0;
}

static char *path_of(struct fixture *f, const char *name)
{
    return g_build_filename(f->path, name, NULL);
}

static void tar_begin(struct fixture *f)
{
    g_autofree char *path = path_of(f, "layer.tar");
    f->tar = archive_write_new();
    archive_write_set_format_pax_restricted(f->tar);
    archive_write_add_filter_gzip(f->tar);
    assert_int_equal(archive_write_open_filename(f->tar, path), ARCHIVE_OK);
}

struct tar_entry {
    const char *path, *link, *hardlink, *data, *xattr;
    mode_t type, mode;
    uid_t uid;
};

static void tar_add(struct fixture *f, struct tar_entry e)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.path);
    archive_entry_set_filetype(entry, e.type ? e.type : AE_IFREG);
    archive_entry_set_perm(entry, e.mode ? e.mode : 0644);
    archive_entry_set_uid(entry, e.uid ? e.uid : geteuid());
    archive_entry_set_gid(entry, getegid());
    archive_entry_set_mtime(entry, 1000000000, 0);
    if (e.link)
        archive_entry_set_symlink(entry, e.link);
    if (e.hardlink)
        archive_entry_set_hardlink(entry, e.hardlink);
    if (e.xattr)
        archive_entry_xattr_add_entry(entry, e.xattr, "y", 1);
    if (e.data)
        archive_entry_set_size(entry, (la_int64_t)strlen(e.data));
    assert_true(archive_write_header(f->tar, entry) >= ARCHIVE_WARN); /* the locale has no names but ASCII ones */
    if (e.data)
        assert_int_equal(archive_write_data(f->tar, e.data, strlen(e.data)), strlen(e.data));
    archive_entry_free(entry);
}

static int tar_unpack(struct fixture *f, GError **error)
{
    g_autofree char *path = path_of(f, "layer.tar");
    auto_fd int out = openat(f->fd, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(archive_write_close(f->tar), ARCHIVE_OK);
    archive_write_free(f->tar);
    return layer_tar_unpack(path, out, NULL, NULL, error);
}

static void assert_content(struct fixture *f, const char *path, const char *expected)
{
    char content[256] = {0};
    auto_fd int fd = openat(f->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(read(fd, content, sizeof(content) - 1) >= 0);
    assert_string_equal(content, expected);
}

static bool exists(struct fixture *f, const char *path)
{
    return faccessat(f->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_file(struct fixture *f, const char *path, const char *content)
{
    g_autofree char *full = path_of(f, path), *dir = g_path_get_dirname(full);
    assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
    assert_true(g_file_set_contents(full, content, -1, NULL));
}

static void test_tar_is_unpacked(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    struct stat a, b;
    tar_begin(f);
    tar_add(f, (struct tar_entry){.path = "./d/", .type = AE_IFDIR, .mode = 0750});
    tar_add(f, (struct tar_entry){.path = "./d/file", .data = "first", .mode = 0600});
    tar_add(f, (struct tar_entry){.path = "./d/file", .data = "second", .mode = 0640});
    tar_add(f, (struct tar_entry){.path = "/absolute/deep/file", .data = "absolute"});
    tar_add(f, (struct tar_entry){.path = "hard", .hardlink = "d/file"});
    tar_add(f, (struct tar_entry){.path = "link", .type = AE_IFLNK, .link = "/etc/passwd"});
    tar_add(f, (struct tar_entry){.path = "d/.wh.gone"});
    tar_add(f, (struct tar_entry){.path = "n\xc3\xa4me", .data = "utf-8"});
    if (tar_unpack(f, &error) < 0)
        fail_msg("%s", error->message);
    assert_content(f, "out/d/file", "second");
    assert_content(f, "out/absolute/deep/file", "absolute");
    assert_content(f, "out/n\xc3\xa4me", "utf-8");
    assert_true(exists(f, "out/d/.wh.gone"));
    assert_true(exists(f, "out/link"));
    fstatat(f->fd, "out/hard", &a, 0);
    fstatat(f->fd, "out/d/file", &b, 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_mode & 07777, 0640);
    fstatat(f->fd, "out/d", &a, 0);
    assert_int_equal(a.st_mode & 07777, 0750);
    assert_int_equal(a.st_mtime, 1000000000);
}

static void test_names_that_lead_out_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const hostile[] = {"../canary", "d/../../canary", "/../canary", "d/.."};
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autoptr(GError) error = NULL;
        tar_begin(f);
        tar_add(f, (struct tar_entry){.path = hostile[i], .data = "owned"});
        assert_int_equal(tar_unpack(f, &error), -EINVAL);
        assert_non_null(strstr(error->message, "leads out of the layer"));
        assert_false(exists(f, "canary"));
    }
}

static void test_links_in_the_way_are_not_followed(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    make_file(f, "outside/canary", "safe");
    g_autofree char *outside = path_of(f, "outside");
    tar_begin(f);
    tar_add(f, (struct tar_entry){.path = "way", .type = AE_IFLNK, .link = outside});
    tar_add(f, (struct tar_entry){.path = "way/canary", .data = "owned"});
    assert_int_equal(tar_unpack(f, &error), -ELOOP);
    assert_content(f, "outside/canary", "safe");
}

/* The last component: what is there is replaced, never written through. */
static void test_a_link_is_replaced_by_a_file(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    make_file(f, "outside/canary", "safe");
    g_autofree char *canary = path_of(f, "outside/canary");
    tar_begin(f);
    tar_add(f, (struct tar_entry){.path = "x", .type = AE_IFLNK, .link = canary});
    tar_add(f, (struct tar_entry){.path = "x", .data = "own file", .mode = 0777});
    assert_return_code(tar_unpack(f, &error), 0);
    assert_content(f, "outside/canary", "safe");
    assert_content(f, "out/x", "own file");
}

static void test_hard_links_stay_inside(void **state)
{
    struct fixture *f = *state;
    g_autofree char *outside = path_of(f, "outside");
    static const char *const targets[] = {"../outside/canary", "way/canary", "/etc/passwd", ""};
    make_file(f, "outside/canary", "safe");
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GError) error = NULL;
        tar_begin(f);
        tar_add(f, (struct tar_entry){.path = "way", .type = AE_IFLNK, .link = outside});
        tar_add(f, (struct tar_entry){.path = "hard", .hardlink = *targets[i] ? targets[i] : "."});
        assert_true(tar_unpack(f, &error) < 0);
        assert_false(exists(f, "out/hard"));
    }
}

static void test_marks_of_no_name_and_steering_xattrs_are_left_out(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    char value[8];
    tar_begin(f);
    tar_add(f, (struct tar_entry){.path = ".wh..."});
    tar_add(f, (struct tar_entry){.path = "d/.wh."});
    tar_add(f, (struct tar_entry){.path = ".wh..wh.plnk"});
    tar_add(f, (struct tar_entry){.path = "d/.wh..wh..opq"});
    tar_add(f, (struct tar_entry){.path = "x", .data = "1", .xattr = "user.overlay.redirect"});
    tar_add(f, (struct tar_entry){.path = "y", .data = "1", .xattr = "user.kept"});
    if (tar_unpack(f, &error) < 0)
        fail_msg("%s", error->message);
    assert_false(exists(f, "out/.wh..."));
    assert_false(exists(f, "out/d/.wh."));
    assert_false(exists(f, "out/.wh..wh.plnk"));
    assert_true(exists(f, "out/d/.wh..wh..opq"));
    g_autofree char *x = path_of(f, "out/x");
    assert_int_equal(getxattr(x, "user.overlay.redirect", value, sizeof(value)), -1);
}

static void test_what_is_no_tar_is_an_error(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    make_file(f, "layer.tar", "this is no archive at all, just a line of text that goes on for a while\n");
    g_autofree char *path = path_of(f, "layer.tar");
    auto_fd int out = openat(f->fd, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(layer_tar_unpack(path, out, NULL, NULL, &error) < 0);
    assert_non_null(strstr(error->message, "layer.tar"));
}

static int cancel_late(const struct provision_progress *progress, void *data)
{
    return progress->done_entries >= 1 ? -ECANCELED : 0;
}

static int do_flatten(struct fixture *f, const char *low, const char *top, provision_progress_fn progress,
                      GError **error)
{
    g_autofree char *target = path_of(f, "flat"), *low_path = path_of(f, low), *top_path = path_of(f, top);
    const char *layers[] = {low_path, top_path};
    return flatten(layers, 2, target, progress, NULL, error);
}

static void test_flatten_merges_directories_and_tars(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    struct stat a, b;
    make_file(f, "low/d/gone", "1");
    make_file(f, "low/d/kept", "kept");
    assert_return_code(linkat(f->fd, "low/d/kept", f->fd, "low/d/twin", 0), errno);
    make_file(f, "low/over", "old");
    assert_return_code(fchmodat(f->fd, "low/d", 0710, 0), errno);
    tar_begin(f);
    tar_add(f, (struct tar_entry){.path = "d/.wh.gone"});
    tar_add(f, (struct tar_entry){.path = "over/file", .data = "directory over a file"});
    archive_write_close(f->tar);
    archive_write_free(f->tar);
    if (do_flatten(f, "low", "layer.tar", NULL, &error) < 0)
        fail_msg("%s", error->message);
    assert_content(f, "flat/d/kept", "kept");
    assert_content(f, "flat/over/file", "directory over a file");
    assert_false(exists(f, "flat/d/gone"));
    assert_false(exists(f, "flat/d/.wh.gone"));
    assert_false(exists(f, ".flat.gidfs-flatten"));
    fstatat(f->fd, "flat/d/kept", &a, 0);
    fstatat(f->fd, "flat/d/twin", &b, 0);
    assert_int_equal(a.st_ino, b.st_ino);
}

static void test_flatten_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GError) error = NULL;
    make_file(f, "low/a", "1");
    make_file(f, "top/b", "1");
    assert_int_equal(do_flatten(f, "low", "top", cancel_late, &error), -ECANCELED);
    assert_false(exists(f, "flat"));
    assert_false(exists(f, ".flat.gidfs-flatten"));
    g_clear_error(&error);
    assert_int_equal(do_flatten(f, "low", "missing", NULL, &error), -ENOENT);
    assert_non_null(strstr(error->message, "missing"));
    g_clear_error(&error);
    make_file(f, "flat/in the way", "1");
    assert_int_equal(do_flatten(f, "low", "top", NULL, &error), -ENOTEMPTY);
    assert_non_null(strstr(error->message, "empty directory"));
    assert_content(f, "flat/in the way", "1");
}

static void test_remove_tree_takes_links_not_what_they_lead_to(void **state)
{
    struct fixture *f = *state;
    make_file(f, "outside/canary", "safe");
    make_file(f, "t/a/b/c", "1");
    assert_return_code(symlinkat("../outside", f->fd, "t/link"), errno);
    assert_return_code(symlinkat("outside", f->fd, "top-link"), errno);
    assert_return_code(remove_tree(f->fd, "t"), 0);
    assert_return_code(remove_tree(f->fd, "top-link"), 0);
    assert_return_code(remove_tree(f->fd, "t"), 0);
    assert_false(exists(f, "t"));
    assert_content(f, "outside/canary", "safe");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tar_is_unpacked),
        TEST(test_names_that_lead_out_are_refused),
        TEST(test_links_in_the_way_are_not_followed),
        TEST(test_a_link_is_replaced_by_a_file),
        TEST(test_hard_links_stay_inside),
        TEST(test_marks_of_no_name_and_steering_xattrs_are_left_out),
        TEST(test_what_is_no_tar_is_an_error),
        TEST(test_flatten_merges_directories_and_tars),
        TEST(test_flatten_is_all_or_nothing),
        TEST(test_remove_tree_takes_links_not_what_they_lead_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
