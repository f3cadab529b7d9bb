/* SPDX-License-Identifier: Apache-2.0 */
#include "core/range_set.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

#define GID_LIMIT ((uint64_t)UINT32_MAX)

static struct range_set *parsed(const char *text)
{
    struct range_set *set = NULL;
    g_autoptr(GError) error = NULL;
    if (range_set_parse(text, GID_LIMIT, &set, &error) < 0)
        fail_msg("%s: %s", text, error->message);
    return set;
}

static void assert_prints(const struct range_set *set, const char *wanted)
{
    g_autofree char *text = range_set_to_string(set);
    assert_string_equal(text, wanted);
}

static void test_parse_and_print(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"50000-59999", "50000-59999"},
        {"50000-59999,70000-70999", "50000-59999,70000-70999"},
        {"[50000-59999]", "50000-59999"},
        {" [ 50000-59999 , 70000-70999 ] ", "50000-59999,70000-70999"},
        {"70000-70999,50000-59999", "50000-59999,70000-70999"},
        {"1-1", "1-1"},
        {"1-5,6-9", "1-9"},
        {"1-5,7-9", "1-5,7-9"},
        {"1-5,3-9,2-2", "1-9"},
        {"0-4294967295", "0-4294967295"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(range_set) set = parsed(cases[i].text);
        assert_prints(set, cases[i].printed);
    }
    g_autoptr(range_set) empty = range_set_new();
    assert_prints(empty, "");
}

