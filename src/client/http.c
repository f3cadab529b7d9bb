/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over AF_UNIX without a library: libcurl brings 30 shared objects and 8 ms of loading into every isolator and
 * every run of the command line, for one request and one answer.
 *
 * The socket never blocks; poll(2) waits for what is left until the deadline, so no peer can hold a caller longer than
 * it asked for.
 */
#include "client/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/fd.h"

#define MAX_HEAD_BYTES   (16 * 1024)
#define MAX_ANSWER_BYTES (256 * 1024 * 1024)
#define CHUNK_BYTES      (256 * 1024)

void http_answer_clear(struct http_answer *answer)
{
    if (answer->body)
        g_string_free(answer->body, TRUE);
    *answer = (struct http_answer){0};
}

/* Waits until fd can do one of events: 0, -ETIMEDOUT or another negative errno. */
static int wait_for(int fd, short events, gint64 deadline_us)
{
    for (;;) {
        gint64 left_us = deadline_us - g_get_monotonic_time();
        if (left_us <= 0)
            return -ETIMEDOUT;
        struct pollfd pollfd = {.fd = fd, .events = events};
        int n = poll(&pollfd, 1, (int)MIN(left_us / 1000 + 1, G_MAXINT));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* Fills in the address of a path; one that is too long goes through its directory's descriptor, kept in *ret_dir_fd. */
static int socket_address(const char *path, struct sockaddr_un *ret_address, int *ret_dir_fd)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (g_strlcpy(ret_address->sun_path, path, sizeof(ret_address->sun_path)) < sizeof(ret_address->sun_path))
        return 0;

    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    auto_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    gsize size = sizeof(ret_address->sun_path);
    if ((gsize)g_snprintf(ret_address->sun_path, size, "/proc/self/fd/%d/%s", fd, name) >= size)
        return -ENAMETOOLONG;
    *ret_dir_fd = fd_steal(&fd);
    return 0;
}

static int connect_socket(const char *path, gint64 deadline_us, int *ret_fd)
{
    struct sockaddr_un address;
    auto_fd int dir_fd = -1;
    int r = socket_address(path, &address, &dir_fd);
    if (r < 0)
        return r;
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* EAGAIN is a full backlog. A unix socket has no event for "there is room again", so look again in a while. */
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        if (g_get_monotonic_time() >= deadline_us)
            return -ETIMEDOUT;
        g_usleep(2000);
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

static int send_all(int fd, const char *bytes, gsize length, gint64 deadline_us)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0) {
            int r = wait_for(fd, POLLOUT, deadline_us);
            if (r < 0)
                return r;
            continue;
        }
        bytes += n;
        length -= (gsize)n;
    }
    return 0;
}

/* Appends what has come: the number of bytes, 0 at the end of the stream, a negative errno. */
static ssize_t receive_some(int fd, GString *in, gint64 deadline_us)
{
    for (;;) {
        gsize had = in->len;
        g_string_set_size(in, had + CHUNK_BYTES);
        ssize_t n = recv(fd, in->str + had, CHUNK_BYTES, 0);
        int errnum = errno;
        g_string_truncate(in, had + (n > 0 ? (gsize)n : 0));
        if (n >= 0)
            return n;
        if (errnum == EINTR)
            continue;
        if (errnum != EAGAIN)
            return -errnum;
        int r = wait_for(fd, POLLIN, deadline_us);
        if (r < 0)
            return r;
    }
}

gsize http_head_length(const char *bytes, gsize length)
{
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    return end ? (gsize)(end - bytes) + 4 : 0;
}

static int parse_field(const char *line, gint64 *content_length)
{
    const char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return -EBADMSG;
    g_autofree char *name = g_strndup(line, (gsize)(colon - line));
    g_autofree char *value = g_strstrip(g_strdup(colon + 1));
    if (g_ascii_strcasecmp(name, "transfer-encoding") == 0)
        return -EBADMSG;
    if (g_ascii_strcasecmp(name, "content-length") != 0)
        return 0;
    guint64 number;
    if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        return -EBADMSG;
    if (*content_length >= 0 && *content_length != (gint64)number)
        return -EBADMSG;
    *content_length = (gint64)number;
    return 0;
}

