/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "watch/watch_state.h"

#include <stdbool.h>

/*
 * Who listens to a view with inotify: the keeper's part in echoes (watch/echo.c). A child of the keeper looks, since
 * that may take a while; the keeper leaves the view's mount in echo->tree_fd while somebody listens.
 *
 * While the descriptor is there the view outlives its last mount, so it is there for a few seconds after the last
 * change only.
 */
struct listeners;

/* mountpoint is the view's, mounted already. Both are the caller's. NULL when there is no memory or no descriptor. */
struct listeners *listeners_new(struct echo_state *echo, const char *mountpoint);
void listeners_free(struct listeners *listeners);

/* To be polled for input, until this time at most (CLOCK_MONOTONIC). */
int listeners_poll_fd(const struct listeners *listeners);
uint64_t listeners_due_ms(const struct listeners *listeners);

/* To be called after each poll, whatever ended it; handles the child's end too. */
void listeners_handle(struct listeners *listeners);
