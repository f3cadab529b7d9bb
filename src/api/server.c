/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three kinds of threads. The acceptor takes connections, looks at the peer's credentials and turns away who has too
 * many open; libmicrohttpd's thread reads requests and writes answers; the pool's threads handle requests. While a
 * request is with the pool its connection is suspended, so a handler that waits (for a view, for a lock) holds up
 * nobody but those behind it in its own share.
 *
 * A request is with one thread at a time, so it has no lock. server->lock guards the shares and comes after no other.
 */
#include "api/server.h"

#include "base/fd.h"
#include "base/log.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONNECTIONS_MAX     1000
#define CONNECTIONS_PER_UID 32 /* what is more is answered with a refusal, */
#define CONNECTIONS_EXCESS  64 /* and from here on turned away unread */
#define REQUESTS_PER_UID    8
#define NOBODY              ((uid_t)-1) /* who cannot be asked; has no access */
#define POOL_THREADS        32
#define IDLE_TIMEOUT_S      60
#define CONNECTION_MEMORY   (32 * 1024)

/* What one uid has open; for all but root. */
struct share {
    unsigned int n_connections;
    unsigned int n_requests;
};

struct api_server {
    struct api *api;
    char *socket_path;
    int listen_fd;
    int stop_fd;     /* eventfd: the acceptor ends */
    gint read_group; /* atomic */
    struct MHD_Daemon *daemon;
    GThread *acceptor;
    GThreadPool *pool;
    GMutex lock;
    GHashTable *shares; /* uid → struct share */
};

/* Who is at the other end of a connection. */
struct peer {
    uid_t uid;
    bool is_excess; /* it came when its uid had its share already */
};

/* One request on its way: read, handled, answered. */
struct exchange {
    struct api_server *server;
    struct MHD_Connection *connection;
    struct api_request *request;
    struct peer peer;
    bool is_handled;
    bool is_counted; /* in its uid's share */
};

static struct share *share_of(struct api_server *server, uid_t uid)
{
    struct share *share = g_hash_table_lookup(server->shares, GUINT_TO_POINTER(uid));
    if (!share) {
        share = g_new0(struct share, 1);
        g_hash_table_insert(server->shares, GUINT_TO_POINTER(uid), share);
    }
    return share;
}

/* Takes or gives back one of what counter points to in the uid's share; false if it has max already. */
static bool take_share(struct api_server *server, uid_t uid, size_t offset, unsigned int max)
{
    g_mutex_lock(&server->lock);
    unsigned int *n = G_STRUCT_MEMBER_P(share_of(server, uid), offset);
    bool is_taken = uid == 0 || *n < max;
    *n += is_taken;
    g_mutex_unlock(&server->lock);
    return is_taken;
}

static void give_share(struct api_server *server, uid_t uid, size_t offset)
{
    g_mutex_lock(&server->lock);
    struct share *share = share_of(server, uid);
    unsigned int *n = G_STRUCT_MEMBER_P(share, offset);
    (*n)--;
    if (share->n_connections == 0 && share->n_requests == 0)
        g_hash_table_remove(server->shares, GUINT_TO_POINTER(uid));
    g_mutex_unlock(&server->lock);
}

static enum api_access access_of(struct api_server *server, int fd, uid_t uid)
{
    gint read_group = g_atomic_int_get(&server->read_group);
    if (uid == 0)
        return API_ACCESS_ROOT;
    return read_group != -1 && unix_peer_in_group(fd, (gid_t)read_group) ? API_ACCESS_READ : API_ACCESS_NONE;
}

static int connection_fd(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static enum MHD_Result add_argument(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct api_request *request = data;
    g_hash_table_insert(request->query, g_strdup(name), g_strdup(value ? value : ""));
    return MHD_YES;
}

static struct exchange *begin_exchange(struct api_server *server, struct MHD_Connection *connection, const char *url,
                                       const char *method)
{
    struct exchange *exchange = g_new0(struct exchange, 1);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    exchange->server = server;
    exchange->connection = connection;
    exchange->request = api_request_new(method, url);
    exchange->peer = *(const struct peer *)info->socket_context;
    exchange->request->access = access_of(server, connection_fd(connection), exchange->peer.uid);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_argument, exchange->request);
    return exchange;
}

static void end_exchange(struct exchange *exchange)
{
    if (exchange->is_counted)
        give_share(exchange->server, exchange->peer.uid, G_STRUCT_OFFSET(struct share, n_requests));
    api_request_free(exchange->request);
    g_free(exchange);
}

