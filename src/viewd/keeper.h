/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"
#include "view/layers/layers_view.h"
#include "viewd/memory.h"

/*
 * The keeper of a view: holds the /dev/fuse connection, the memory and every descriptor, starts a new worker when one
 * dies, and answers on the control socket. Single-threaded. Returns the exit status for the process: 0 once the view is
 * unmounted or given up on request.
 */
struct keeper_config {
    const struct view_options *options;
    struct layers *layers; /* of a layered view, or NULL */
    struct memory *memory;
    const char *source; /* as the operator gave it, resolved */
    const char *mountpoint;
    int ready_fd;   /* gets one byte, 0, when the view is usable, or a message why not; -1: nobody waits */
    int control_fd; /* a bound socket (viewd/control.h), -1: none */
    bool foreground;
    /* Of a keeper that goes on where another program's left off (viewd/upgrade.h): */
    uint64_t started_ms; /* when the view was mounted, CLOCK_MONOTONIC; 0: now */
    int upgrader_fd;     /* who waits to hear of it, -1: nobody */
};

int keeper_run(const struct keeper_config *config);
