/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper of a loop: see helper.h.
 *
 * Whoever shares owns the helper from `taken` to the end of its call, and what it shares stands for that time. `lock`
 * guards the states; the loop itself goes by `next` alone. The owner withdraws its work when all of it is begun, so a
 * helper that wakes too late finds none.
 */
#include "base/helper.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

/* Waking the thread costs as much as some ten of the calls that are shared. */
#define N_WORTH_SHARING 32
/* What the helper has in hand at the end is mostly done before its owner could have gone to sleep. */
#define N_LOOKS_BEFORE_SLEEP 20000

struct helper {
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    pthread_t thread;
    bool started, ending;
    bool taken;
    bool offered;         /* there is work to share */
    _Atomic bool at_work; /* the thread is in the loop */
    _Atomic unsigned next;
    unsigned n;
    void (*fn)(void *data, unsigned i);
    void *data;
};

int helper_new(struct helper **ret_helper)
{
    *ret_helper = NULL;
    if (get_nprocs() < 2)
        return 0;
    struct helper *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, NULL);
    pthread_cond_init(&h->idle, NULL);
    *ret_helper = h;
    return 0;
}

static void work(struct helper *h)
{
    for (unsigned i; (i = atomic_fetch_add(&h->next, 1)) < h->n;)
        h->fn(h->data, i);
}

static void *thread_main(void *data)
{
    struct helper *h = data;
    pthread_setname_np(pthread_self(), "helper");
    pthread_mutex_lock(&h->lock);
    while (!h->ending) {
        if (!h->offered) {
            pthread_cond_wait(&h->wake, &h->lock);
            continue;
        }
        h->offered = false;
        atomic_store(&h->at_work, true);
        pthread_mutex_unlock(&h->lock);
        work(h);
        pthread_mutex_lock(&h->lock);
        atomic_store(&h->at_work, false);
        pthread_cond_signal(&h->idle);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* With the lock held. */
static bool start(struct helper *h)
{
    int r = h->started ? 0 : pthread_create(&h->thread, NULL, thread_main, h);
    if (r != 0)
        log_warning_limited("cannot start a thread that helps: %s", strerror(r));
    h->started = r == 0;
    return h->started;
}

static bool offer(struct helper *h, unsigned n, void (*fn)(void *data, unsigned i), void *data)
{
    pthread_mutex_lock(&h->lock);
    bool mine = !h->taken && start(h);
    if (mine) {
        h->taken = h->offered = true;
        h->n = n;
        h->fn = fn;
        h->data = data;
        atomic_store(&h->next, 0);
        pthread_cond_signal(&h->wake);
    }
    pthread_mutex_unlock(&h->lock);
    return mine;
}

static void withdraw(struct helper *h)
{
    for (unsigned i = 0; i < N_LOOKS_BEFORE_SLEEP && atomic_load(&h->at_work); i++)
        ;
    pthread_mutex_lock(&h->lock);
    h->offered = false;
    while (atomic_load(&h->at_work))
        pthread_cond_wait(&h->idle, &h->lock);
    h->taken = false;
    pthread_mutex_unlock(&h->lock);
}

void helper_share(struct helper *h, unsigned n, void (*fn)(void *data, unsigned i), void *data)
{
    if (h && n >= N_WORTH_SHARING && offer(h, n, fn, data)) {
        work(h);
        withdraw(h);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        fn(data, i);
}

void helper_free(struct helper *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    if (h->started)
        pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->idle);
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
