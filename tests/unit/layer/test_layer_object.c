/* SPDX-License-Identifier: Apache-2.0 */
/* Layers on disk: lookup, listing and rebuilding of merged objects. What needs root is skipped without. */
#include "base/fd.h"
#include "gidfs_test.h"
#include "layer/layer_object.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
    char *path;
    int fd;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    f->path = g_dir_make_tmp("gidfs-layer-XXXXXX", NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->fd < 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    nftw(f->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    close(f->fd);
    g_free(f->path);
    g_free(f);
    return 0;
}

static void make_dir(struct fixture *f, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GString) so_far = g_string_new(NULL);
    for (int i = 0; parts[i]; i++) {
        g_string_append_printf(so_far, "%s%s", i ? "/" : "", parts[i]);
        if (mkdirat(f->fd, so_far->str, 0755) < 0)
            assert_int_equal(errno, EEXIST);
    }
}

/* A file whose content is its own path. */
static void make_file(struct fixture *f, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    make_dir(f, dir);
    auto_fd int fd = openat(f->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, strlen(path)), strlen(path));
}

static void set_mark(struct fixture *f, const char *path, const char *name, const char *value)
{
    g_autofree char *full = g_build_filename(f->path, path, NULL);
    if (lsetxattr(full, name, value, strlen(value), 0) < 0) {
        print_message("no %s here: %s\n", name, strerror(errno));
        skip();
    }
}

static struct layer_set *open_layers(struct fixture *f, const char *upper, const char *lower)
{
    g_auto(GStrv) names = g_strsplit(lower, ":", -1);
    g_autofree char *upper_path = upper ? g_build_filename(f->path, upper, NULL) : NULL;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; names[i]; i++)
        g_ptr_array_add(paths, g_build_filename(f->path, names[i], NULL));
    struct layer_set_options options = {
        .lower_dirs = (const char *const *)paths->pdata,
        .n_lower_dirs = paths->len,
        .upper_dir = upper_path,
        .follow_redirects = true,
    };
    struct layer_set *set = NULL;
    g_autoptr(GError) error = NULL;
    if (layer_set_open(&options, &set, &error) < 0)
        fail_msg("%s", error->message);
    return set;
}

/* Looks a name up, which must end the same with the directory's names known and without. */
static int look_up(const struct layer_set *set, const struct layer_object *dir, const char *name,
                   struct layer_object *ret_object)
{
    g_autoptr(layer_names) names = layer_names_new(set->has_upper ? 1 : 0, false);
    g_autoptr(layer_listing) listing = NULL;
    g_auto(layer_object) asked = {0};
    assert_return_code(layer_object_list(dir, names, &listing), 0);
    int r = layer_object_lookup(set, dir, names, name, ret_object);
    assert_int_equal(r, layer_object_lookup(set, dir, NULL, name, &asked));
    assert_int_equal(ret_object->n_members, asked.n_members);
    for (unsigned i = 0; i < asked.n_members; i++)
        assert_int_equal(ret_object->members[i].layer, asked.members[i].layer);
    return r;
}

/* Looks a path of the merged tree up, component by component. */
static int find(const struct layer_set *set, const char *path, struct layer_object *ret_object)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_auto(layer_object) at = {0};
    assert_return_code(layer_object_root(set, &at), 0);
    for (int i = 0; parts[i]; i++) {
        struct layer_object next = {0};
        if (!S_ISDIR(at.st.st_mode))
            return -ENOTDIR;
        int r = look_up(set, &at, parts[i], &next);
        if (r < 0)
            return r;
        layer_object_clear(&at);
        at = next;
    }
    *ret_object = at;
    at = (struct layer_object){0};
    return 0;
}

static void assert_absent(const struct layer_set *set, const char *path)
{
    g_auto(layer_object) object = {0};
    assert_int_equal(find(set, path, &object), -ENOENT);
}

