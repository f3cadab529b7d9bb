/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include "view/layers/places.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define N_INODES 64

struct fixture {
    struct places_state *state;
    struct places *places;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    f->state = g_malloc0(places_state_size(N_INODES));
    places_state_init(f->state, N_INODES);
    f->places = places_new(f->state);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    places_free(f->places);
    g_free(f->state);
    g_free(f);
    return 0;
}

static void renew(struct fixture *f)
{
    places_free(f->places);
    f->places = places_new(f->state);
}

static void assert_place(struct fixture *f, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino)
{
    struct place place = {0};
    assert_int_equal(places_get(f->places, nodeid, &place), 0);
    assert_int_equal(place.parent, parent);
    assert_int_equal(place.ino, ino);
    assert_string_equal(place.name, name);
    g_free(place.name);
}

static void test_set_detach_get(void **state)
{
    struct fixture *f = *state;
    struct place place;
    assert_int_equal(places_get(f->places, 5, &place), -ENOENT);
    places_set(f->places, 5, 1, "name", 77);
    assert_place(f, 5, 1, "name", 77);
    places_set(f->places, 5, 2, "other", 0); /* keeps the number */
    assert_place(f, 5, 2, "other", 77);
    places_detach(f->places, 5);
    assert_place(f, 5, 0, "other", 77);
    assert_int_equal(places_get_ino(f->places, 5), 77);
    assert_int_equal(places_get_ino(f->places, 6), 0);
}

static void test_a_record_that_is_used_again_is_another_inode(void **state)
{
    struct fixture *f = *state;
    uint64_t again = 1ULL << 32 | 5;
    struct place place;
    places_set(f->places, 5, 1, "first", 7);
    places_set(f->places, again, 1, "second", 0);
    assert_place(f, again, 1, "second", 0);
    assert_int_equal(places_get(f->places, 5, &place), -ENOENT);
}

static void test_a_successor_finds_them(void **state)
{
    struct fixture *f = *state;
    char name[NAME_MAX + 1] = {0};
    for (unsigned length = 1; length <= NAME_MAX; length += 50) {
        memset(name, 'n', length);
        places_set(f->places, length % N_INODES, 1, name, length);
    }
    renew(f);
    memset(name, 0, sizeof(name));
    for (unsigned length = 1; length <= NAME_MAX; length += 50) {
        memset(name, 'n', length);
        assert_place(f, length % N_INODES, 1, name, length);
    }
}

/* However often names change, by one worker or its successors, what is there stays right and room is used again. */
static void test_changes_at_random_use_room_again(void **state)
{
    struct fixture *f = *state;
    unsigned n_most = 0, parents[N_INODES] = {0}, lengths[N_INODES] = {0};
    char name[NAME_MAX + 1];
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned nodeid = 1 + (unsigned)rand() % (N_INODES - 1);
        lengths[nodeid] = 1 + (unsigned)rand() % 90;
        parents[nodeid] = i + 1;
        memset(name, 'a' + (int)(nodeid % 26), lengths[nodeid]);
        name[lengths[nodeid]] = '\0';
        places_set(f->places, nodeid, parents[nodeid], name, nodeid);
        if (i % 1000 == 0)
            renew(f);
        n_most = MAX(n_most, f->state->n_granules_used);
    }
    assert_true(n_most <= 4 * N_INODES);
    for (unsigned nodeid = 1; nodeid < N_INODES; nodeid++) {
        memset(name, 'a' + (int)(nodeid % 26), lengths[nodeid]);
        name[lengths[nodeid]] = '\0';
        assert_place(f, nodeid, parents[nodeid], name, nodeid);
    }
}

static void test_without_room_an_old_place_is_forgotten(void **state)
{
    struct fixture *f = *state;
    char name[NAME_MAX + 1] = {0};
    struct place place;
    unsigned n_lost = 0;
    places_set(f->places, 1, 1, "short", 0);
    memset(name, 'n', NAME_MAX);
    for (unsigned nodeid = N_INODES - 1; nodeid > 0; nodeid--)
        places_set(f->places, nodeid, 2, name, 0);
    for (unsigned nodeid = 1; nodeid < N_INODES; nodeid++) {
        if (places_get(f->places, nodeid, &place) < 0) {
            n_lost++;
            continue;
        }
        assert_int_equal(place.parent, 2);
        g_free(place.name);
    }
    assert_true(n_lost > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_detach_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_record_that_is_used_again_is_another_inode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_successor_finds_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_at_random_use_room_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_room_an_old_place_is_forgotten, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
