/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Starts a program that goes to the background when it is ready (gidfs-view); spawn_run (sys/spawn.h) is for those that
 * answer. It gets no descriptor but 0 (/dev/null), 1 and 2 (ours to read), no blocked signals, and a session of its
 * own: what a terminal sends to the service does not reach it. Thread-safe.
 *
 * Waits until the process that was started ends, at most timeout_ms: then it and its process group are killed and the
 * result is -ETIMEDOUT. 0 when it ended with status 0; else -EIO (or -ENOENT, -EACCES when there is no such program),
 * with the last line that it printed as the message.
 */
int launch_program(const char *const *argv, unsigned int timeout_ms, GError **error);

/*
 * The same for a program that takes its time and tells how far it is: on_line is called with each line that it prints,
 * as it comes. No timeout.
 */
typedef void (*launch_line_fn)(const char *line, void *data);
int launch_and_listen(const char *const *argv, launch_line_fn on_line, void *data, GError **error);