/* The file at a path of the merged tree is the one that was made as that path of the fixture. */
static void assert_is(const struct layer_set *set, const char *path, const char *made_as)
{
    g_auto(layer_object) object = {0};
    char content[256] = {0}, link[64];
    int r = find(set, path, &object);
    if (r < 0)
        fail_msg("%s: %s", path, strerror(-r));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", object.members[object.n_members - 1].fd);
    auto_fd int fd = open(link, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, content, sizeof(content) - 1) > 0);
    assert_string_equal(content, made_as);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *list(const struct layer_set *set, const char *path)
{
    g_auto(layer_object) object = {0};
    g_autoptr(layer_listing) listing = NULL;
    if (*path)
        assert_return_code(find(set, path, &object), 0);
    else
        assert_return_code(layer_object_root(set, &object), 0);
    assert_return_code(layer_object_list(&object, NULL, &listing), 0);
    size_t n;
    const struct layer_listing_entry *entries = layer_listing_entries(listing, &n);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(names, (gpointer)entries[i].name);
    qsort(names->pdata, names->len, sizeof(char *), compare_names);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

static void assert_lists(const struct layer_set *set, const char *path, const char *expected)
{
    g_autofree char *names = list(set, path);
    assert_string_equal(names, expected);
}

static void test_layers_merge_and_aufs_marks_hide(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/d/new");
    make_file(f, "top/d/.wh.gone");
    make_file(f, "top/both");
    make_file(f, "top/.wh.both");
    make_file(f, "low/d/gone");
    make_file(f, "low/d/kept");
    make_file(f, "low/both");
    make_file(f, "top/o/.wh..wh..opq");
    make_file(f, "top/o/x");
    make_file(f, "low/o/y");
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    assert_is(set, "d/new", "top/d/new");
    assert_is(set, "d/kept", "low/d/kept");
    assert_is(set, "both", "top/both");
    assert_absent(set, "d/gone");
    assert_absent(set, "d/.wh.gone");
    assert_absent(set, "o/y");
    assert_lists(set, "d", "kept new");
    assert_lists(set, "o", "x");
    assert_lists(set, "", "both d o");
}

static void test_overlay_marks_hide(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/d/new");
    if (mknodat(f->fd, "top/d/gone", S_IFCHR | 0600, 0) < 0)
        skip();
    make_file(f, "low/d/gone");
    make_file(f, "low/d/kept");
    make_file(f, "top/o/x");
    make_file(f, "low/o/y");
    make_file(f, "top/u/x");
    make_file(f, "low/u/y");
    set_mark(f, "top/o", "trusted.overlay.opaque", "y");
    set_mark(f, "top/u", "user.overlay.opaque", "y");
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    assert_absent(set, "d/gone");
    assert_lists(set, "d", "kept new");
    assert_lists(set, "o", "x");
    assert_lists(set, "u", "x");
    assert_absent(set, "o/y");
}

static void test_whiteouts_in_xattr_form(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "top/d");
    close(openat(f->fd, "top/d/gone", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    close(openat(f->fd, "top/d/empty", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    make_file(f, "low/d/gone");
    make_file(f, "low/d/kept");
    set_mark(f, "top/d", "trusted.overlay.opaque", "x");
    set_mark(f, "top/d/gone", "trusted.overlay.whiteout", "y");
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    assert_absent(set, "d/gone");
    assert_lists(set, "d", "empty kept");
}

static void test_hostile_marks_hide_nothing(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/.wh.");
    make_file(f, "top/.wh..");
    make_file(f, "top/.wh...");
    make_file(f, "top/d/.wh...");
    make_file(f, "low/d/kept");
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    assert_is(set, "d/kept", "low/d/kept");
    assert_lists(set, "", "d");
    assert_lists(set, "d", "kept");
}

/* The upper wins whatever the types are, and a link to a directory is a link. */
static void test_links_are_never_followed(void **state)
{
    struct fixture *f = *state;
    make_file(f, "canary/secret");
    make_dir(f, "top");
    assert_return_code(symlinkat("../canary", f->fd, "top/d"), errno);
    make_file(f, "low/d/kept");
    make_file(f, "top/e/x");
    make_dir(f, "low");
    assert_return_code(symlinkat("../canary", f->fd, "low/e"), errno);
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    g_auto(layer_object) object = {0};
    assert_return_code(find(set, "d", &object), 0);
    assert_true(S_ISLNK(object.st.st_mode));
    assert_int_equal(object.n_members, 1);
    assert_lists(set, "e", "x");
    assert_absent(set, "e/secret");
}

static void test_redirects_lead_on_in_lower_layers(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/renamed/new");
    set_mark(f, "top/renamed", "trusted.overlay.redirect", "orig");
    make_file(f, "top/moved/deep/new");
    set_mark(f, "top/moved", "trusted.overlay.redirect", "/a/b");
    make_file(f, "mid/orig/middle");
    make_file(f, "mid/a/b/deep/middle");
    set_mark(f, "mid/a", "trusted.overlay.redirect", "z");
    make_file(f, "low/orig/old");
    make_file(f, "low/z/b/deep/old");
    make_file(f, "low/a/b/deep/not this one");
    g_autoptr(layer_set) set = open_layers(f, "top", "mid:low");
    assert_lists(set, "renamed", "middle new old");
    assert_lists(set, "moved/deep", "middle new old");
    assert_is(set, "moved/deep/old", "low/z/b/deep/old");
}

static void test_redirect_that_climbs_is_an_error(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/d/x");
    make_file(f, "low/d/y");
    set_mark(f, "top/d", "trusted.overlay.redirect", "../canary");
    g_autoptr(layer_set) set = open_layers(f, NULL, "top:low");
    g_auto(layer_object) object = {0};
    assert_int_equal(find(set, "d", &object), -EIO);
}

static void test_metacopy_has_its_data_below(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "top");
    auto_fd int fd = openat(f->fd, "top/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_return_code(ftruncate(fd, 5), errno);
    set_mark(f, "top/f", "trusted.overlay.metacopy", "");
    make_file(f, "low/f");
    g_autoptr(layer_set) set = open_layers(f, "top", "low");
    assert_is(set, "f", "low/f");
    g_auto(layer_object) object = {0};
    assert_return_code(find(set, "f", &object), 0);
    assert_true(object.is_metacopy);
    assert_int_equal(object.st.st_mode & 07777, 0600);
    unlinkat(f->fd, "low/f", 0);
    g_auto(layer_object) broken = {0};
    assert_int_equal(find(set, "f", &broken), -EIO);
}

/* A successor has nothing but the topmost member: the others are found by its path in its layer. */
static void test_rebuilding_from_one_member(void **state)
{
    struct fixture *f = *state;
    make_file(f, "top/renamed/deep/new");
    set_mark(f, "top/renamed", "trusted.overlay.redirect", "/a/orig");
    make_file(f, "mid/a/orig/deep/middle");
    make_file(f, "low/a/orig/deep/old");
    g_autoptr(layer_set) set = open_layers(f, "top", "mid:low");
    g_auto(layer_object) object = {0}, again = {0}, root = {0};
    assert_return_code(find(set, "renamed/deep", &object), 0);
    assert_int_equal(object.n_members, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_return_code(layer_object_from_member(set, i, dup(object.members[i].fd), &again), 0);
        assert_int_equal(again.n_members, 3 - i);
        for (unsigned j = 0; j < again.n_members; j++)
            assert_int_equal(again.members[j].layer, i + j);
        layer_object_clear(&again);
    }
    assert_return_code(layer_object_from_member(set, 0, dup(set->layers[0].root_fd), &root), 0);
    assert_int_equal(root.n_members, 3);

    g_autofree char *outside = g_build_filename(f->path, NULL);
    int fd = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(layer_object_from_member(set, 0, fd, &again), -ESTALE);
}

static void test_bad_layer_counts(void **state)
{
    g_autoptr(GError) error = NULL;
    struct layer_set *set = NULL;
    struct layer_set_options none = {0};
    assert_int_equal(layer_set_open(&none, &set, &error), -EINVAL);
    assert_non_null(strstr(error->message, "no layers"));
    g_clear_error(&error);
    struct layer_set_options many = {.n_lower_dirs = LAYER_SET_MAX + 1};
    assert_int_equal(layer_set_open(&many, &set, &error), -EINVAL);
    g_clear_error(&error);
    static const char *const missing[] = {"/nonexistent-layer"};
    struct layer_set_options options = {.lower_dirs = missing, .n_lower_dirs = 1};
    assert_int_equal(layer_set_open(&options, &set, &error), -ENOENT);
    assert_non_null(strstr(error->message, "/nonexistent-layer"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_layers_merge_and_aufs_marks_hide), TEST(test_overlay_marks_hide),
        TEST(test_whiteouts_in_xattr_form),          TEST(test_hostile_marks_hide_nothing),
        TEST(test_links_are_never_followed),         TEST(test_redirects_lead_on_in_lower_layers),
        TEST(test_redirect_that_climbs_is_an_error), TEST(test_metacopy_has_its_data_below),
        TEST(test_rebuilding_from_one_member),       TEST(test_bad_layer_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
