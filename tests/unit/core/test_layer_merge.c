/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge against a naive one: random stacks of layers are merged name by name and directory by directory with the
 * rules under test, and all at once by unpacking each layer over a copy of what is below, as an image tool would.
 */
#include "core/layer_merge.h"
#include "gidfs_test.h"

#include <dirent.h>
#include <string.h>

/* A layer (or a merged tree): path → what is there. A directory's opaque mark and whiteouts are entries of their own.
 */
enum kind {
    KIND_FILE = 1,
    KIND_DIR,
    KIND_OPAQUE_DIR,
    KIND_WHITEOUT,
};

#define MAX_LAYERS 5
static const char *const component_names[] = {"a", "b", "c"};

struct stack {
    GHashTable *layers[MAX_LAYERS]; /* [0] is the top; path → kind, or "dir/.wh.NAME" → KIND_FILE */
    unsigned n_layers;
};

static unsigned kind_at(GHashTable *tree, const char *path)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(tree, path));
}

static char *join(const char *dir, const char *name)
{
    return *dir ? g_strconcat(dir, "/", name, NULL) : g_strdup(name);
}

static void fill_dir(GRand *rand, GHashTable *layer, const char *dir, int depth)
{
    for (size_t i = 0; i < G_N_ELEMENTS(component_names); i++) {
        g_autofree char *path = join(dir, component_names[i]);
        int dice = g_rand_int_range(rand, 0, 100);
        unsigned kind = dice < 25   ? 0
                        : dice < 40 ? KIND_FILE
                        : dice < 52 ? KIND_WHITEOUT
                        : dice < 62 ? KIND_OPAQUE_DIR
                                    : KIND_DIR;
        if (depth == 3 && (kind == KIND_DIR || kind == KIND_OPAQUE_DIR))
            kind = KIND_FILE;
        if (kind)
            g_hash_table_insert(layer, g_strdup(path), GUINT_TO_POINTER(kind));
        if (kind != KIND_WHITEOUT && g_rand_int_range(rand, 0, 8) == 0) {
            g_autofree char *mark = g_strconcat(".wh.", component_names[i], NULL);
            g_hash_table_insert(layer, join(dir, mark), GUINT_TO_POINTER(KIND_FILE));
        }
        if (kind == KIND_DIR || kind == KIND_OPAQUE_DIR)
            fill_dir(rand, layer, path, depth + 1);
    }
}

static gboolean is_below(gpointer key, gpointer value, gpointer data)
{
    const char *path = key, *dir = data;
    return g_str_has_prefix(path, dir) && path[strlen(dir)] == '/';
}

static void remove_tree(GHashTable *tree, const char *path)
{
    g_hash_table_foreach_remove(tree, is_below, (gpointer)path);
    g_hash_table_remove(tree, path);
}

/* The naive merge of one directory of a layer onto the tree of all that lies below. */
static void unpack_dir(GHashTable *tree, GHashTable *layer, const char *dir)
{
    for (size_t i = 0; i < G_N_ELEMENTS(component_names); i++) {
        g_autofree char *path = join(dir, component_names[i]);
        g_autofree char *mark_name = g_strconcat(".wh.", component_names[i], NULL);
        g_autofree char *mark = join(dir, mark_name);
        unsigned kind = kind_at(layer, path);
        if (kind == KIND_WHITEOUT || kind_at(layer, mark))
            remove_tree(tree, path);
        if (kind == KIND_FILE || kind == KIND_OPAQUE_DIR || (kind == KIND_DIR && kind_at(tree, path) != KIND_DIR))
            remove_tree(tree, path);
        if (kind == KIND_FILE)
            g_hash_table_insert(tree, g_strdup(path), GUINT_TO_POINTER(KIND_FILE));
        if (kind == KIND_DIR || kind == KIND_OPAQUE_DIR) {
            g_hash_table_insert(tree, g_strdup(path), GUINT_TO_POINTER(KIND_DIR));
            unpack_dir(tree, layer, path);
        }
    }
}

