/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A service for tests of its clients: a thread on a unix socket in a directory of its own that answers each connection
 * with the same bytes and keeps the last request. Header-only, for one test program at a time.
 */
struct fake_service {
    char *dir;
    char *path;
    int listen_fd;
    GThread *thread;
    const char *answer; /* the raw bytes; NULL: hang up at once */
    gboolean silent;    /* read and never answer, until the client hangs up */
    GString *request;   /* look at it only after the client's call has ended */
};

static inline gboolean fake_request_is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    return end && strlen(end + 4) >= (length ? g_ascii_strtoull(length + 16, NULL, 10) : 0);
}

static inline void fake_serve_one(struct fake_service *fake, int fd)
{
    char buffer[4096];
    ssize_t n;
    g_string_truncate(fake->request, 0);
    while (!fake_request_is_whole(fake->request->str) && (n = read(fd, buffer, sizeof(buffer))) > 0)
        g_string_append_len(fake->request, buffer, n);
    if (fake->silent) {
        while (read(fd, buffer, sizeof(buffer)) > 0)
            ;
        return;
    }
    /* a copy: the client may hang up early, and the test goes on with another answer */
    g_autofree char *answer = g_strdup(fake->answer ? fake->answer : "");
    for (gsize sent = 0; sent < strlen(answer); sent += (gsize)n) {
        n = send(fd, answer + sent, strlen(answer) - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
    }
}

static inline gpointer fake_thread(gpointer data)
{
    struct fake_service *fake = data;
    int fd;
    while ((fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        fake_serve_one(fake, fd);
        close(fd);
    }
    return NULL;
}

static inline void fake_start(struct fake_service *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(fake, 0, sizeof(*fake));
    fake->dir = g_dir_make_tmp("gidfs-fake-XXXXXX", NULL);
    fake->path = g_build_filename(fake->dir, "s", NULL);
    fake->request = g_string_new(NULL);
    fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, fake->path, sizeof(address.sun_path));
    if (bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fake->listen_fd, 16) < 0)
        g_error("cannot listen on %s: %s", fake->path, g_strerror(errno));
    fake->thread = g_thread_new("fake-service", fake_thread, fake);
}

static inline void fake_stop(struct fake_service *fake)
{
    shutdown(fake->listen_fd, SHUT_RDWR);
    g_thread_join(fake->thread);
    close(fake->listen_fd);
    unlink(fake->path);
    rmdir(fake->dir);
    g_free(fake->path);
    g_free(fake->dir);
    g_string_free(fake->request, TRUE);
}

/* The body of the last request. */
static inline const char *fake_body(const struct fake_service *fake)
{
    const char *end = strstr(fake->request->str, "\r\n\r\n");
    return end ? end + 4 : "";
}
