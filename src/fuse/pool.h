/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The threads that serve one connection.
 *
 * One thread at a time is the listener: it alone reads requests, and works on them itself, so that a lone client is
 * answered by a thread that is awake already. All others are parked. The role moves on
 *  - at once, when the listener meets a request that may take long (the callback says so), and
 *  - after a millisecond or two, when it is stuck in one that was expected to be quick: the monitor sees to that;
 * so a slow request never holds up the others, and no more threads are awake than there is work.
 *
 * While work comes in, the listener polls for a few microseconds before it sleeps; an idle pool uses no CPU at all.
 */
struct pool;

enum pool_received {
    POOL_RECEIVED_NONE, /* nothing there (the descriptor is non-blocking) */
    POOL_RECEIVED_QUICK,
    POOL_RECEIVED_SLOW,
    POOL_RECEIVED_END, /* the connection is gone */
};

struct pool_ops {
    /* Reads one request into the memory of thread number slot. */
    enum pool_received (*receive)(void *data, unsigned slot);
    /* Works on it. */
    void (*process)(void *data, unsigned slot);
    /* In each thread as it starts. */
    void (*thread_start)(void *data, unsigned slot);
};

/*
 * A pool over a non-blocking fd that is polled for input. Threads are numbered 0 to n_threads_max - 1 and started when
 * they are needed. ops and data are the caller's and must outlive it. NULL when memory or descriptors run out.
 */
struct pool *pool_new(int fd, unsigned n_threads_max, const struct pool_ops *ops, void *data);
void pool_free(struct pool *pool);

/* Serves until POOL_RECEIVED_END or pool_stop(), and until every request in work is done. -EAGAIN: no thread. */
int pool_run(struct pool *pool);

/* Makes pool_run() return once the requests in work are answered. Any thread; async-signal-safe. */
void pool_stop(struct pool *pool);
