/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * Whether a process has inotify watches on a file system, as /proc tells: it looks at each descriptor of each process
 * (some 2 µs each), and needs CAP_SYS_PTRACE to see those of others. 1, 0, or -errno without /proc. Other pid
 * namespaces than ours and those below are not seen.
 */
int inotify_users_of(dev_t device);
