/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "viewd/memory.h"

#include <glib.h>
#include <stdbool.h>

/*
 * The table of descriptors that keeper and worker share: which of them outlive a worker. Only for the keeper, while no
 * worker runs. A list is an array of int, to be freed with g_array_unref().
 */

/*
 * What is open now and not noted in the memory: before the first worker, or of a keeper that has just taken over. NULL
 * when /proc/self/fd cannot be read.
 */
GArray *fds_unnoted(const struct memory *memory);

/* Lets those that the memory notes, and n_more others (-1: none), stay open over an exec, or not. */
void fds_keep_over_exec(const struct memory *memory, const int *more, unsigned n_more, bool keep);

/*
 * Closes what a dead worker had opened and not noted anywhere: all but `own` (which gets sorted) and what the memory
 * names.
 */
void fds_close_unnoted(const struct memory *memory, GArray *own);
