/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/* No end: for fd_wait_readable(). */
#define FD_WAIT_FOREVER G_MAXINT64

/*
 * Waits until something can be read of fd, or its other end is closed: 0. -ETIMEDOUT when g_get_monotonic_time() gets
 * to end_us before; another negative errno of poll(2). Any thread.
 */
int fd_wait_readable(int fd, gint64 end_us);
