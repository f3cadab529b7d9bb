/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that dies anywhere in a change of a lookup count: its successor finds all of the change, or nothing of it.
 */
#include "inode/count.h"

#include "gidfs_test.h"

#include <glib.h>
#include <stdlib.h>

#define NODEID 77

struct fixture {
    struct inode_state *state;
    struct inode *inode;
    struct request_slot slots[2];
    struct fuse_in_header *header;
};

static int set_up(void **test_state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->state = calloc(1, inode_state_size(4));
    f->state->n_records_used = 4;
    f->inode = &f->state->records[2];
    f->inode->nodeid = NODEID;
    f->inode->n_lookups = 5;
    f->header = calloc(1, REQUEST_LOOKUPS_OFFSET + REQUEST_MAX_LOOKUPS * sizeof(uint64_t));
    f->slots[0].unique = 8;
    f->slots[1] = (struct request_slot){.unique = 10, .opcode = FUSE_LOOKUP};
    request_enter(&f->slots[1], f->header);
    *test_state = f;
    return 0;
}

static int tear_down(void **test_state)
{
    struct fixture *f = *test_state;
    request_enter(NULL, NULL);
    free(f->header);
    free(f->state);
    free(f);
    return 0;
}

/* Twice: the successor may die of it too. */
static void die(struct fixture *f)
{
    request_enter(NULL, NULL);
    struct inode_change change = f->state->change;
    count_recover(f->state, f->slots, G_N_ELEMENTS(f->slots));
    f->state->change = change;
    count_recover(f->state, f->slots, G_N_ELEMENTS(f->slots));
    assert_int_equal(f->state->change.begun, 0);
    assert_int_equal(f->slots[0].n_lookups + f->slots[0].forgets_done, 0);
}

static void test_a_lookup(void **test_state)
{
    struct fixture *f = *test_state;
    count_begin_lookup(f->state, f->inode, NODEID);
    die(f);
    assert_int_equal(f->inode->n_lookups, 6);
    assert_int_equal(f->slots[1].n_lookups, 1);
    assert_int_equal(request_lookups((char *)f->header)[0], NODEID);
}

static void test_a_lookup_that_was_counted(void **test_state)
{
    struct fixture *f = *test_state;
    count_begin_lookup(f->state, f->inode, NODEID);
    f->inode->n_lookups++;
    die(f);
    assert_int_equal(f->inode->n_lookups, 6);
    assert_int_equal(f->slots[1].n_lookups, 1);
}

static void test_a_record_that_was_not_published(void **test_state)
{
    struct fixture *f = *test_state;
    f->inode->nodeid = 0;
    f->inode->n_lookups = 0;
    count_begin_lookup(f->state, f->inode, NODEID);
    die(f);
    assert_int_equal(f->inode->n_lookups, 0);
    assert_int_equal(f->slots[1].n_lookups, 0);
}

static void test_a_lookup_that_is_taken_back(void **test_state)
{
    struct fixture *f = *test_state;
    count_begin_lookup(f->state, f->inode, NODEID);
    f->inode->n_lookups++;
    count_end(f->state);
    assert_int_equal(f->slots[1].n_lookups, 1);
    assert_int_equal(count_begin_forget(f->state, f->inode, NODEID, 1), 5);
    die(f);
    assert_int_equal(f->inode->n_lookups, 5);
    assert_int_equal(f->slots[1].n_lookups, 0);
}

static void test_a_forget(void **test_state)
{
    struct fixture *f = *test_state;
    f->slots[1].opcode = FUSE_BATCH_FORGET;
    f->slots[1].forgets_done = 3;
    assert_int_equal(count_begin_forget(f->state, f->inode, NODEID, 2), 3);
    die(f);
    assert_int_equal(f->inode->n_lookups, 3);
    assert_int_equal(f->slots[1].forgets_done, 4);
}

static void test_a_forget_that_had_freed_the_record(void **test_state)
{
    struct fixture *f = *test_state;
    f->slots[1].opcode = FUSE_FORGET;
    assert_int_equal(count_begin_forget(f->state, f->inode, NODEID, 5), 0);
    f->inode->nodeid = 0;
    die(f);
    assert_int_equal(f->slots[1].forgets_done, 1);
}

static void test_a_forget_of_what_is_not_known(void **test_state)
{
    struct fixture *f = *test_state;
    f->slots[1].opcode = FUSE_FORGET;
    assert_int_equal(count_begin_forget(f->state, NULL, 4711, 1), 0);
    count_end(f->state);
    assert_int_equal(f->slots[1].forgets_done, 1);
    assert_int_equal(f->inode->n_lookups, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_lookup),
        TEST(test_a_lookup_that_was_counted),
        TEST(test_a_record_that_was_not_published),
        TEST(test_a_lookup_that_is_taken_back),
        TEST(test_a_forget),
        TEST(test_a_forget_that_had_freed_the_record),
        TEST(test_a_forget_of_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