/* Merges name in dir, which the n_members layers in members make up, with the rules under test. */
static unsigned merge_name(const struct stack *stack, const unsigned *members, unsigned n_members, const char *dir,
                           const char *name, unsigned *ret_members, struct layer_merge *ret_merge)
{
    struct layer_merge merge = {0};
    unsigned n = 0;
    g_autofree char *path = join(dir, name), *mark_name = g_strconcat(".wh.", name, NULL);
    g_autofree char *mark = join(dir, mark_name);
    for (unsigned i = 0; i < n_members; i++) {
        GHashTable *layer = stack->layers[members[i]];
        unsigned kind = kind_at(layer, path);
        struct layer_answer answer = {
            .found = kind == 0               ? LAYER_FOUND_NOTHING
                     : kind == KIND_WHITEOUT ? LAYER_FOUND_WHITEOUT
                     : kind == KIND_FILE     ? LAYER_FOUND_OTHER
                                             : LAYER_FOUND_DIR,
            .hides = kind_at(layer, mark) != 0,
            .opaque = kind == KIND_OPAQUE_DIR,
        };
        unsigned step = layer_merge_add(&merge, &answer);
        if (step & LAYER_STEP_TAKE)
            ret_members[n++] = members[i];
        if (step & LAYER_STEP_STOP)
            break;
    }
    *ret_merge = merge;
    return n;
}

static void list_layer_dir(struct layer_listing *listing, GHashTable *layer, const char *dir)
{
    GHashTableIter iter;
    gpointer key, value;
    size_t length = strlen(dir);
    layer_listing_add(listing, ".", DT_DIR, 1);
    layer_listing_add(listing, "..", DT_DIR, 1);
    g_hash_table_iter_init(&iter, layer);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *path = key, *name = length ? path + length + 1 : path;
        if ((length && !is_below(key, NULL, (gpointer)dir)) || strchr(name, '/'))
            continue;
        if (GPOINTER_TO_UINT(value) == KIND_WHITEOUT)
            layer_listing_add_whiteout(listing, name);
        else
            layer_listing_add(listing, name, GPOINTER_TO_UINT(value) == KIND_FILE ? DT_REG : DT_DIR, 7);
    }
}

static void check_dir(const struct stack *stack, const unsigned *members, unsigned n_members, const char *dir,
                      GHashTable *naive)
{
    g_autoptr(layer_listing) listing = layer_listing_new();
    for (unsigned i = 0; i < n_members; i++) {
        layer_listing_begin(listing, members[i]);
        list_layer_dir(listing, stack->layers[members[i]], dir);
    }
    size_t n_entries, n_expected = 0;
    const struct layer_listing_entry *entries = layer_listing_entries(listing, &n_entries);

    for (size_t i = 0; i < G_N_ELEMENTS(component_names); i++) {
        g_autofree char *path = join(dir, component_names[i]);
        unsigned below[MAX_LAYERS], expected = kind_at(naive, path);
        struct layer_merge merge;
        unsigned n_below = merge_name(stack, members, n_members, dir, component_names[i], below, &merge);
        assert_int_equal(n_below > 0, expected != 0);
        assert_int_equal(merge.n_members, n_below);
        if (!expected)
            continue;
        n_expected++;
        assert_int_equal(merge.is_dir, expected == KIND_DIR);
        bool listed = false;
        for (size_t j = 0; j < n_entries; j++)
            if (strcmp(entries[j].name, component_names[i]) == 0) {
                assert_false(listed);
                listed = true;
                assert_int_equal(entries[j].layer, below[0]);
                assert_int_equal(entries[j].type, expected == KIND_DIR ? DT_DIR : DT_REG);
            }
        assert_true(listed);
        if (merge.is_dir)
            check_dir(stack, below, n_below, path, naive);
    }
    assert_int_equal(n_entries, n_expected);
}

static void test_random_stacks_merge_like_unpacking_them(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240901);
    for (int round = 0; round < 400; round++) {
        struct stack stack = {.n_layers = g_rand_int_range(rand, 1, MAX_LAYERS + 1)};
        unsigned members[MAX_LAYERS];
        for (unsigned i = 0; i < stack.n_layers; i++) {
            stack.layers[i] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
            fill_dir(rand, stack.layers[i], "", 1);
            members[i] = i;
        }
        g_autoptr(GHashTable) naive = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (unsigned i = stack.n_layers; i-- > 0;)
            unpack_dir(naive, stack.layers[i], "");
        check_dir(&stack, members, stack.n_layers, "", naive);
        for (unsigned i = 0; i < stack.n_layers; i++)
            g_hash_table_unref(stack.layers[i]);
    }
}

static unsigned add(struct layer_merge *merge, enum layer_found found, bool hides, bool opaque, bool metacopy)
{
    struct layer_answer answer = {.found = found, .hides = hides, .opaque = opaque, .metacopy = metacopy};
    return layer_merge_add(merge, &answer);
}

