/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gid_pool.h"
#include "gidfs_test.h"

#include <errno.h>
#include <string.h>

static struct range_set *ranges(const char *text)
{
    struct range_set *set = NULL;
    assert_int_equal(range_set_parse(text, UINT32_MAX, &set, NULL), 0);
    return set;
}

static struct gid_pool *new_pool(const char *text, enum gid_pool_order order)
{
    g_autoptr(range_set) range = ranges(text);
    return gid_pool_new(range, order);
}

static uint32_t allocate(struct gid_pool *pool)
{
    uint32_t gid = 0;
    g_autoptr(GError) error = NULL;
    if (gid_pool_allocate(pool, &gid, &error) < 0)
        fail_msg("%s", error->message);
    return gid;
}

static void give_back(struct gid_pool *pool, uint32_t gid)
{
    assert_int_equal(gid_pool_release(pool, gid, 1), 0);
    assert_int_equal(gid_pool_end_quarantine(pool, gid, 1), 0);
}

static void assert_counts(const struct gid_pool *pool, uint64_t total, uint64_t n_free, uint64_t allocated,
                          uint64_t quarantined, uint64_t out_of_range)
{
    struct gid_counts counts;
    gid_pool_count(pool, &counts);
    assert_int_equal(counts.total, total);
    assert_int_equal(counts.free, n_free);
    assert_int_equal(counts.allocated, allocated);
    assert_int_equal(counts.quarantined, quarantined);
    assert_int_equal(counts.out_of_range, out_of_range);
}

static void test_the_lowest_free_one(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-101,200-201", GID_POOL_LOWEST);
    assert_int_equal(allocate(pool), 100);
    assert_int_equal(allocate(pool), 101);
    assert_int_equal(allocate(pool), 200);
    give_back(pool, 101);
    assert_int_equal(allocate(pool), 101);
    assert_int_equal(allocate(pool), 201);
}

static void test_the_recently_freed_last(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-104", GID_POOL_RECENT_LAST);
    assert_int_equal(allocate(pool), 100);
    assert_int_equal(allocate(pool), 101);
    assert_int_equal(allocate(pool), 102);
    give_back(pool, 101);
    give_back(pool, 100);
    assert_int_equal(allocate(pool), 103);
    assert_int_equal(allocate(pool), 104);
    assert_int_equal(allocate(pool), 101);
    assert_int_equal(allocate(pool), 100);
}

static void test_the_order_of_frees_can_be_told_again(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-103", GID_POOL_RECENT_LAST);
    static const uint32_t freed[] = {100, 99, 100, 101, 100}; /* 99 is out of range */
    for (size_t i = 0; i < G_N_ELEMENTS(freed); i++)
        gid_pool_note_freed(pool, freed[i]);
    assert_int_equal(allocate(pool), 102);
    assert_int_equal(allocate(pool), 103);
    assert_int_equal(allocate(pool), 101);
    gid_pool_note_freed(pool, 101); /* not free */
    assert_int_equal(allocate(pool), 100);
}

static void test_exhausted_is_a_typed_error(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-101", GID_POOL_LOWEST);
    allocate(pool);
    allocate(pool);
    assert_int_equal(gid_pool_release(pool, 100, 1), 0);
    uint32_t gid = 7;
    g_autoptr(GError) error = NULL;
    assert_int_equal(gid_pool_allocate(pool, &gid, &error), -ENOSPC);
    assert_int_equal(gid, 7);
    assert_string_equal(error->message, "no gid is free in 100-101: 2 in total, 1 allocated, 1 quarantined; remove "
                                        "volumes, or widen the range");
    assert_counts(pool, 2, 0, 1, 1, 0);
}

