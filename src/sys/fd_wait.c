/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/fd_wait.h"

#include <errno.h>
#include <poll.h>

int fd_wait_readable(int fd, gint64 end_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        gint64 left_us = end_us - g_get_monotonic_time();
        if (left_us <= 0)
            return -ETIMEDOUT;
        int n = poll(&poll_fd, 1, (int)MIN(left_us / 1000 + 1, G_MAXINT));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}
