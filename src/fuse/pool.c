/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for one connection: see pool.h for the idea.
 *
 * State and locks: `lock` guards the stack of parked threads, their count, and who is listener. While the listener
 * works on a request, `working` holds a ticket that is never used again: whoever swaps it for 0 (the listener when it
 * is done, the monitor when it has seen the same ticket for a whole tick) decides whether the role stays. A thread that
 * lost it parks.
 *
 * The monitor costs one wake-up a millisecond while requests come in, and sleeps without a timeout otherwise: the
 * listener wakes it when it finds `monitor_asleep` set as it begins to work on a request.
 */
#include "fuse/pool.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define NO_LISTENER        UINT32_MAX
#define SPIN_NS            50000
#define MONITOR_TICK_NS    1000000
#define MONITOR_IDLE_TICKS 8

struct pool_thread {
    struct pool *pool;
    pthread_t thread;
    pthread_cond_t wake;
    unsigned number;
    int next_parked; /* number of the next thread below in the stack of parked ones, or -1 */
};

struct pool {
    int fd;
    int stop_fd;
    unsigned n_threads_max;
    bool may_spin;
    bool many_cpus;
    const struct pool_ops *ops;
    void *data;

    pthread_mutex_t lock;
    pthread_cond_t monitor_wake;
    unsigned n_threads;
    int parked; /* the most recently parked thread, whose caches are warm */
    struct pool_thread *threads;

    _Atomic uint32_t listener;
    _Atomic uint64_t working;   /* the ticket of the request that the listener works on; 0: none */
    _Atomic uint64_t n_tickets; /* given out so far; written by the listener only */
    _Atomic bool monitor_asleep;
    _Atomic bool ending;
};

static void *thread_main(void *argument);

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* Starts thread number n_threads. With the lock held. */
static bool start_thread(struct pool *pool)
{
    struct pool_thread *thread = &pool->threads[pool->n_threads];
    thread->pool = pool;
    thread->number = pool->n_threads;
    pthread_cond_init(&thread->wake, NULL);
    int r = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (r != 0) {
        log_warning_limited("cannot start another server thread: %s", g_strerror(r));
        return false;
    }
    pool->n_threads++;
    return true;
}

/* Gives the role of the listener to a parked thread, or to a new one. With the lock held and the role free. */
static void appoint_listener(struct pool *pool)
{
    if (pool->parked >= 0) {
        struct pool_thread *thread = &pool->threads[pool->parked];
        pool->parked = thread->next_parked;
        atomic_store(&pool->listener, thread->number);
        pthread_cond_signal(&thread->wake);
        return;
    }
    if (pool->n_threads < pool->n_threads_max) {
        atomic_store(&pool->listener, pool->n_threads);
        if (start_thread(pool))
            return;
    }
    atomic_store(&pool->listener, NO_LISTENER); /* the first thread that is done takes it */
}

/* The listener, not at work, hands its role on. */
static void hand_over(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    appoint_listener(pool);
    pthread_mutex_unlock(&pool->lock);
}

/* Waits until this thread is the listener. False when the pool ends. */
static bool wait_for_role(struct pool *pool, struct pool_thread *self)
{
    if (atomic_load(&pool->listener) == self->number)
        return !atomic_load(&pool->ending);
    pthread_mutex_lock(&pool->lock);
    if (atomic_load(&pool->listener) == NO_LISTENER) {
        atomic_store(&pool->listener, self->number);
    } else if (atomic_load(&pool->listener) != self->number && !atomic_load(&pool->ending)) {
        self->next_parked = pool->parked;
        pool->parked = (int)self->number;
        while (atomic_load(&pool->listener) != self->number && !atomic_load(&pool->ending))
            pthread_cond_wait(&self->wake, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return !atomic_load(&pool->ending);
}

static void end(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->ending, true);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_cond_signal(&pool->threads[i].wake);
    pthread_cond_signal(&pool->monitor_wake);
    pthread_mutex_unlock(&pool->lock);
}

/* Sleeps until there is something to read. */
static void wait_for_input(struct pool *pool)
{
    struct pollfd fds[] = {{.fd = pool->fd, .events = POLLIN}, {.fd = pool->stop_fd, .events = POLLIN}};
    if (poll(fds, 2, -1) > 0 && fds[1].revents)
        end(pool);
}

/*
 * Waits for the next request: polls first, as long as that has paid off lately. `credit` is this thread's memory of it.
 */
static enum pool_received receive(struct pool *pool, unsigned number, unsigned *credit)
{
    enum pool_received got = pool->ops->receive(pool->data, number);
    if (got == POOL_RECEIVED_NONE && pool->may_spin && *credit > 0) {
        uint64_t until = now_ns() + SPIN_NS;
        do
            got = pool->ops->receive(pool->data, number);
        while (got == POOL_RECEIVED_NONE && now_ns() < until);
        if (got == POOL_RECEIVED_NONE)
            (*credit)--;
    }
    if (got == POOL_RECEIVED_NONE) {
        uint64_t before = now_ns();
        wait_for_input(pool);
        if (now_ns() - before < 4 * SPIN_NS && *credit < 8)
            (*credit)++;
        return POOL_RECEIVED_NONE;
    }
    if (*credit < 8)
        (*credit)++;
    return got;
}

static void wake_monitor(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->monitor_asleep, false);
    pthread_cond_signal(&pool->monitor_wake);
    pthread_mutex_unlock(&pool->lock);
}