static void test_released_is_not_free_before_the_quarantine_ends(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-101", GID_POOL_LOWEST);
    assert_int_equal(allocate(pool), 100);
    assert_int_equal(gid_pool_end_quarantine(pool, 100, 1), -ENOENT);
    assert_int_equal(gid_pool_release(pool, 100, 1), 0);
    assert_int_equal(gid_pool_release(pool, 100, 1), -ENOENT);
    assert_int_equal(gid_pool_state(pool, 100), GID_STATE_QUARANTINED);
    assert_int_equal(allocate(pool), 101);
    assert_int_equal(gid_pool_end_quarantine(pool, 100, 1), 0);
    assert_int_equal(allocate(pool), 100);
}

static void test_a_changed_range_leaves_gids_with_their_volumes(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-103", GID_POOL_LOWEST);
    allocate(pool);
    allocate(pool);
    allocate(pool);
    assert_int_equal(gid_pool_release(pool, 101, 1), 0);
    g_autoptr(range_set) range = ranges("102-105");
    gid_pool_set_range(pool, range);
    assert_counts(pool, 4, 3, 1, 0, 2);
    assert_int_equal(gid_pool_state(pool, 100), GID_STATE_ALLOCATED);
    assert_int_equal(allocate(pool), 103);

    give_back(pool, 100);
    assert_int_equal(gid_pool_end_quarantine(pool, 101, 1), 0);
    assert_int_equal(gid_pool_state(pool, 100), GID_STATE_OUTSIDE);
    assert_counts(pool, 4, 2, 2, 0, 0);
    assert_int_equal(allocate(pool), 104);
    assert_int_equal(allocate(pool), 105);
    assert_int_equal(gid_pool_allocate(pool, &(uint32_t){0}, NULL), -ENOSPC);
}

static void test_restored_ids_may_lie_anywhere_but_only_once(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100-109", GID_POOL_LOWEST);
    assert_int_equal(gid_pool_restore(pool, 98, 4, GID_STATE_ALLOCATED, NULL), 0);
    assert_counts(pool, 10, 8, 2, 0, 2);
    g_autoptr(GError) error = NULL;
    assert_int_equal(gid_pool_restore(pool, 101, 2, GID_STATE_QUARANTINED, &error), -EEXIST);
    assert_string_equal(error->message, "ids 101-102: the table gives one of them twice");
    assert_int_equal(gid_pool_state(pool, 102), GID_STATE_FREE);
    assert_int_equal(gid_pool_release(pool, 98, 4), 0);
    assert_counts(pool, 10, 8, 0, 2, 2);
    assert_int_equal(gid_pool_end_quarantine(pool, 98, 4), 0);
    assert_counts(pool, 10, 10, 0, 0, 0);
}

static void test_blocks_do_not_overlap_and_come_back(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("100000-400000", GID_POOL_LOWEST);
    uint32_t a = 0, b = 0, c = 0;
    assert_int_equal(gid_pool_allocate_block(pool, 65536, 65536, &a, NULL), 0);
    assert_int_equal(gid_pool_allocate_block(pool, 65536, 1, &b, NULL), 0);
    assert_int_equal(a, 131072);
    assert_int_equal(b, 196608);
    assert_int_equal(allocate(pool), 100000);
    assert_int_equal(gid_pool_release(pool, a, 65536), 0);
    assert_int_equal(gid_pool_end_quarantine(pool, a, 65536), 0);
    assert_int_equal(gid_pool_allocate_block(pool, 65536, 65536, &c, NULL), 0);
    assert_int_equal(c, a);
    assert_int_equal(gid_pool_allocate_block(pool, 65536, 65536, &c, NULL), 0);
    assert_int_equal(c, 262144);
    g_autoptr(GError) error = NULL;
    assert_int_equal(gid_pool_allocate_block(pool, 200000, 1, &c, &error), -ENOSPC);
    assert_non_null(strstr(error->message, "no 200000 ids in a row are free in 100000-400000"));
}

