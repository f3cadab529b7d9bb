/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * Echoes: what the watch, the notifier, the server's threads and the keeper have to do with each other. echo.c has the
 * idea. Whoever makes a request as this user makes no change: its requests are answered as if they had made one.
 */
#define ECHO_UID ((uint32_t)-3)

/* What is echoed of a change. */
enum echo_flags {
    ECHO_CAME = 1 << 0,
    ECHO_GONE = 1 << 1,
    ECHO_IS_DIR = 1 << 2,
    ECHO_DATA = 1 << 3,
    ECHO_ATTRIBUTES = 1 << 4,
};

struct echo_state {
    int32_t ask_fd;               /* eventfd: the watch asks the keeper to look for listeners; -1: no echoes */
    _Atomic int32_t tree_fd;      /* the view's mount, while somebody listens; -1 */
    _Atomic uint32_t n_users;     /* of tree_fd */
    _Atomic uint32_t asked;       /* 1: the keeper is looking */
    _Atomic uint64_t next_ask_ms; /* CLOCK_MONOTONIC; not before that */

    /* The echo that the notifier makes, for the server that answers its requests. */
    _Atomic uint32_t flags; /* enum echo_flags; 0: none. Written last */
    uint64_t dir;
    uint64_t object; /* 0: not known to the kernel */
    char name[NAME_MAX + 1];
};

/*
 * What the watch of a view leaves to the next worker, in shared memory. Descriptors are numbers in the table that
 * keeper and workers share; watch_state_begin() makes a state without any.
 */
struct watch_state {
    int32_t group_fd;             /* fanotify; -1: nothing is watched */
    int32_t queue_fd[2];          /* packets for the notifier: where they are put, where they are taken */
    uint32_t reading;             /* 1: events were read of which not all orders are in the queue */
    _Atomic uint64_t n_changes;   /* heard of, the view's own among them */
    _Atomic uint64_t n_foreign;   /* made by others */
    _Atomic uint64_t n_overflows; /* of the kernel's queue: everything was dropped */
    _Atomic uint64_t n_marks;     /* of directories, and of files with several names */
    _Atomic uint64_t n_echoes;
    struct echo_state echo;
};

static inline void watch_state_begin(struct watch_state *state)
{
    *state = (struct watch_state){.group_fd = -1, .queue_fd = {-1, -1}, .echo = {.ask_fd = -1, .tree_fd = -1}};
}
