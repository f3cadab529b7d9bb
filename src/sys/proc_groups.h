/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/*
 * Which processes are in a group, from /proc (behaviour A10). One pass over all tasks, whatever the number of gids:
 * some tens of microseconds for each. Thread-safe.
 *
 * found is called for each gid of gids (a set: gid → anything) that a task has as its real, effective, saved or file
 * system gid, or as a supplementary one; it may be called several times for one gid.
 */
typedef void (*proc_groups_found_fn)(gid_t gid, pid_t pid, void *data);

int proc_groups_scan(GHashTable *gids, proc_groups_found_fn found, void *data, GError **error);
