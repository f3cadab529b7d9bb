/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * What the watch of a view leaves to the next worker, in shared memory. Descriptors are numbers in the table that
 * keeper and workers share; begin() makes a state without any.
 */
struct watch_state {
    int32_t group_fd;             /* fanotify; -1: nothing is watched */
    int32_t queue_fd[2];          /* packets for the notifier: where they are put, where they are taken */
    uint32_t reading;             /* 1: events were read of which not all orders are in the queue */
    _Atomic uint64_t n_changes;   /* heard of, the view's own among them */
    _Atomic uint64_t n_foreign;   /* made by others */
    _Atomic uint64_t n_overflows; /* of the kernel's queue: everything was dropped */
    _Atomic uint64_t n_marks;     /* of directories, and of files with several names */
};

static inline void watch_state_begin(struct watch_state *state)
{
    *state = (struct watch_state){.group_fd = -1, .queue_fd = {-1, -1}};
}