static void test_the_four_ways_to_be_wrong(void **state)
{
    static const struct {
        const char *text;
        int errnum;
        const char *message;
    } cases[] = {
        {"x", EINVAL, "range \"x\": not parseable"},
        {"1-", EINVAL, "range \"1-\": not parseable"},
        {"-1", EINVAL, "range \"-1\": not parseable"},
        {"1-2-3", EINVAL, "range \"1-2-3\": not parseable"},
        {"1 - 2", EINVAL, "not parseable"},
        {"1-2,", EINVAL, "range \"\": not parseable"},
        {"1-2,,3-4", EINVAL, "range \"\": not parseable"},
        {"1-2;3-4", EINVAL, "not parseable"},
        {"[1-2", EINVAL, "a bracket is not closed"},
        {"[", EINVAL, "a bracket is not closed"},
        {"1-2]", EINVAL, "range \"1-2]\": not parseable"},
        {"[[1-2]]", EINVAL, "not parseable"},
        {"50000", EDOM, "range \"50000\": a number, not a range; for a single one write 50000-50000"},
        {"1-2,7", EDOM, "range \"7\": a number, not a range"},
        {"4294967296-4294967297", ERANGE, "range \"4294967296-4294967297\": a value is out of bounds"},
        {"1-4294967296", ERANGE, "the largest is 4294967295"},
        {"1-99999999999999999999", ERANGE, "out of bounds"},
        {"2-1", ENODATA, "range \"2-1\": empty, its end is before its start"},
        {"", ENODATA, "empty, there is no range"},
        {"  ", ENODATA, "empty, there is no range"},
        {"[]", ENODATA, "empty, there is no range"},
        {"[ ]", ENODATA, "empty, there is no range"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct range_set *set = (struct range_set *)&cases;
        g_autoptr(GError) error = NULL;
        int r = range_set_parse(cases[i].text, GID_LIMIT, &set, &error);
        if (r != -cases[i].errnum || !strstr(error->message, cases[i].message))
            fail_msg("\"%s\": got %d, %s", cases[i].text, r, r < 0 ? error->message : "no error");
        assert_ptr_equal(set, &cases);
    }
}

static void test_both_sides_of_every_boundary(void **state)
{
    g_autoptr(range_set) set = parsed("10-19,30-39");
    const uint64_t in[] = {10, 19, 30, 39}, out[] = {0, 9, 20, 29, 40, UINT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(in); i++)
        assert_true(range_set_contains(set, in[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(out); i++)
        assert_false(range_set_contains(set, out[i]));

    assert_true(range_set_contains_all(set, 10, 20));
    assert_false(range_set_contains_all(set, 10, 21));
    assert_false(range_set_contains_all(set, 9, 20));
    assert_false(range_set_contains_all(set, 10, 10));
    assert_false(range_set_contains_any(set, 20, 30));
    assert_true(range_set_contains_any(set, 19, 30));
    assert_true(range_set_contains_any(set, 20, 31));
    assert_false(range_set_contains_any(set, 15, 15));

    assert_int_equal(range_set_count(set), 20);
    assert_int_equal(range_set_count_below(set, 10), 0);
    assert_int_equal(range_set_count_below(set, 11), 1);
    assert_int_equal(range_set_count_below(set, 31), 11);
    assert_int_equal(range_set_count_below(set, UINT64_MAX), 20);
    assert_int_equal(range_set_n_ranges(set), 2);
}

static void test_touching_ranges_are_one(void **state)
{
    g_autoptr(range_set) set = parsed("10-19");
    range_set_add(set, 20, 21);
    assert_prints(set, "10-20");
    range_set_add(set, 9, 10);
    assert_prints(set, "9-20");
    range_set_add(set, 22, 30);
    assert_prints(set, "9-20,22-29");
    range_set_add(set, 21, 22);
    assert_prints(set, "9-29");
    assert_int_equal(range_set_n_ranges(set), 1);
    range_set_remove(set, 15, 16);
    assert_prints(set, "9-14,16-29");
    range_set_remove(set, 0, 9);
    range_set_remove(set, 30, 100);
    range_set_remove(set, 20, 20);
    range_set_add(set, 50, 50);
    range_set_add(set, 60, 50);
    assert_prints(set, "9-14,16-29");
    range_set_remove(set, 0, UINT64_MAX);
    assert_prints(set, "");
}

static void test_the_ends_of_the_numbers(void **state)
{
    g_autoptr(range_set) set = range_set_new();
    range_set_add(set, 0, UINT64_MAX);
    assert_true(range_set_count(set) == UINT64_MAX);
    assert_true(range_set_contains(set, UINT64_MAX - 1));
    assert_false(range_set_contains(set, UINT64_MAX));
    range_set_add(set, UINT64_MAX - 1, UINT64_MAX);
    range_set_remove(set, 1, UINT64_MAX - 1);
    assert_prints(set, "0-0,18446744073709551614-18446744073709551614");
    uint64_t start = 1;
    assert_true(range_set_first_fit(set, 1, 1, 1, &start));
    assert_true(start == UINT64_MAX - 1);
    assert_false(range_set_first_fit(set, 1, 1, UINT64_MAX, &start));
    assert_false(range_set_first_fit(set, 0, UINT64_MAX, 1, &start));
}

static void test_first_fit(void **state)
{
    g_autoptr(range_set) set = parsed("5-9,20-34,100-299");
    uint64_t start = 0;
    assert_true(range_set_first_fit(set, 0, 5, 1, &start) && start == 5);
    assert_true(range_set_first_fit(set, 6, 5, 1, &start) && start == 20);
    assert_true(range_set_first_fit(set, 0, 6, 1, &start) && start == 20);
    assert_true(range_set_first_fit(set, 0, 15, 1, &start) && start == 20);
    assert_true(range_set_first_fit(set, 0, 16, 1, &start) && start == 100);
    assert_true(range_set_first_fit(set, 0, 10, 16, &start) && start == 112);
    assert_true(range_set_first_fit(set, 0, 3, 16, &start) && start == 32);
    assert_true(range_set_first_fit(set, 0, 4, 16, &start) && start == 112);
    assert_true(range_set_first_fit(set, 0, 200, 100, &start) && start == 100);
    assert_false(range_set_first_fit(set, 0, 201, 1, &start));
    assert_false(range_set_first_fit(set, 101, 200, 1, &start));
}

/* The model: one flag for each number below SPAN. */
#define SPAN 160

static unsigned model_check_range(const bool model[SPAN], const struct range_set *set, unsigned at)
{
    struct range range;
    bool found = range_set_next_range(set, at, &range);
    unsigned start = at;
    while (start < SPAN && !model[start])
        start++;
    assert_int_equal(found, start < SPAN);
    if (!found)
        return SPAN;
    unsigned end = start;
    while (end < SPAN && model[end])
        end++;
    assert_int_equal(range.start, start);
    assert_int_equal(range.end, end);
    return end;
}

static void model_check(const bool model[SPAN], const struct range_set *set)
{
    unsigned count = 0, n_ranges = 0;
    for (unsigned i = 0; i < SPAN; i++) {
        assert_int_equal(range_set_contains(set, i), model[i]);
        assert_int_equal(range_set_count_below(set, i), count);
        count += model[i];
        n_ranges += model[i] && (i == 0 || !model[i - 1]);
    }
    assert_int_equal(range_set_count(set), count);
    assert_int_equal(range_set_n_ranges(set), n_ranges);
    for (unsigned at = 0; at < SPAN;)
        at = model_check_range(model, set, at);
}

static void model_check_fit(const bool model[SPAN], const struct range_set *set, unsigned from, unsigned length,
                            unsigned alignment)
{
    bool all = false, any = false;
    unsigned start = from;
    for (; start + length <= SPAN && !all; start++) {
        all = start % alignment == 0;
        for (unsigned i = start; i < start + length; i++)
            all = all && model[i];
    }
    uint64_t got = UINT64_MAX;
    assert_int_equal(range_set_first_fit(set, from, length, alignment, &got), all);
    assert_true(got == (all ? start - 1 : UINT64_MAX));

    all = true;
    for (unsigned i = from; i < from + length; i++) {
        all = all && i < SPAN && model[i];
        any = any || (i < SPAN && model[i]);
    }
    assert_int_equal(range_set_contains_all(set, from, from + length), all);
    assert_int_equal(range_set_contains_any(set, from, from + length), any);
}

static void random_change(GRand *rand, bool model[SPAN], struct range_set *set)
{
    unsigned start = (unsigned)g_rand_int_range(rand, 0, SPAN);
    unsigned end = start + (unsigned)g_rand_int_range(rand, 0, 25);
    end = MIN(end, SPAN);
    bool add = g_rand_boolean(rand);
    if (add)
        range_set_add(set, start, end);
    else
        range_set_remove(set, start, end);
    for (unsigned i = start; i < end; i++)
        model[i] = add;
}

static void test_random_changes_agree_with_flags(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(64);
    for (int round = 0; round < 60; round++) {
        bool model[SPAN] = {false};
        g_autoptr(range_set) set = range_set_new();
        for (int step = 0; step < 60; step++) {
            random_change(rand, model, set);
            model_check(model, set);
            for (int i = 0; i < 10; i++)
                model_check_fit(model, set, (unsigned)g_rand_int_range(rand, 0, SPAN),
                                (unsigned)g_rand_int_range(rand, 1, 20), (unsigned)g_rand_int_range(rand, 1, 20));
        }
        g_autofree char *text = range_set_to_string(set);
        g_autoptr(range_set) again = *text ? parsed(text) : range_set_new();
        assert_true(range_set_equal(set, again));
    }
}

static void test_random_sets_combine_as_flags_do(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(65);
    for (int round = 0; round < 200; round++) {
        struct range range;
        bool a_model[SPAN] = {false}, b_model[SPAN] = {false}, model[SPAN];
        g_autoptr(range_set) a = range_set_new();
        g_autoptr(range_set) b = range_set_new();
        for (int i = g_rand_int_range(rand, 0, 20); i > 0; i--) {
            random_change(rand, a_model, a);
            random_change(rand, b_model, b);
        }
        g_autoptr(range_set) both = range_set_intersect(a, b);
        g_autoptr(range_set) either = range_set_copy(a);
        for (uint64_t at = 0; range_set_next_range(b, at, &range); at = range.end)
            range_set_add(either, range.start, range.end);
        g_autoptr(range_set) only_a = range_set_copy(a);
        range_set_remove_set(only_a, b);
        for (int i = 0; i < SPAN; i++)
            model[i] = a_model[i] && b_model[i];
        model_check(model, both);
        for (int i = 0; i < SPAN; i++)
            model[i] = a_model[i] || b_model[i];
        model_check(model, either);
        for (int i = 0; i < SPAN; i++)
            model[i] = a_model[i] && !b_model[i];
        model_check(model, only_a);
        model_check(a_model, a);
        assert_int_equal(range_set_equal(a, b), memcmp(a_model, b_model, sizeof(a_model)) == 0);
    }
}

/* A hundred thousand ranges in ascending order, the worst case of an unbalanced tree, take no time and no deep stack.
 */
static void test_many_ranges_in_order(void **state)
{
    g_autoptr(range_set) set = range_set_new();
    const uint64_t n = 100000;
    for (uint64_t i = 0; i < n; i++)
        range_set_add(set, 2 * i, 2 * i + 1);
    assert_int_equal(range_set_n_ranges(set), n);
    for (uint64_t i = 0; i < 2 * n; i++)
        assert_int_equal(range_set_contains(set, i), i % 2 == 0);
    uint64_t start = 0;
    assert_false(range_set_first_fit(set, 0, 2, 1, &start));
    for (uint64_t i = 0; i < n; i++)
        range_set_remove(set, 2 * i, 2 * i + 1);
    assert_int_equal(range_set_n_ranges(set), 0);
    range_set_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_print),
        cmocka_unit_test(test_the_four_ways_to_be_wrong),
        cmocka_unit_test(test_both_sides_of_every_boundary),
        cmocka_unit_test(test_touching_ranges_are_one),
        cmocka_unit_test(test_the_ends_of_the_numbers),
        cmocka_unit_test(test_first_fit),
        cmocka_unit_test(test_random_changes_agree_with_flags),
        cmocka_unit_test(test_random_sets_combine_as_flags_do),
        cmocka_unit_test(test_many_ranges_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
