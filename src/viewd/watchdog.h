/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "viewd/memory.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Notices a worker that will not get on. One that somebody has stopped is ended after a moment; so is one that takes no
 * request while requests wait, and whose threads neither use the processor nor wait for a disk: a slow source is
 * nobody's fault, and no reason. Only for the keeper.
 */
struct watchdog {
    uint64_t next_ms;       /* when to look again, CLOCK_MONOTONIC */
    uint64_t stopped_at_ms; /* 0: the worker is not stopped */
    uint64_t n_requests;    /* taken, when it was looked at last */
    uint64_t cpu_ticks;     /* used until then */
    unsigned n_stuck;       /* times that nothing had moved */
};

void watchdog_start(struct watchdog *w);

/* The kernel says that the worker was stopped, or goes on. */
void watchdog_note_stop(struct watchdog *w, bool stopped);

/* Looks at the worker, when it is time to. Says why it is to be ended (static text), or NULL. */
const char *watchdog_look(struct watchdog *w, const struct memory *memory, int dev_fd, pid_t worker);
