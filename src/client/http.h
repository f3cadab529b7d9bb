/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/*
 * One HTTP/1.1 exchange on a unix socket. Small and strict: what the service may send is an answer with Content-Length,
 * or one that ends when the connection does; anything else is -EBADMSG. A connection serves one exchange.
 */
struct http_answer {
    int status;
    GString *body; /* may hold any bytes; owned by who holds the answer */
};

void http_answer_clear(struct http_answer *answer);

/*
 * Sends "method target" with a JSON body (or none, for NULL) to the socket at that path, which may be longer than a
 * sockaddr_un holds. It all has to happen before the monotonic time deadline_us: -ETIMEDOUT otherwise. Errors of
 * connect(2), -EBADMSG for what is not such an answer, -EFBIG for one above 256 MiB, -ECONNRESET when the service hangs
 * up first.
 */
int http_exchange(const char *socket_path, const char *method, const char *target, const char *body, gint64 deadline_us,
                  struct http_answer *ret_answer, GError **error);

/* Finds where the head of an answer ends (behind the empty line): its length, or 0 if it isn't whole yet. */
gsize http_head_length(const char *bytes, gsize length);

/* Reads a whole head: its status, and its Content-Length or -1. -EBADMSG for a malformed one. */
int http_parse_head(const char *head, gsize length, int *ret_status, gint64 *ret_content_length);