static enum MHD_Result answer(struct exchange *exchange)
{
    struct api_request *request = exchange->request;
    gsize size = request->out.text->len;
    char *text = g_string_free(g_steal_pointer(&request->out.text), FALSE);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(size, text, g_free);

    if (!response) {
        g_free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, request->content_type);
    if (exchange->peer.is_excess)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(exchange->connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_refusal(struct exchange *exchange, enum refusal code, const char *message)
{
    g_autoptr(GError) error = NULL;
    refuse(&error, code, "%s", message);
    exchange->is_handled = true;
    api_request_fail(exchange->request, error);
    api_count(exchange->server->api, exchange->request->method, exchange->request->status);
    return answer(exchange);
}

/* A thread of the pool. */
static void handle_exchange(void *data, void *user_data)
{
    struct exchange *exchange = data;
    api_handle(exchange->server->api, exchange->request);
    exchange->is_handled = true;
    MHD_resume_connection(exchange->connection);
}

static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct api_server *server = exchange->server;

    if (!take_share(server, exchange->peer.uid, G_STRUCT_OFFSET(struct share, n_requests), REQUESTS_PER_UID))
        return answer_refusal(exchange, REFUSAL_TOO_MANY, "too many requests in progress; try again");
    exchange->is_counted = true;
    MHD_suspend_connection(exchange->connection);
    g_thread_pool_push(server->pool, exchange, NULL);
    return MHD_YES;
}

/*
 * Called by libmicrohttpd for the head of a request, for each piece of its body, at its end, and once more when its
 * connection was resumed. Only at the head and at the end may an answer be given.
 */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *piece, size_t *piece_size, void **state)
{
    struct exchange *exchange = *state;

    if (!exchange) {
        *state = exchange = begin_exchange(data, connection, url, method);
        const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
        if (exchange->peer.is_excess)
            return answer_refusal(exchange, REFUSAL_TOO_MANY, "too many connections; close some and try again");
        if (length && g_ascii_strtoull(length, NULL, 10) > API_BODY_MAX)
            return answer_refusal(exchange, REFUSAL_TOO_LARGE, "body: larger than 1 MiB");
        return MHD_YES;
    }
    if (exchange->is_handled)
        return answer(exchange);
    if (*piece_size == 0) {
        if (exchange->request->body->len > API_BODY_MAX)
            return answer_refusal(exchange, REFUSAL_TOO_LARGE, "body: larger than 1 MiB");
        return dispatch(exchange);
    }
    if (exchange->request->body->len <= API_BODY_MAX) /* of what is larger no more than a piece too much is kept */
        g_byte_array_append(exchange->request->body, (const guint8 *)piece, (guint)*piece_size);
    *piece_size = 0;
    return MHD_YES;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    if (*state)
        end_exchange(*state);
    *state = NULL;
}

/* A connection has its part of the share, taken by the acceptor, until it is closed. */
static void on_connection(void *data, struct MHD_Connection *connection, void **socket_state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct api_server *server = data;
    struct peer *peer = *socket_state;
    gid_t gid;
    pid_t pid;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        give_share(server, peer->uid, G_STRUCT_OFFSET(struct share, n_connections));
        g_free(peer);
        return;
    }
    *socket_state = peer = g_new0(struct peer, 1);
    if (unix_peer_credentials(connection_fd(connection), &peer->uid, &gid, &pid) < 0)
        peer->uid = NOBODY;
    g_mutex_lock(&server->lock);
    peer->is_excess = peer->uid != 0 && share_of(server, peer->uid)->n_connections > CONNECTIONS_PER_UID;
    g_mutex_unlock(&server->lock);
}

static void turn_away(int fd)
{
    static const char body[] = "{\"error\":{\"code\":\"too-many\",\"errno\":87,\"message\":"
                               "\"too many connections; close some and try again\",\"details\":{}}}";
    g_autofree char *text = g_strdup_printf("HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
                                            "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                                            strlen(body), body);
    ssize_t sent = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* who does not read has had his answer */
}

static void take_connection(struct api_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uid_t uid = NOBODY;
    gid_t gid;
    pid_t pid;

    auto_fd int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
            log_warning_limited("connections cannot be taken: %s", g_strerror(errno));
            g_usleep(10000); /* nothing tells when there is room again */
        }
        return;
    }
    unix_peer_credentials(fd, &uid, &gid, &pid);
    if (!take_share(server, uid, G_STRUCT_OFFSET(struct share, n_connections), CONNECTIONS_EXCESS)) {
        turn_away(fd);
        return;
    }
    /* On failure libmicrohttpd has closed it, and called on_connection only if it had begun. */
    if (MHD_add_connection(server->daemon, fd_steal(&fd), (struct sockaddr *)&address, sizeof(sa_family_t)) != MHD_YES)
        give_share(server, uid, G_STRUCT_OFFSET(struct share, n_connections));
}

