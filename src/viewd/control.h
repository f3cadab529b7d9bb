/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The control socket of a view, as the keeper serves it: one line asks, one line answers, and a connection may ask
 * again. Nothing here ever waits for a client: one that does not read its answer, or sends no end of line, is dropped.
 * What may be asked: docs/view-control.md. Not thread-safe.
 */
struct control;

/* Whoever asked, for an answer that comes later. 0 is nobody. */
typedef uint64_t control_client;

/*
 * Answers one line (without its end). Returns the answer without an end of line, to be freed with g_free(); NULL if it
 * comes later through control_answer().
 */
typedef char *(*control_answer_fn)(void *data, char *line, control_client client);

/* Binds a socket at path, mode 0600, replacing one that nobody listens on. Returns its fd, which does not listen. */
int control_bind(const char *path, GError **error);

/* Listens on bound_fd, which it takes over. NULL when descriptors or memory run out. */
struct control *control_new(int bound_fd, control_answer_fn answer, void *data);
void control_free(struct control *control);

/* To be polled for input; then call control_handle(). */
int control_poll_fd(const struct control *control);
void control_handle(struct control *control);

/* Answers a client, if it is still there. */
void control_answer(struct control *control, control_client client, const char *answer);

/* The descriptors in use: written to fds (at most CONTROL_MAX_FDS). Returns how many. */
#define CONTROL_MAX_FDS 18
unsigned control_get_fds(const struct control *control, int *fds);

/* The listening descriptor, and that of a client (-1: gone): what survives an exec. */
int control_listen_fd(const struct control *control);
int control_client_fd(const struct control *control, control_client client);

/* Goes on serving a client that a predecessor had accepted. */
void control_adopt_client(struct control *control, int fd, control_client *ret_client);
