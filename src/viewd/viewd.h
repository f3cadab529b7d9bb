/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes the directories in options independent of the working directory, which no view keeps. */
void viewd_make_absolute(struct view_options *options);

/* What gidfs-view and mount.gidfs have in common: mounting one view. */
struct viewd_request {
    const char *program;
    const struct view_options *options;
    const char *source; /* directory; NULL for a layered view */
    const char *mountpoint;
    bool foreground;
};

/*
 * Mounts the view and leaves a keeper and a worker behind (in the foreground, this process is the keeper). Returns the
 * exit status when the view is usable, or with a message on standard error and nothing mounted.
 */
int viewd_mount(const struct viewd_request *request);

/*
 * Goes on keeping a view that another program's keeper has handed over to this one by exec (viewd/upgrade.h). The
 * descriptors are the view's memory, its control socket and whoever waits to hear of it (-1: none). Returns like
 * viewd_mount() in the foreground.
 */
struct viewd_takeover {
    int memory_fd, control_fd, upgrader_fd;
    uint64_t started_ms;
};
int viewd_take_over(const struct viewd_request *request, const struct viewd_takeover *from);

/* Whether this program could; says on standard error why not. Changes nothing. */
int viewd_check_takeover(const struct viewd_request *request, int memory_fd);
