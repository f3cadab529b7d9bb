/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/unix_line.h"

#include "base/fd.h"
#include "sys/fd_wait.h"
#include "sys/unix_peer.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX (64 * 1024)

static int read_line(int fd, gint64 end_us, char **ret_answer)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    char buffer[4096];

    while (answer->len <= ANSWER_MAX) {
        int r = fd_wait_readable(fd, end_us);
        if (r < 0)
            return r;
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n == 0)
            return -EPIPE;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        const char *end = n > 0 ? memchr(buffer, '\n', (size_t)n) : NULL;
        if (n > 0)
            g_string_append_len(answer, buffer, end ? end - buffer : n);
        if (end) {
            *ret_answer = g_string_free(g_steal_pointer(&answer), FALSE);
            return 0;
        }
    }
    return -EMSGSIZE;
}

int unix_line_ask(const char *path, const char *line, unsigned int timeout_ms, char **ret_answer)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    g_autofree char *whole = g_strconcat(line, "\n", NULL);
    size_t size = strlen(whole);

    auto_fd int fd = unix_connect(path);
    if (fd < 0)
        return fd_steal(&fd);
    ssize_t n = send(fd, whole, size, MSG_NOSIGNAL);
    if (n != (ssize_t)size) /* a line is smaller than what a new socket takes */
        return n < 0 ? -errno : -EMSGSIZE;
    return read_line(fd, end_us, ret_answer);
}
