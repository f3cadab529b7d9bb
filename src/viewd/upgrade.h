/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "viewd/control.h"
#include "viewd/memory.h"

#include <sys/types.h>

/*
 * Replacing the program of a running view, keeper and worker, with nothing unmounted: a new program is asked whether it
 * understands the view's memory and options; then the worker ends, and the keeper becomes the new program by exec, with
 * the same pid and the descriptors that matter. Only for the keeper.
 */
struct upgrade {
    enum { UPGRADE_NONE, UPGRADE_CHECKING, UPGRADE_STOPPING } state;
    char *program;         /* owned */
    control_client client; /* who waits for the answer */
    pid_t checker;
    int output_fd; /* what the checker says; -1: none */
};

/* What a successor must be told. */
struct upgrade_view {
    const char *options; /* as view_options_to_string() prints them */
    const char *source;  /* or NULL */
    const char *mountpoint;
    bool foreground;
    int control_fd; /* -1: none */
    int client_fd;  /* of whoever asked for it; -1: gone */
    uint64_t started_ms;
};

/* Asks a program whether it could take over; the answer comes when u->checker ends. */
int upgrade_begin(struct upgrade *u, const char *program, control_client client, const struct upgrade_view *view,
                  const struct memory *memory, GError **error);

/* After the checker's end, with its wait status: 0, or an error with what it said. */
int upgrade_judge(struct upgrade *u, int status, GError **error);

/* Becomes the new program, while no worker runs. Returns only if that fails. */
int upgrade_exec(const struct upgrade *u, const struct upgrade_view *view, const struct memory *memory, GError **error);

/* Gives it up. */
void upgrade_end(struct upgrade *u);
