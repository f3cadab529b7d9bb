/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "viewd/memory.h"

#include <glib.h>

/*
 * The table of descriptors that keeper and worker share: which of them outlive a worker. Only for the keeper, while no
 * worker runs. A list is an array of int, to be freed with g_array_unref().
 */

/* All that are open now. NULL when /proc/self/fd cannot be read. */
GArray *fds_open_now(void);

/*
 * Closes what a dead worker had opened and not noted anywhere: all but `own` (which gets sorted) and what the memory
 * names.
 */
void fds_close_unnoted(const struct memory *memory, GArray *own);