static void test_the_last_ids_there_are(void **state)
{
    g_autoptr(gid_pool) pool = new_pool("4294967293-4294967294", GID_POOL_RECENT_LAST);
    assert_int_equal(allocate(pool), 4294967293u);
    assert_int_equal(allocate(pool), 4294967294u);
    give_back(pool, 4294967294u);
    assert_int_equal(gid_pool_state(pool, 4294967294u), GID_STATE_FREE);
    assert_int_equal(gid_pool_state(pool, UINT32_MAX), GID_STATE_OUTSIDE);
}

/* The model: for each id below SPAN whether it is in the range, its state, and when it was freed (0: never). */
#define SPAN 60

struct model {
    bool inside[SPAN];
    enum gid_state state[SPAN];
    unsigned freed_at[SPAN];
    unsigned clock;
};

static void model_set_range(struct model *model, const struct range_set *range)
{
    for (unsigned i = 0; i < SPAN; i++) {
        bool held = model->state[i] == GID_STATE_ALLOCATED || model->state[i] == GID_STATE_QUARANTINED;
        model->inside[i] = range_set_contains(range, i);
        if (!held)
            model->state[i] = model->inside[i] ? GID_STATE_FREE : GID_STATE_OUTSIDE;
        if (model->state[i] != GID_STATE_FREE)
            model->freed_at[i] = 0;
    }
}

static void model_check(const struct model *model, const struct gid_pool *pool)
{
    struct gid_counts wanted = {0}, counts;
    for (unsigned i = 0; i < SPAN; i++) {
        enum gid_state state = model->state[i];
        assert_int_equal(gid_pool_state(pool, i), state);
        bool held = state == GID_STATE_ALLOCATED || state == GID_STATE_QUARANTINED;
        wanted.total += model->inside[i];
        wanted.free += state == GID_STATE_FREE;
        wanted.allocated += model->inside[i] && state == GID_STATE_ALLOCATED;
        wanted.quarantined += model->inside[i] && state == GID_STATE_QUARANTINED;
        wanted.out_of_range += !model->inside[i] && held;
    }
    gid_pool_count(pool, &counts);
    assert_memory_equal(&counts, &wanted, sizeof(counts));
    assert_int_equal(counts.total, counts.free + counts.allocated + counts.quarantined);
    assert_int_equal(range_set_count(gid_pool_range(pool)), wanted.total);
    assert_int_equal(range_set_count(gid_pool_ids(pool, GID_STATE_FREE)), wanted.free);
    assert_int_equal(range_set_count(gid_pool_ids(pool, GID_STATE_ALLOCATED)) +
                         range_set_count(gid_pool_ids(pool, GID_STATE_QUARANTINED)),
                     wanted.allocated + wanted.quarantined + wanted.out_of_range);
}

/* The id that the pool must give: SPAN if there is none. */
static unsigned model_choose(const struct model *model, enum gid_pool_order order)
{
    unsigned best = SPAN;
    for (unsigned i = 0; i < SPAN; i++) {
        if (model->state[i] != GID_STATE_FREE)
            continue;
        if (best == SPAN || (order == GID_POOL_RECENT_LAST && model->freed_at[i] < model->freed_at[best]))
            best = i;
    }
    return best;
}

static bool model_all(const struct model *model, unsigned first, unsigned length, enum gid_state state)
{
    for (unsigned i = first; i < first + length; i++)
        if (i >= SPAN || model->state[i] != state)
            return false;
    return true;
}

static void model_move(struct model *model, unsigned first, unsigned length, enum gid_state state)
{
    model->clock++;
    for (unsigned i = first; i < first + length; i++) {
        bool becomes_free = state == GID_STATE_FREE && model->inside[i];
        model->state[i] = state == GID_STATE_FREE && !model->inside[i] ? GID_STATE_OUTSIDE : state;
        model->freed_at[i] = becomes_free ? model->clock : 0;
    }
}

static void step_allocate(struct model *model, struct gid_pool *pool, enum gid_pool_order order)
{
    unsigned wanted = model_choose(model, order);
    uint32_t gid = SPAN;
    assert_int_equal(gid_pool_allocate(pool, &gid, NULL), wanted < SPAN ? 0 : -ENOSPC);
    assert_int_equal(gid, wanted);
    if (wanted < SPAN)
        model_move(model, wanted, 1, GID_STATE_ALLOCATED);
}

