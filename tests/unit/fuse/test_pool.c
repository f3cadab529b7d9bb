/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/pool.h"

#include "gidfs_test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A server of one-byte requests over a socket pair: 'q' is quick, 's' is slow and said to be, 'h' hangs unexpectedly
 * until it is let go; 's' too. Each is answered with its byte when it is done.
 */
#define N_THREADS 4

struct server {
    int fds[2];
    char received[N_THREADS];
    sem_t let_go;
    _Atomic unsigned n_started;
    struct pool *pool;
    pthread_t thread;
};

static enum pool_received receive(void *data, unsigned slot)
{
    struct server *s = data;
    ssize_t n = recv(s->fds[0], &s->received[slot], 1, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return POOL_RECEIVED_END;
    if (n < 0)
        return POOL_RECEIVED_NONE;
    return s->received[slot] == 's' ? POOL_RECEIVED_SLOW : POOL_RECEIVED_QUICK;
}

static void process(void *data, unsigned slot)
{
    struct server *s = data;
    char byte = s->received[slot];
    if (byte == 's' || byte == 'h')
        sem_wait(&s->let_go);
    assert_int_equal(send(s->fds[0], &byte, 1, 0), 1);
}

static void thread_start(void *data, unsigned slot)
{
    struct server *s = data;
    assert_true(slot < N_THREADS);
    atomic_fetch_add(&s->n_started, 1);
}

static void *run(void *data)
{
    struct server *s = data;
    assert_int_equal(pool_run(s->pool), 0);
    return NULL;
}

static int setup(void **state)
{
    static const struct pool_ops ops = {.receive = receive, .process = process, .thread_start = thread_start};
    struct server *s = calloc(1, sizeof(*s));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->fds) < 0)
        return -1;
    sem_init(&s->let_go, 0, 0);
    s->pool = pool_new(s->fds[0], N_THREADS, &ops, s);
    if (!s->pool || pthread_create(&s->thread, NULL, run, s) != 0)
        return -1;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    pool_stop(s->pool);
    pthread_join(s->thread, NULL);
    pool_free(s->pool);
    close(s->fds[0]);
    close(s->fds[1]);
    sem_destroy(&s->let_go);
    free(s);
    return 0;
}

static void ask(struct server *s, char byte)
{
    assert_int_equal(send(s->fds[1], &byte, 1, 0), 1);
}

static char answer(struct server *s)
{
    char byte = 0;
    assert_int_equal(recv(s->fds[1], &byte, 1, 0), 1);
    return byte;
}

static void test_requests_are_answered_by_one_thread(void **state)
{
    struct server *s = *state;
    for (unsigned i = 0; i < 1000; i++) {
        ask(s, 'q');
        assert_int_equal(answer(s), 'q');
    }
}

static void test_a_slow_request_holds_up_nobody(void **state)
{
    struct server *s = *state;
    ask(s, 's');
    ask(s, 'q');
    assert_int_equal(answer(s), 'q'); /* while the slow one waits */
    sem_post(&s->let_go);
    assert_int_equal(answer(s), 's');
}

static void test_a_stuck_request_holds_up_nobody(void **state)
{
    struct server *s = *state;
    ask(s, 'h'); /* nobody said that it would take long */
    ask(s, 'q');
    assert_int_equal(answer(s), 'q');
    sem_post(&s->let_go);
    assert_int_equal(answer(s), 'h');
}

static void test_all_threads_busy_is_no_deadlock(void **state)
{
    struct server *s = *state;
    for (unsigned i = 0; i < N_THREADS; i++)
        ask(s, 's');
    ask(s, 'q');
    for (unsigned i = 0; i < N_THREADS; i++)
        sem_post(&s->let_go);
    unsigned n_slow = 0, n_quick = 0;
    for (unsigned i = 0; i < N_THREADS + 1; i++)
        answer(s) == 's' ? n_slow++ : n_quick++;
    assert_int_equal(n_slow, N_THREADS);
    assert_int_equal(n_quick, 1);
    assert_true(atomic_load(&s->n_started) <= N_THREADS);
    ask(s, 'q');
    assert_int_equal(answer(s), 'q');
}

static void test_the_end_of_the_connection_ends_the_pool(void **state)
{
    struct server *s = *state;
    shutdown(s->fds[1], SHUT_RDWR); /* teardown joins it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_are_answered_by_one_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slow_request_holds_up_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stuck_request_holds_up_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_threads_busy_is_no_deadlock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_end_of_the_connection_ends_the_pool, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