static bool more_is_waiting(struct pool *pool)
{
    struct pollfd fd = {.fd = pool->fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static void work(struct pool *pool, unsigned number, enum pool_received kind)
{
    if (kind == POOL_RECEIVED_SLOW || (pool->many_cpus && more_is_waiting(pool))) {
        hand_over(pool);
        pool->ops->process(pool->data, number);
        return;
    }
    uint64_t ticket = atomic_load_explicit(&pool->n_tickets, memory_order_relaxed) + 1;
    atomic_store_explicit(&pool->n_tickets, ticket, memory_order_relaxed);
    atomic_store(&pool->working, ticket);
    if (atomic_load(&pool->monitor_asleep))
        wake_monitor(pool);
    pool->ops->process(pool->data, number);
    atomic_compare_exchange_strong(&pool->working, &ticket, 0);
}

static void *thread_main(void *argument)
{
    struct pool_thread *self = argument;
    struct pool *pool = self->pool;
    unsigned credit = 0;
    pool->ops->thread_start(pool->data, self->number);
    while (wait_for_role(pool, self)) {
        enum pool_received got = receive(pool, self->number, &credit);
        if (got == POOL_RECEIVED_END)
            end(pool);
        else if (got != POOL_RECEIVED_NONE)
            work(pool, self->number, got);
    }
    end(pool);
    return NULL;
}

/* Sleeps for a tick, or for as long as nothing happens. With the lock held. */
static void monitor_sleep(struct pool *pool, unsigned n_idle_ticks)
{
    if (n_idle_ticks >= MONITOR_IDLE_TICKS) {
        atomic_store(&pool->monitor_asleep, true);
        while (atomic_load(&pool->monitor_asleep) && !atomic_load(&pool->ending))
            pthread_cond_wait(&pool->monitor_wake, &pool->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MONITOR_TICK_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&pool->monitor_wake, &pool->lock, &until);
}

/* Runs in the thread that called pool_run(): takes the role from a listener that is stuck in a request. */
static void monitor(struct pool *pool)
{
    uint64_t last_working = 0, last_n_tickets = 0;
    unsigned n_idle_ticks = 0;
    pthread_mutex_lock(&pool->lock);
    while (!atomic_load(&pool->ending)) {
        monitor_sleep(pool, n_idle_ticks);
        uint64_t working = atomic_load(&pool->working);
        uint64_t n_tickets = atomic_load_explicit(&pool->n_tickets, memory_order_relaxed);
        n_idle_ticks = working == 0 && n_tickets == last_n_tickets ? n_idle_ticks + 1 : 0;
        last_n_tickets = n_tickets;
        uint64_t stuck = working;
        if (working != 0 && working == last_working && atomic_compare_exchange_strong(&pool->working, &stuck, 0))
            appoint_listener(pool);
        last_working = working;
    }
    pthread_mutex_unlock(&pool->lock);
}

struct pool *pool_new(int fd, unsigned n_threads_max, const struct pool_ops *ops, void *data)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->fd = fd;
    pool->n_threads_max = n_threads_max;
    pool->may_spin = get_nprocs() > 1;
    pool->many_cpus = get_nprocs() > 2;
    pool->ops = ops;
    pool->data = data;
    pool->parked = -1;
    pool->threads = calloc(n_threads_max, sizeof(*pool->threads));
    pool->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->monitor_wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!pool->threads || pool->stop_fd < 0) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    fd_close(pool->stop_fd);
    pthread_cond_destroy(&pool->monitor_wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

int pool_run(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool started = start_thread(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!started)
        return -EAGAIN;
    monitor(pool);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i].thread, NULL);
    for (unsigned i = 0; i < pool->n_threads; i++) /* until the last has ended, it may wake any other */
        pthread_cond_destroy(&pool->threads[i].wake);
    return 0;
}

void pool_stop(struct pool *pool)
{
    uint64_t one = 1;
    atomic_store(&pool->ending, true); /* for a listener that never has to wait for a request */
    ssize_t written = write(pool->stop_fd, &one, sizeof(one));
    (void)written; /* the counter cannot overflow */
}