static void step_block(struct model *model, struct gid_pool *pool, enum gid_pool_order order, unsigned length,
                       unsigned alignment)
{
    unsigned lowest = 0;
    while (lowest < SPAN && (lowest % alignment != 0 || !model_all(model, lowest, length, GID_STATE_FREE)))
        lowest++;
    uint32_t first = SPAN;
    assert_int_equal(gid_pool_allocate_block(pool, length, alignment, &first, NULL), lowest < SPAN ? 0 : -ENOSPC);
    if (lowest == SPAN)
        return;
    assert_true(order == GID_POOL_RECENT_LAST || first == lowest);
    assert_int_equal(first % alignment, 0);
    assert_true(model_all(model, first, length, GID_STATE_FREE));
    model_move(model, first, length, GID_STATE_ALLOCATED);
}

static void step_move(struct model *model, struct gid_pool *pool, unsigned first, unsigned length)
{
    bool can_release = model_all(model, first, length, GID_STATE_ALLOCATED);
    assert_int_equal(gid_pool_release(pool, first, length), can_release ? 0 : -ENOENT);
    if (can_release) {
        model_move(model, first, length, GID_STATE_QUARANTINED);
        return;
    }
    bool can_end = model_all(model, first, length, GID_STATE_QUARANTINED);
    assert_int_equal(gid_pool_end_quarantine(pool, first, length), can_end ? 0 : -ENOENT);
    if (can_end)
        model_move(model, first, length, GID_STATE_FREE);
}

static void step_set_range(struct model *model, struct gid_pool *pool, GRand *rand)
{
    g_autoptr(range_set) range = range_set_new();
    for (int i = g_rand_int_range(rand, 1, 4); i > 0; i--) {
        uint64_t start = (uint64_t)g_rand_int_range(rand, 0, SPAN),
                 end = start + (uint64_t)g_rand_int_range(rand, 1, 30);
        range_set_add(range, start, MIN(end, SPAN));
    }
    gid_pool_set_range(pool, range);
    model_set_range(model, range);
}

static void run_model(enum gid_pool_order order, guint32 seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(gid_pool) pool = new_pool("10-39", order);
    struct model model = {0};
    model_set_range(&model, gid_pool_range(pool));
    for (int step = 0; step < 3000; step++) {
        unsigned first = (unsigned)g_rand_int_range(rand, 0, SPAN), length = (unsigned)g_rand_int_range(rand, 1, 4);
        int what = g_rand_int_range(rand, 0, 100);
        if (what < 35)
            step_allocate(&model, pool, order);
        else if (what < 45)
            step_block(&model, pool, order, length, (unsigned)g_rand_int_range(rand, 1, 5));
        else if (what < 98)
            step_move(&model, pool, first, first + length <= SPAN ? length : 1);
        else
            step_set_range(&model, pool, rand);
        model_check(&model, pool);
    }
}

static void test_random_steps_agree_with_the_model(void **state)
{
    for (guint32 seed = 0; seed < 5; seed++) {
        run_model(GID_POOL_LOWEST, seed);
        run_model(GID_POOL_RECENT_LAST, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lowest_free_one),
        cmocka_unit_test(test_the_recently_freed_last),
        cmocka_unit_test(test_the_order_of_frees_can_be_told_again),
        cmocka_unit_test(test_exhausted_is_a_typed_error),
        cmocka_unit_test(test_released_is_not_free_before_the_quarantine_ends),
        cmocka_unit_test(test_a_changed_range_leaves_gids_with_their_volumes),
        cmocka_unit_test(test_restored_ids_may_lie_anywhere_but_only_once),
        cmocka_unit_test(test_blocks_do_not_overlap_and_come_back),
        cmocka_unit_test(test_the_last_ids_there_are),
        cmocka_unit_test(test_random_steps_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
