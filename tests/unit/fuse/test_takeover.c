/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker makes of the slots and buffers that a dead one has left. */
#include "fuse/takeover.h"

#include "gidfs_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct transport_state *state;
static struct transport_config config;
static uint64_t n_forgotten;

static void forget(void *userdata, uint64_t nodeid, uint64_t n_lookups)
{
    n_forgotten += n_lookups;
}

static void *map_zeros(size_t n_bytes)
{
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static int set_up(void **test_state)
{
    state = map_zeros(sizeof(*state));
    config = (struct transport_config){
        .state = state, .buffers = map_zeros((size_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES), .forget = forget};
    n_forgotten = 0;
    return 0;
}

static int tear_down(void **test_state)
{
    munmap(config.buffers, (size_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES);
    munmap(state, sizeof(*state));
    return 0;
}

static struct fuse_in_header *header_in(unsigned number)
{
    return (struct fuse_in_header *)(void *)(config.buffers + (size_t)number * TRANSPORT_BUFFER_BYTES);
}

/* A request that a worker was at when it died. */
static void leave(unsigned number, uint64_t unique, uint32_t opcode, enum request_stage stage)
{
    *header_in(number) =
        (struct fuse_in_header){.len = sizeof(struct fuse_in_header), .unique = unique, .opcode = opcode};
    state->slots[number] = (struct request_slot){.unique = unique, .opcode = opcode, .stage = stage};
}

static bool claim(struct takeover *t, uint64_t unique, struct request_slot *ret_slot)
{
    struct fuse_in_header header = {.len = sizeof(header), .unique = unique, .opcode = FUSE_MKDIR};
    memset(ret_slot, 0, sizeof(*ret_slot));
    return takeover_claim(t, ret_slot, &header);
}

static void test_notes_wait_for_the_request_that_comes_again(void **test_state)
{
    struct request_slot slot;
    state->death_weight = TRANSPORT_WEIGHT_CRASHED;
    leave(3, 70, FUSE_MKDIR, REQUEST_STAGE_BEGUN);
    struct takeover *t = takeover_new(&config, true);
    assert_int_equal(state->slots[3].unique, 0);
    assert_int_equal(header_in(3)->len, 0);
    assert_false(claim(t, 90 | ABI_UNIQUE_RESEND, &slot)); /* another one, of which nothing was noted */
    assert_true(claim(t, 70 | ABI_UNIQUE_RESEND, &slot));
    assert_int_equal(slot.unique, 70);
    assert_int_equal(slot.stage, REQUEST_STAGE_BEGUN);
    assert_int_equal(slot.attempts, TRANSPORT_WEIGHT_CRASHED);
    assert_false(claim(t, 70 | ABI_UNIQUE_RESEND, &slot)); /* taken */
    takeover_free(t);
}

static void test_a_new_request_ends_the_waiting(void **test_state)
{
    struct request_slot slot;
    leave(0, 70, FUSE_MKDIR, REQUEST_STAGE_DONE);
    struct takeover *t = takeover_new(&config, true);
    assert_int_equal(state->n_orphans, 1);
    assert_false(claim(t, 72, &slot)); /* all that was unanswered would have come before it */
    assert_int_equal(state->n_orphans, 0);
    takeover_free(t);
}

static void test_the_newer_note_wins(void **test_state)
{
    struct request_slot slot;
    state->orphans[0] = (struct request_slot){.unique = 70, .stage = REQUEST_STAGE_BEGUN};
    state->n_orphans = 1;
    leave(5, 70, FUSE_MKDIR, REQUEST_STAGE_DONE); /* of a second worker that died on it */
    struct takeover *t = takeover_new(&config, true);
    assert_int_equal(state->n_orphans, 1);
    assert_true(claim(t, 70 | ABI_UNIQUE_RESEND, &slot));
    assert_int_equal(slot.stage, REQUEST_STAGE_DONE);
    takeover_free(t);
}

/* A batch of two forgets, of which n_done were counted. */
static void leave_forgets(unsigned number, uint32_t n_done)
{
    struct {
        struct fuse_in_header header;
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one[2];
    } request = {.header = {.len = sizeof(request), .opcode = FUSE_BATCH_FORGET, .unique = 80},
                 .in = {.count = 2},
                 .one = {{.nodeid = 2, .nlookup = 10}, {.nodeid = 3, .nlookup = 1}}};
    memcpy(header_in(number), &request, sizeof(request));
    state->slots[number] = (struct request_slot){.unique = 80, .opcode = FUSE_BATCH_FORGET, .forgets_done = n_done};
}

static void test_forgets_are_finished(void **test_state)
{
    leave_forgets(0, 0);
    leave_forgets(1, 1);
    leave_forgets(2, 2);
    takeover_free(takeover_new(&config, true));
    assert_int_equal(n_forgotten, 11 + 1);
    takeover_free(takeover_new(&config, true)); /* and not again by the next worker */
    assert_int_equal(n_forgotten, 11 + 1);
}

/* Of two workers that die one after the other, the second before the request has come again. */
static void test_lookups_of_a_listing_are_kept(void **test_state)
{
    leave(1, 70, FUSE_READDIRPLUS, REQUEST_STAGE_NONE);
    state->slots[1].n_lookups = 3;
    for (uint64_t i = 0; i < 3; i++)
        request_lookups((char *)header_in(1))[i] = 100 + i;
    takeover_free(takeover_new(&config, true));
    leave(1, 90, FUSE_READDIRPLUS, REQUEST_STAGE_NONE); /* something else in the same buffer */
    struct takeover *t = takeover_new(&config, true);
    struct request_slot *slot = &state->slots[9];
    *header_in(9) = (struct fuse_in_header){
        .len = sizeof(struct fuse_in_header), .unique = 70 | ABI_UNIQUE_RESEND, .opcode = FUSE_READDIRPLUS};
    assert_true(takeover_claim(t, slot, header_in(9)));
    assert_int_equal(slot->n_lookups, 3);
    assert_int_equal(request_lookups((char *)header_in(9))[2], 102);
    takeover_free(t);
}

static void test_without_resending_the_buffers_are_done_again(void **test_state)
{
    leave(2, 70, FUSE_MKDIR, REQUEST_STAGE_BEGUN);
    leave(7, 72, FUSE_UNLINK, REQUEST_STAGE_DONE);
    leave_forgets(4, 0);
    struct takeover *t = takeover_new(&config, false);
    assert_int_equal(n_forgotten, 11);
    assert_true(takeover_next_left(t, 7)); /* its own first */
    assert_int_equal(header_in(7)->unique, 72);
    assert_int_equal(state->slots[7].stage, REQUEST_STAGE_DONE);
    header_in(7)->len = 0;
    memset(&state->slots[7], 0, sizeof(state->slots[7]));
    assert_true(takeover_next_left(t, 7)); /* then others', moved here */
    assert_int_equal(header_in(7)->unique, 70);
    assert_int_equal(state->slots[7].stage, REQUEST_STAGE_BEGUN);
    assert_int_equal(header_in(2)->len, 0);
    assert_false(takeover_next_left(t, 7));
    takeover_free(t);
}

static void test_a_request_that_was_being_moved_is_done_once(void **test_state)
{
    leave(2, 70, FUSE_MKDIR, REQUEST_STAGE_BEGUN);
    leave(7, 70, FUSE_MKDIR, REQUEST_STAGE_BEGUN);
    struct takeover *t = takeover_new(&config, false);
    assert_true(takeover_next_left(t, 0));
    assert_false(takeover_next_left(t, 0));
    takeover_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notes_wait_for_the_request_that_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_request_ends_the_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_newer_note_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgets_are_finished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookups_of_a_listing_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_resending_the_buffers_are_done_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_that_was_being_moved_is_done_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
