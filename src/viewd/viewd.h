/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"

#include <stdbool.h>

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
