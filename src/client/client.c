/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle of libgidfs: where the service is, how long a call may take, and what went wrong last. It holds no
 * descriptor between calls: each call is a connection of its own, which costs little on a unix socket and leaves
 * nothing to be inherited, to go stale when the service is replaced, or to be shared by mistake after a fork.
 */
#include "client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/http.h"

#define DEFAULT_SOCKET     "/run/gidfs/gidfs.sock"
#define DEFAULT_TIMEOUT_MS 60000
#define MAX_ERRNO          4095

struct gidfs_client {
    char *socket_path;
    int timeout_ms;
    char *message; /* never NULL */
    char *code;    /* never NULL */
};

const char *gidfs_version(void)
{
    return GIDFS_VERSION;
}

static char *find_socket(const char *socket_path)
{
    if (socket_path)
        return g_strdup(socket_path);
    const char *named = secure_getenv("GIDFS_SOCKET");
    if (named && *named)
        return g_strdup(named);
    const char *run_dir = secure_getenv("GIDFS_RUN_DIR");
    if (run_dir && *run_dir)
        return g_build_filename(run_dir, "gidfs.sock", NULL);
    return g_strdup(DEFAULT_SOCKET);
}

int gidfs_open(const char *socket_path, int timeout_ms, gidfs_client **ret_client)
{
    *ret_client = NULL;
    if (timeout_ms < 0)
        return -EINVAL;
    gidfs_client *client = g_try_new0(gidfs_client, 1);
    if (!client)
        return -ENOMEM;
    client->socket_path = find_socket(socket_path);
    client->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS;
    client->message = g_strdup("");
    client->code = g_strdup("");
    *ret_client = client;
    return 0;
}

void gidfs_close(gidfs_client *client)
{
    if (!client)
        return;
    g_free(client->socket_path);
    g_free(client->message);
    g_free(client->code);
    g_free(client);
}

const char *gidfs_error_message(const gidfs_client *client)
{
    return client->message;
}

const char *gidfs_error_code(const gidfs_client *client)
{
    return client->code;
}

static int keep_error(gidfs_client *client, int errnum, const char *code, const char *message)
{
    g_free(client->message);
    g_free(client->code);
    client->message = g_strdup(message);
    client->code = g_strdup(code);
    return -errnum;
}

void client_begin(gidfs_client *client)
{
    keep_error(client, 0, "", "");
}

int client_fail(gidfs_client *client, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    return keep_error(client, errnum, "", message);
}

int client_take_options(gidfs_client *client, void *ours, size_t ours_size, const void *theirs, size_t theirs_size)
{
    if (theirs_size < sizeof(size_t))
        return client_fail(client, EINVAL, "the size member of an option struct is not set");
    for (size_t i = ours_size; i < theirs_size; i++) {
        if (((const char *)theirs)[i] != 0)
            return client_fail(client, EINVAL, "an option is set that libgidfs %s does not know", GIDFS_VERSION);
    }
    memset(ours, 0, ours_size);
    memcpy(ours, theirs, MIN(ours_size, theirs_size));
    return 0;
}

int client_check_flags(gidfs_client *client, unsigned flags, unsigned known)
{
    if (flags & ~known)
        return client_fail(client, EINVAL, "unknown flags 0x%x", flags & ~known);
    return 0;
}

/* The service refused: its own word and line are what the caller gets. */
static int keep_refusal(gidfs_client *client, int status, const json_doc *doc)
{
    gint64 errnum;
    const char *code = json_doc_string(doc, json_doc_find(doc, "error.code"));
    const char *message = json_doc_string(doc, json_doc_find(doc, "error.message"));
    if (!code || !message || json_doc_int64(doc, json_doc_find(doc, "error.errno"), &errnum) < 0)
        return client_fail(client, EBADMSG, "the service at %s answered %d without a reason", client->socket_path,
                           status);
    return keep_error(client, errnum > 0 && errnum <= MAX_ERRNO ? (int)errnum : EIO, code, message);
}

/* A method and a path go into the request's first line: nothing in them may end that line. */
static int check_request(gidfs_client *client, const char *method, const char *path)
{
    for (const char *at = method; *at; at++) {
        if (!g_ascii_isupper(*at))
            return client_fail(client, EINVAL, "\"%s\" is not a method of HTTP", method);
    }
    for (const char *at = path; *at; at++) {
        if (!g_ascii_isgraph(*at))
            return client_fail(client, EINVAL, "a path of the API has to be percent-encoded");
    }
    if (!*method || path[0] != '/')
        return client_fail(client, EINVAL, "a request needs a method and a path that begins with /");
    return 0;
}

int gidfs_call(gidfs_client *client, const char *method, const char *path, const char *body, gidfs_result **ret_result)
{
    if (ret_result)
        *ret_result = NULL;
    client_begin(client);
    int r = check_request(client, method, path);
    if (r < 0)
        return r;

    struct http_answer answer = {0};
    g_autoptr(GError) error = NULL;
    gint64 deadline_us = g_get_monotonic_time() + (gint64)client->timeout_ms * 1000;
    r = http_exchange(client->socket_path, method, path, body, deadline_us, &answer, &error);
    if (r < 0)
        return client_fail(client, -r, "%s", error->message);

    int status = answer.status;
    gidfs_result *result = NULL;
    if (result_new(g_steal_pointer(&answer.body), &result) < 0)
        return client_fail(client, EBADMSG, "the service at %s answered %d with something that is not a JSON object",
                           client->socket_path, status);
    r = status >= 200 && status < 300 ? 0 : keep_refusal(client, status, result_doc(result));
    if (r == 0 && ret_result)
        *ret_result = g_steal_pointer(&result);
    gidfs_result_free(result);
    return r;
}