static void *accept_connections(void *data)
{
    struct api_server *server = data;
    struct pollfd fds[2] = {{.fd = server->listen_fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};

    for (;;) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        if (fds[0].revents)
            take_connection(server);
    }
}

/* A socket that nobody listens on is a leftover; one with a listener is another service's. */
static int listen_on(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pid_t pid;

    if (strlen(path) >= sizeof(address.sun_path))
        return gidfs_error(error, ENAMETOOLONG,
                           "socket %s: the path is too long (at most %zu bytes); take a shorter "
                           "--run-dir",
                           path, sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    int r = unix_peer_pid(path, &pid);
    if (r == 0 || r == -EAGAIN)
        return gidfs_error(error, EADDRINUSE, "socket %s: another service listens on it; give another --run-dir", path);
    if (r == -ECONNREFUSED && unlink(path) < 0)
        return gidfs_error_errno(error, errno, "socket %s: remove the leftover", path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return gidfs_error_errno(error, errno, "socket %s: listen", path);
    return fd_steal(&fd);
}

static void on_daemon_log(void *data, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    log_debug("http: %s", g_strchomp(text));
}

/*
 * As libmicrohttpd does it by itself, in place, but that "%00" stays what it is: it would end the name that it is in,
 * and another thing than the one that was named would be removed.
 */
static size_t unescape(void *data, struct MHD_Connection *connection, char *text)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        int high = at[0] == '%' ? g_ascii_xdigit_value(at[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(at[2]) : -1;
        int byte = low >= 0 ? high << 4 | low : 0;
        *out++ = byte ? (char)byte : *at;
        at += byte ? 2 : 0;
    }
    *out = '\0';
    return (size_t)(out - text);
}

static struct MHD_Daemon *start_daemon(struct api_server *server)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                                MHD_USE_ITC | MHD_USE_POLL | MHD_USE_ERROR_LOG,
                            0, NULL, NULL, on_request, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned int)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_TIMEOUT_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_EXTERNAL_LOGGER,
                            on_daemon_log, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
}

static void free_server(struct api_server *server)
{
    fd_close(server->listen_fd);
    fd_close(server->stop_fd);
    g_hash_table_unref(server->shares);
    g_mutex_clear(&server->lock);
    g_free(server->socket_path);
    g_free(server);
}

int api_server_start(struct api *api, const char *socket_path, gid_t read_group, struct api_server **ret_server,
                     GError **error)
{
    struct api_server *server = g_new0(struct api_server, 1);
    server->api = api;
    server->socket_path = g_strdup(socket_path);
    server->read_group = (gint)read_group;
    server->shares = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_mutex_init(&server->lock);
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    server->listen_fd = listen_on(socket_path, error);
    int r = server->listen_fd;
    if (r >= 0) {
        server->daemon = start_daemon(server);
        if (!server->daemon)
            r = gidfs_error(error, EIO, "socket %s: libmicrohttpd does not start", socket_path);
    }
    if (r < 0) {
        free_server(server);
        return r;
    }
    server->pool = g_thread_pool_new(handle_exchange, server, POOL_THREADS, FALSE, NULL);
    server->acceptor = g_thread_new("accept", accept_connections, server);
    *ret_server = server;
    return 0;
}

void api_server_set_read_group(struct api_server *server, gid_t read_group)
{
    g_atomic_int_set(&server->read_group, (gint)read_group);
}

void api_server_stop(struct api_server *server)
{
    uint64_t one = 1;

    if (!server)
        return;
    unlink(server->socket_path);
    ssize_t written = write(server->stop_fd, &one, sizeof(one));
    (void)written; /* an eventfd takes its first number */
    g_thread_join(server->acceptor);
    g_thread_pool_free(server->pool, FALSE, TRUE);
    MHD_stop_daemon(server->daemon);
    free_server(server);
}