int http_parse_head(const char *head, gsize length, int *ret_status, gint64 *ret_content_length)
{
    if (memchr(head, '\0', length))
        return -EBADMSG;
    g_autofree char *text = g_strndup(head, length);
    if (strncmp(text, "HTTP/1.1 ", 9) != 0 && strncmp(text, "HTTP/1.0 ", 9) != 0)
        return -EBADMSG;
    char *end;
    long status = strtol(text + 9, &end, 10);
    if (end != text + 12 || status < 100 || status > 599 || (*end != ' ' && *end != '\r'))
        return -EBADMSG;

    gint64 content_length = -1;
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    for (char **line = lines + 1; *line && **line; line++) {
        int r = parse_field(*line, &content_length);
        if (r < 0)
            return r;
    }
    *ret_status = (int)status;
    *ret_content_length = content_length;
    return 0;
}

/* Reads until the head is whole; "100 Continue" is never asked for, so the first head is the answer's. */
static int receive_head(int fd, GString *in, gint64 deadline_us, int *ret_status, gint64 *ret_content_length)
{
    gsize length;
    while ((length = http_head_length(in->str, in->len)) == 0) {
        if (in->len > MAX_HEAD_BYTES)
            return -EBADMSG;
        ssize_t n = receive_some(fd, in, deadline_us);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return in->len ? -EBADMSG : -ECONNRESET;
    }
    int r = http_parse_head(in->str, length, ret_status, ret_content_length);
    if (r == 0)
        g_string_erase(in, 0, (gssize)length);
    return r;
}

static int receive_body(int fd, GString *in, gint64 deadline_us, gint64 content_length)
{
    if (content_length > MAX_ANSWER_BYTES)
        return -EFBIG;
    while (content_length < 0 || in->len < (gsize)content_length) {
        ssize_t n = receive_some(fd, in, deadline_us);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return content_length < 0 ? 0 : -ECONNRESET;
        if (in->len > MAX_ANSWER_BYTES)
            return -EFBIG;
    }
    return in->len == (gsize)content_length ? 0 : -EBADMSG;
}

static int exchange(int fd, const char *method, const char *target, const char *body, gint64 deadline_us,
                    struct http_answer *ret_answer)
{
    g_autoptr(GString) request = g_string_new(NULL);
    g_string_printf(request, "%s %s HTTP/1.1\r\nHost: gidfs\r\nConnection: close\r\n", method, target);
    if (body)
        g_string_append_printf(request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    g_string_append(request, "\r\n");
    g_string_append(request, body ? body : "");
    int r = send_all(fd, request->str, request->len, deadline_us);
    /* A service that refuses a request may answer and hang up before it has read all of it: its answer says why. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return r;

    int status;
    gint64 content_length;
    g_autoptr(GString) in = g_string_new(NULL);
    r = receive_head(fd, in, deadline_us, &status, &content_length);
    if (r == 0)
        r = receive_body(fd, in, deadline_us, content_length);
    if (r < 0)
        return r;
    *ret_answer = (struct http_answer){.status = status, .body = g_steal_pointer(&in)};
    return 0;
}

int http_exchange(const char *socket_path, const char *method, const char *target, const char *body, gint64 deadline_us,
                  struct http_answer *ret_answer, GError **error)
{
    auto_fd int fd = -1;
    int r = connect_socket(socket_path, deadline_us, &fd);
    if (r == -ETIMEDOUT)
        return gidfs_error(error, ETIMEDOUT, "the service at %s is too busy to take a connection in time", socket_path);
    if (r < 0)
        return gidfs_error(error, r,
                           "cannot reach the service at %s: %s (start gidfsd, or name its socket in GIDFS_SOCKET)",
                           socket_path, g_strerror(-r));
    r = exchange(fd, method, target, body, deadline_us, ret_answer);
    if (r == -ETIMEDOUT)
        return gidfs_error(error, ETIMEDOUT, "the service at %s did not answer %s %s in time", socket_path, method,
                           target);
    if (r == -EBADMSG)
        return gidfs_error(error, EBADMSG, "what answers at %s does not speak this API", socket_path);
    if (r < 0)
        return gidfs_error_errno(error, r, "lost the service at %s during %s %s", socket_path, method, target);
    return 0;
}
