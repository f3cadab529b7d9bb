/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"
#include "viewd/memory.h"

#include <sys/types.h>

/* What the keeper knows of its view, and the memory does not. */
struct stats_view {
    const struct view_options *options;
    const char *source, *mountpoint;
    pid_t keeper_pid, worker_pid;
    uint64_t started_ms; /* CLOCK_MONOTONIC */
};

/* The counters of a view as one line of JSON (docs/view-control.md), to be freed with g_free(). Any thread. */
char *stats_to_json(const struct stats_view *view, const struct memory *memory);

/* CLOCK_MONOTONIC. */
uint64_t stats_now_ms(void);
