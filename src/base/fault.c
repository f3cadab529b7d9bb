/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#ifdef GIDFS_FAULTS

#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULT_EXIT_STATUS 137 /* what a shell shows for SIGKILL */

static int n_reached;

static int matches(const char *pattern, size_t length, const char *name)
{
    if (length > 0 && pattern[length - 1] == '*')
        return strncmp(pattern, name, length - 1) == 0;
    return strlen(name) == length && strncmp(pattern, name, length) == 0;
}

static struct fault_order *shared_order;

void fault_obey(struct fault_order *order)
{
    shared_order = order;
}

void fault_give_order(struct fault_order *order, const char *name, int signal, unsigned n_times)
{
    __atomic_store_n(&order->n_times, 0, __ATOMIC_SEQ_CST);
    g_strlcpy(order->name, name, sizeof(order->name));
    order->signal = signal;
    __atomic_store_n(&order->n_times, n_times, __ATOMIC_SEQ_CST);
}

static void obey(struct fault_order *order, const char *name)
{
    unsigned n_left = __atomic_load_n(&order->n_times, __ATOMIC_SEQ_CST);
    if (n_left == 0 || !matches(order->name, strlen(order->name), name))
        return;
    if (!__atomic_compare_exchange_n(&order->n_times, &n_left, n_left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    log_error("fault point %s: signal %d", name, order->signal);
    raise(order->signal);
}

void fault_point(const char *name)
{
    if (shared_order)
        obey(shared_order, name);
    const char *asked = getenv("GIDFS_FAULT");
    const char *slash = asked ? strchr(asked, '/') : NULL;
    if (!asked || (slash && !matches(asked, (size_t)(slash - asked), program_invocation_short_name)))
        return;
    if (slash)
        asked = slash + 1;
    size_t length = strcspn(asked, ":");
    if (!matches(asked, length, name))
        return;
    int wanted = asked[length] ? atoi(asked + length + 1) : 1;
    if (__atomic_add_fetch(&n_reached, 1, __ATOMIC_SEQ_CST) != wanted)
        return;
    log_error("fault point %s: ending here", name);
    _exit(FAULT_EXIT_STATUS);
}

#else

typedef int fault_points_are_not_compiled_in; /* ISO C wants a declaration in every file */

#endif