static void test_upper_wins_whatever_the_types(void **state)
{
    struct layer_merge merge = {0};
    assert_int_equal(add(&merge, LAYER_FOUND_OTHER, false, false, false), LAYER_STEP_TAKE | LAYER_STEP_STOP);
    assert_false(merge.is_dir);

    merge = (struct layer_merge){0};
    assert_int_equal(add(&merge, LAYER_FOUND_DIR, false, false, false), LAYER_STEP_TAKE);
    assert_int_equal(add(&merge, LAYER_FOUND_NOTHING, false, false, false), 0);
    assert_int_equal(add(&merge, LAYER_FOUND_OTHER, false, false, false), LAYER_STEP_STOP);
    assert_int_equal(merge.n_members, 1);
    assert_true(merge.is_dir);

    merge = (struct layer_merge){0};
    assert_int_equal(add(&merge, LAYER_FOUND_WHITEOUT, false, false, false), LAYER_STEP_STOP);
    assert_int_equal(merge.n_members, 0);

    merge = (struct layer_merge){0};
    assert_int_equal(add(&merge, LAYER_FOUND_DIR, true, false, false), LAYER_STEP_TAKE | LAYER_STEP_STOP);
}

static void test_metacopy_goes_on_to_its_data(void **state)
{
    struct layer_merge merge = {0};
    assert_int_equal(add(&merge, LAYER_FOUND_OTHER, false, false, true), LAYER_STEP_TAKE);
    assert_int_equal(add(&merge, LAYER_FOUND_OTHER, false, false, true), LAYER_STEP_TAKE);
    assert_true(merge.wants_data);
    assert_int_equal(add(&merge, LAYER_FOUND_OTHER, false, false, false), LAYER_STEP_TAKE | LAYER_STEP_STOP);
    assert_int_equal(merge.n_members, 3);
    assert_false(merge.wants_data);

    merge = (struct layer_merge){0};
    add(&merge, LAYER_FOUND_OTHER, false, false, true);
    assert_int_equal(add(&merge, LAYER_FOUND_DIR, false, false, false), LAYER_STEP_STOP);
    assert_true(merge.wants_data);
}

static void test_redirects(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "//a", "/a//b", "/a/..", "/./a", "/a/"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(layer_redirect_is_valid(bad[i]));
    static const char *const good[] = {"a", "...", "/a", "/a/b.c/..d"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        assert_true(layer_redirect_is_valid(good[i]));

    bool from_root = true;
    g_autofree char *sibling = layer_redirect_apply("x/old/y", 2, 5, "new", &from_root);
    assert_string_equal(sibling, "x/new/y");
    assert_false(from_root);
    g_autofree char *absolute = layer_redirect_apply("x/old/y", 2, 5, "/p/q", &from_root);
    assert_string_equal(absolute, "p/q/y");
    assert_true(from_root);
    g_autofree char *last = layer_redirect_apply("old", 0, 3, "/p", &from_root);
    assert_string_equal(last, "p");
    assert_null(layer_redirect_apply("old", 0, 3, "../etc", &from_root));
}

static void test_hostile_marks_are_not_listed_and_hide_nothing(void **state)
{
    g_autoptr(layer_listing) listing = layer_listing_new();
    layer_listing_begin(listing, 0);
    static const char *const marks[] = {".wh.", ".wh..", ".wh...", ".wh..wh.plnk", ".wh.a/b"};
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        layer_listing_add(listing, marks[i], DT_REG, 1);
    layer_listing_begin(listing, 1);
    layer_listing_add(listing, "a", DT_REG, 2);
    layer_listing_add(listing, "...", DT_REG, 3);
    size_t n_entries;
    const struct layer_listing_entry *entries = layer_listing_entries(listing, &n_entries);
    assert_int_equal(n_entries, 2);
    assert_string_equal(entries[0].name, "a");
    assert_int_equal(entries[1].ino, 3);
}

static void test_opaque_mark_hides_lower_names_only(void **state)
{
    g_autoptr(layer_listing) listing = layer_listing_new();
    layer_listing_begin(listing, 0);
    layer_listing_add(listing, "before", DT_REG, 1);
    layer_listing_add(listing, ".wh..wh..opq", DT_REG, 2);
    layer_listing_add(listing, "after", DT_REG, 3);
    layer_listing_begin(listing, 1);
    layer_listing_add(listing, "lower", DT_REG, 4);
    size_t n_entries;
    layer_listing_entries(listing, &n_entries);
    assert_int_equal(n_entries, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_stacks_merge_like_unpacking_them),
        cmocka_unit_test(test_upper_wins_whatever_the_types),
        cmocka_unit_test(test_metacopy_goes_on_to_its_data),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_hostile_marks_are_not_listed_and_hide_nothing),
        cmocka_unit_test(test_opaque_mark_hides_lower_names_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
