/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Runs a short program of our own and reads what it says. The child gets standard input from /dev/null, standard error
 * as it is, the descriptors that are named, and no other: none of the parent's leaks into it, whatever other threads
 * open at the time. Its signal mask is empty and all signals have their default action.
 *
 * Thread-safe, as long as nobody else waits for any child of the process.
 */
struct spawn_options {
    const char *const *argv; /* argv[0] is the path of the program; NULL-terminated */
    const int *fds;          /* become descriptors 3, 4, … of the child; the caller's are left as they are */
    size_t n_fds;
    bool detached;  /* in a session of its own, and standard error goes where standard output goes */
    int timeout_ms; /* then it is killed: -ETIMEDOUT; 0: no limit */
};

/* Starts it with output as its standard output: 0, or a negative errno. timeout_ms is the caller's to look after. */
int spawn_start(const struct spawn_options *options, int output, pid_t *ret_pid);

/*
 * Runs it to its end. *ret_output is what it wrote on standard output (at most 64 KiB, then -EMSGSIZE), *ret_status its
 * exit status, 128 + N where signal N ended it. The caller frees the output.
 */
int spawn_run(const struct spawn_options *options, char **ret_output, int *ret_status, GError **error);
