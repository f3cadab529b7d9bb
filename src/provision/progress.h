/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* How far a piece of work has come; totals are 0 while they are not known. */
struct provision_progress {
    uint64_t done_entries, total_entries;
    uint64_t done_bytes, total_bytes;
};

/*
 * Hears of progress, often and from the thread that does the work. A negative errno ends the work with it (-ECANCELED
 * is the usual one), with nothing left behind.
 */
typedef int (*provision_progress_fn)(const struct provision_progress *progress, void *data);
