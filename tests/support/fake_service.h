/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <pthread.h>
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
    pthread_t thread;
    /* Held while a connection is served; guards what follows. A GMutex is nothing that the thread sanitizer sees. */
    pthread_mutex_t lock;
    char *answer;     /* the raw bytes; NULL: hang up at once */
    gboolean silent;  /* read and never answer, until the client hangs up */
    GString *request; /* the last one */
};

static inline void fake_will_answer(struct fake_service *fake, const char *answer)
{
    pthread_mutex_lock(&fake->lock);
    g_free(fake->answer);
    fake->answer = g_strdup(answer);
    pthread_mutex_unlock(&fake->lock);
}

/* The last request, with its head. The caller frees it. */
static inline char *fake_request(struct fake_service *fake)
{
    pthread_mutex_lock(&fake->lock);
    char *request = g_strdup(fake->request->str);
    pthread_mutex_unlock(&fake->lock);
    return request;
}

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
    const char *answer = fake->answer ? fake->answer : "";
    for (gsize sent = 0; sent < strlen(answer); sent += (gsize)n) {
        n = send(fd, answer + sent, strlen(answer) - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
    }
}

static inline void *fake_thread(void *data)
{
    struct fake_service *fake = data;
    int fd;
    while ((fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        pthread_mutex_lock(&fake->lock);
        fake_serve_one(fake, fd);
        close(fd);
        pthread_mutex_unlock(&fake->lock);
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
    pthread_mutex_init(&fake->lock, NULL);
    fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, fake->path, sizeof(address.sun_path));
    if (bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fake->listen_fd, 16) < 0)
        g_error("cannot listen on %s: %s", fake->path, g_strerror(errno));
    if (pthread_create(&fake->thread, NULL, fake_thread, fake) != 0)
        g_error("cannot start a thread");
}

static inline void fake_stop(struct fake_service *fake)
{
    shutdown(fake->listen_fd, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listen_fd);
    unlink(fake->path);
    rmdir(fake->dir);
    pthread_mutex_destroy(&fake->lock);
    g_free(fake->answer);
    g_free(fake->path);
    g_free(fake->dir);
    g_string_free(fake->request, TRUE);
}

/* The body of a request. */
static inline const char *fake_body(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    return end ? end + 4 : "";
}
