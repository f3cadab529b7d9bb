/* SPDX-License-Identifier: Apache-2.0 */
#include "base/helper.h"

#include "gidfs_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sysinfo.h>

#define N_CALLS  500
#define N_ROUNDS 200

struct loop {
    struct helper *helper;
    _Atomic unsigned n_calls[N_CALLS];
    pthread_t owner;
    _Atomic bool helped;
    bool wait_for_help;
};

static void call(void *data, unsigned number)
{
    struct loop *loop = data;
    atomic_fetch_add(&loop->n_calls[number], 1);
    if (!pthread_equal(pthread_self(), loop->owner))
        atomic_store(&loop->helped, true);
    while (loop->wait_for_help && !atomic_load(&loop->helped))
        ;
}

static void *share(void *data)
{
    struct loop *loop = data;
    loop->owner = pthread_self();
    for (unsigned round = 1; round <= N_ROUNDS; round++) {
        unsigned n = N_CALLS - round % 3;
        memset(loop->n_calls, 0, sizeof(loop->n_calls));
        helper_share(loop->helper, n, call, loop);
        for (unsigned i = 0; i < N_CALLS; i++)
            assert_int_equal(i < n, loop->n_calls[i]);
    }
    return NULL;
}

static int set_up(void **state)
{
    static struct helper *helper;
    assert_int_equal(0, helper_new(&helper));
    *state = helper;
    return 0;
}

static int tear_down(void **state)
{
    helper_free(*state);
    return 0;
}

static void each_call_is_made_once(void **state)
{
    struct loop loop = {.helper = *state};
    share(&loop);
}

static void a_share_is_done_by_another_thread(void **state)
{
    struct loop loop = {.helper = *state, .owner = pthread_self(), .wait_for_help = true};
    if (get_nprocs() < 2)
        skip();
    helper_share(loop.helper, N_CALLS, call, &loop);
    assert_true(loop.helped);
}

static void many_may_share_at_a_time(void **state)
{
    struct loop loops[4] = {{.helper = *state}, {.helper = *state}, {.helper = *state}, {.helper = *state}};
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, share, &loops[i]));
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void without_a_helper_all_is_done(void **state)
{
    struct loop loop = {.helper = NULL};
    share(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_call_is_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_share_is_done_by_another_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_may_share_at_a_time, set_up, tear_down),
        cmocka_unit_test(without_a_helper_all_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
