/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/unix_line.h"

#include "base/fd.h"

#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_MAX (64 * 1024)

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return fd_steal(&fd);
}

/* Waits for input until end_us, at the latest. */
static int await_input(int fd, gint64 end_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        gint64 left_ms = (end_us - g_get_monotonic_time() + 999) / 1000;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        int n = poll(&poll_fd, 1, (int)left_ms);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int read_line(int fd, gint64 end_us, char **ret_answer)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    char buffer[4096];

    while (answer->len <= ANSWER_MAX) {
        int r = await_input(fd, end_us);
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

    auto_fd int fd = connect_to(path);
    if (fd < 0)
        return fd_steal(&fd);
    ssize_t n = send(fd, whole, size, MSG_NOSIGNAL);
    if (n != (ssize_t)size) /* a line is smaller than what a new socket takes */
        return n < 0 ? -errno : -EMSGSIZE;
    return read_line(fd, end_us, ret_answer);
}
