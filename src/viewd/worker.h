/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sys/sandbox.h"

#include "core/view_options.h"
#include "view/layers/layers_view.h"
#include "viewd/memory.h"

/*
 * The worker of a view: serves FUSE until the view is unmounted. Runs in a process of its own, which shares the
 * keeper's descriptors. layers is what the keeper opened for a layered view, NULL for a gid view. ready_fd gets one
 * byte, 0, when the view is usable (-1: nobody waits). Returns 0 when the view is gone; -EINTR after SIGTERM, which
 * lets the requests in work end; or another negative errno with a message. After both a successor may take over.
 */
int worker_run(const struct view_options *options, struct layers *layers, struct memory *memory, int ready_fd,
               GError **error);

/* What a worker of a view with these options must be left. */
struct sandbox_needs worker_needs(const struct view_options *options);
