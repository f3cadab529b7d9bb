/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket. Clients are few (the service, an operator), trusted (mode 0600) and short-lived; what is bounded
 * here is what a mistake could do to the keeper. When all places are taken, the client that has been silent longest
 * makes room.
 */
#include "viewd/control.h"

#include "base/fd.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define N_CLIENTS_MAX  16
#define LINE_MAX_BYTES 8192
#define LISTENER       UINT32_MAX

_Static_assert(CONTROL_MAX_FDS == N_CLIENTS_MAX + 2, "a descriptor for each client, the listener and epoll");

struct client {
    int fd; /* -1: free place */
    uint32_t generation;
    uint64_t last_heard;
    size_t n_bytes;
    char line[LINE_MAX_BYTES];
};

struct control {
    int listen_fd, epoll_fd;
    control_answer_fn answer;
    void *data;
    uint64_t clock;
    struct client clients[N_CLIENTS_MAX];
};

static int make_address(const char *path, struct sockaddr_un *ret_address, GError **error)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret_address->sun_path))
        return gidfs_error(error, ENAMETOOLONG, "control socket %s: the path is too long for a unix socket", path);
    strcpy(ret_address->sun_path, path);
    return 0;
}

/* Takes a dead socket out of the way. */
static int clear_path(const char *path, const struct sockaddr_un *address, GError **error)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0; /* bind() says what is wrong, if anything is */
    if (!S_ISSOCK(st.st_mode))
        return gidfs_error(error, EEXIST, "control socket %s: something else is there; remove it", path);
    auto_fd int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return gidfs_error(error, EADDRINUSE, "control socket %s: another process listens there", path);
    unlink(path);
    return 0;
}

int control_bind(const char *path, GError **error)
{
    struct sockaddr_un address;
    int r = make_address(path, &address, error);
    if (r == 0)
        r = clear_path(path, &address, error);
    if (r < 0)
        return r;
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "make a control socket");
    mode_t umask_before = umask(0177);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(umask_before);
    if (r < 0)
        return gidfs_error_errno(error, r, "control socket %s", path);
    return fd_steal(&fd);
}

static bool watch(struct control *c, int fd, uint32_t place)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = place};
    return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct control *control_new(int bound_fd, control_answer_fn answer, void *data)
{
    struct control *c = g_new0(struct control, 1);
    c->answer = answer;
    c->data = data;
    c->listen_fd = bound_fd;
    for (unsigned i = 0; i < N_CLIENTS_MAX; i++)
        c->clients[i].fd = -1;
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    /* In this process: whoever connects learns the listener's pid from the kernel. */
    if (c->epoll_fd < 0 || listen(c->listen_fd, N_CLIENTS_MAX) < 0 || !watch(c, c->listen_fd, LISTENER)) {
        control_free(c);
        return NULL;
    }
    return c;
}

static void drop(struct client *client)
{
    client->fd = fd_close(client->fd);
    client->generation++;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < N_CLIENTS_MAX; i++)
        drop(&c->clients[i]);
    fd_close(c->listen_fd);
    fd_close(c->epoll_fd);
    g_free(c);
}

int control_poll_fd(const struct control *c)
{
    return c->epoll_fd;
}

static control_client name_of(const struct control *c, const struct client *client)
{
    return (uint64_t)client->generation << 32 | (uint32_t)(client - c->clients + 1);
}

static struct client *find_client(const struct control *c, control_client name)
{
    uint32_t place = (uint32_t)name - 1;
    if (place >= N_CLIENTS_MAX || c->clients[place].fd < 0 || name_of(c, &c->clients[place]) != name)
        return NULL;
    return (struct client *)&c->clients[place];
}

void control_adopt_client(struct control *c, int fd, control_client *ret_client)
{
    struct client *place = &c->clients[0];
    for (unsigned i = 0; i < N_CLIENTS_MAX && place->fd >= 0; i++) {
        struct client *other = &c->clients[i];
        if (other->fd < 0 || other->last_heard < place->last_heard)
            place = other;
    }
    drop(place);
    place->n_bytes = 0;
    place->last_heard = ++c->clock;
    place->fd = fd;
    if (!watch(c, fd, (uint32_t)(place - c->clients)))
        drop(place);
    *ret_client = name_of(c, place);
}

static void send_line(struct client *client, const char *answer)
{
    g_autofree char *line = g_strconcat(answer, "\n", NULL);
    size_t n = strlen(line);
    if (send(client->fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
        drop(client);
}

void control_answer(struct control *c, control_client name, const char *answer)
{
    struct client *client = find_client(c, name);
    if (client)
        send_line(client, answer);
}

/* Answers the whole lines that a client has sent. */
static void answer_lines(struct control *c, struct client *client)
{
    control_client name = name_of(c, client);
    char *end;
    while (find_client(c, name) && (end = memchr(client->line, '\n', client->n_bytes))) {
        *end = '\0';
        g_autofree char *answer = c->answer(c->data, client->line, name);
        client->n_bytes -= (size_t)(end + 1 - client->line);
        memmove(client->line, end + 1, client->n_bytes);
        if (answer)
            control_answer(c, name, answer);
    }
}

static void hear(struct control *c, struct client *client)
{
    ssize_t n = recv(client->fd, client->line + client->n_bytes, LINE_MAX_BYTES - client->n_bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* gone, or its line does not end */
        drop(client);
        return;
    }
    client->last_heard = ++c->clock;
    client->n_bytes += (size_t)n;
    answer_lines(c, client);
}

void control_handle(struct control *c)
{
    struct epoll_event events[N_CLIENTS_MAX];
    int n = epoll_wait(c->epoll_fd, events, N_CLIENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        control_client ignored;
        if (events[i].data.u32 == LISTENER) {
            int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd >= 0)
                control_adopt_client(c, fd, &ignored);
        } else if (c->clients[events[i].data.u32].fd >= 0) {
            hear(c, &c->clients[events[i].data.u32]);
        }
    }
}

unsigned control_get_fds(const struct control *c, int *fds)
{
    unsigned n = 0;
    fds[n++] = c->listen_fd;
    fds[n++] = c->epoll_fd;
    for (unsigned i = 0; i < N_CLIENTS_MAX; i++) {
        if (c->clients[i].fd >= 0)
            fds[n++] = c->clients[i].fd;
    }
    return n;
}

int control_listen_fd(const struct control *c)
{
    return c->listen_fd;
}

int control_client_fd(const struct control *c, control_client name)
{
    const struct client *client = find_client(c, name);
    return client ? client->fd : -1;
}
