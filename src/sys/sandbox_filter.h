/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Loads the worker's filter on system calls, for this thread and those it starts. What is not on the list fails with
 * EPERM and is logged by the kernel's audit. Needs no_new_privs or CAP_SYS_ADMIN. -errno; -EOPNOTSUPP in a build with
 * instrumentation, whose run time needs system calls of its own.
 */
int sandbox_filter_load(void);
