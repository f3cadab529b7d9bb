/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of its own sends the notifications: the kernel answers them with FORGETs, which the server threads take.
 *
 * It begins when the table is seven eighths full and ends at three quarters. Inodes in use (open, a working directory,
 * parents of such) stay, however often the kernel is asked; so after a turn through the whole table that has brought
 * nothing it rests before the next one.
 */
#include "view/common/pressure.h"

#include "base/log.h"
#include "fuse/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define N_AT_ONCE      512
#define REST_MS        50
#define WAIT_MS        20
#define N_WAITS        50
#define CROWDED(n_max) ((n_max) - (n_max) / 8)
#define RELAXED(n_max) ((n_max) - (n_max) / 4)

struct pressure {
    struct inode_table *inodes;
    struct transport *transport;
    uint32_t n_max;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t crowded; /* under lock; CLOCK_MONOTONIC */
    _Atomic bool is_awake;
    bool is_ending;
};

static void wait_ms(struct pressure *p, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&p->crowded, &p->lock, &until);
}

/* Asks the kernel to forget some. Without the lock. */
static void prune_some(struct pressure *p)
{
    uint64_t nodeids[N_AT_ONCE];
    unsigned n = inode_table_pick_idle(p->inodes, nodeids, N_AT_ONCE);
    int r = n > 0 ? notify_prune(p->transport, nodeids, n) : 0;
    if (r < 0 && r != -ENOENT)
        log_warning_limited("the kernel does not forget inodes when asked: %s", g_strerror(-r));
}

/* Goes round the table until there is room, or one turn has brought too little. With the lock held, but for waits. */
static void relax(struct pressure *p)
{
    uint32_t n_turns = p->n_max / N_AT_ONCE + 1;
    for (uint32_t i = 0; i < n_turns && !p->is_ending && inode_table_count(p->inodes) > RELAXED(p->n_max); i++) {
        pthread_mutex_unlock(&p->lock);
        prune_some(p);
        pthread_mutex_lock(&p->lock);
    }
}

static void *run(void *data)
{
    struct pressure *p = data;
    pthread_setname_np(pthread_self(), "pressure");
    pthread_mutex_lock(&p->lock);
    while (!p->is_ending) {
        if (inode_table_count(p->inodes) < CROWDED(p->n_max)) {
            atomic_store(&p->is_awake, false);
            pthread_cond_wait(&p->crowded, &p->lock);
            continue;
        }
        relax(p);
        if (!p->is_ending)
            wait_ms(p, REST_MS); /* for the FORGETs, and for those who close what they have open */
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pressure_new(struct inode_table *inodes, struct transport *transport, struct pressure **ret_pressure)
{
    if (!transport_agreed(transport)->notify_prune)
        return -EOPNOTSUPP;
    struct pressure *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->inodes = inodes;
    p->transport = transport;
    p->n_max = inode_table_max(inodes);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->crowded, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&p->lock, NULL);
    int r = pthread_create(&p->thread, NULL, run, p);
    if (r != 0) {
        free(p);
        return -r;
    }
    *ret_pressure = p;
    return 0;
}

void pressure_free(struct pressure *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    pthread_cond_signal(&p->crowded);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->crowded);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void pressure_notice(struct pressure *p)
{
    if (!p || inode_table_count(p->inodes) < CROWDED(p->n_max) || atomic_exchange(&p->is_awake, true))
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->crowded);
    pthread_mutex_unlock(&p->lock);
}

bool pressure_wait_for_room(struct pressure *p)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};
    if (!p)
        return false;
    for (int i = 0; i < N_WAITS && inode_table_count(p->inodes) >= p->n_max; i++) {
        pressure_notice(p);
        nanosleep(&pause, NULL);
    }
    return inode_table_count(p->inodes) < p->n_max;
}
