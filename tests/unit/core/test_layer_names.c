/* SPDX-License-Identifier: Apache-2.0 */
#include "core/layer_names.h"
#include "gidfs_test.h"

static unsigned ask(const struct layer_names *names, const char *name, uint32_t layer)
{
    return layer_names_ask(names, layer_names_find(names, name), layer);
}

static void test_unchanging_layers_are_known_to_the_letter(void **state)
{
    g_autoptr(layer_names) names = layer_names_new(0, false);
    layer_names_add(names, 0, "a");
    layer_names_add(names, 0, ".wh.a");
    layer_names_add(names, 2, "b");
    layer_names_add(names, 2, "a");
    assert_int_equal(ask(names, "a", 0), LAYER_HAS_ANY);
    assert_int_equal(ask(names, "a", 1), 0);
    assert_int_equal(ask(names, "a", 2), LAYER_HAS_ENTRY);
    assert_int_equal(ask(names, "b", 0), 0);
    assert_int_equal(ask(names, "b", 2), LAYER_HAS_ENTRY);
    assert_int_equal(ask(names, "c", 0), 0);
    assert_null(layer_names_find(names, "c"));
}

static void test_a_mark_alone_is_asked_for(void **state)
{
    g_autoptr(layer_names) names = layer_names_new(0, false);
    layer_names_add(names, 1, ".wh.gone");
    assert_int_equal(ask(names, "gone", 1), LAYER_HAS_MARK);
    assert_int_equal(ask(names, ".wh.gone", 1), 0);
}

static void test_names_that_are_no_marks_are_left_out(void **state)
{
    g_autoptr(layer_names) names = layer_names_new(1, false);
    layer_names_add(names, 0, ".wh..wh..opq");
    layer_names_add(names, 1, ".wh.");
    layer_names_add(names, 1, ".wh...");
    assert_int_equal(ask(names, "", 1), 0);
    assert_int_equal(ask(names, "..", 1), 0);
    assert_int_equal(ask(names, "a", 0), LAYER_HAS_ENTRY);
}

static void test_changing_layers_are_always_asked(void **state)
{
    g_autoptr(layer_names) names = layer_names_new(1, false);
    layer_names_add(names, 0, "a");
    assert_int_equal(ask(names, "a", 0), LAYER_HAS_ENTRY);
    assert_int_equal(ask(names, "b", 0), LAYER_HAS_ENTRY);
    layer_names_add(names, 0, ".wh.c");
    assert_int_equal(ask(names, "b", 0), LAYER_HAS_ANY);
}

static void test_marks_that_may_come_are_asked_for(void **state)
{
    g_autoptr(layer_names) names = layer_names_new(1, true);
    assert_int_equal(ask(names, "a", 0), LAYER_HAS_ANY);
    assert_int_equal(ask(names, "a", 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanging_layers_are_known_to_the_letter),
        cmocka_unit_test(test_a_mark_alone_is_asked_for),
        cmocka_unit_test(test_names_that_are_no_marks_are_left_out),
        cmocka_unit_test(test_changing_layers_are_always_asked),
        cmocka_unit_test(test_marks_that_may_come_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
