/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * The name by which this process finds its own entry in procfs: "/proc/self", until proc_self_pin.
 */
const char *proc_self(void);

/*
 * Opens /proc/self and keeps it, so that proc_self_enter can make it reachable again from inside another mount
 * namespace, whose own /proc may be missing or a trap. Both are for a single-threaded program: proc_self_enter makes
 * the kept directory the working directory, and proc_self() "." from then on.
 */
int proc_self_pin(int *ret_fd, GError **error);
int proc_self_enter(int fd, GError **error);
