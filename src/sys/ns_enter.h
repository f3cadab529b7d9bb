/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/* A descriptor (close-on-exec) that names the process pid for as long as it is open. -ESRCH: there is none. */
int ns_pidfd_open(pid_t pid, int *ret_pidfd, GError **error);

/*
 * A process in the mount namespace with this inode number (of /proc/PID/ns/mnt): hint if it is in it, else the first
 * that is found in /proc. A process that ended leaves its namespace to its children, and its number to anybody. -ESRCH:
 * nobody is in it.
 */
int ns_find_process(uint64_t inode, pid_t hint, pid_t *ret_pid);

/*
 * Enters the mount namespace and the root directory of the process behind pidfd, for good. *ret_root_fd (the caller's)
 * is that root. Only for a single-threaded program: the kernel refuses threads that share their working directory.
 * /proc/self stays reachable through proc_self(). -ESRCH if the process is gone.
 */
int ns_enter_mount_namespace(int pidfd, int *ret_root_fd, GError **error);
