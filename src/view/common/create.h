/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "view/common/view.h"

/*
 * The making of new entries, as far as it is the same in both views: what the requests ask for, how a thing is made as
 * the caller, and the answers. In which directory, and how it is told from what a first try made, is the view's
 * business: view_hooks' create().
 */
struct creation {
    struct view *view;
    const char *name; /* "" for O_TMPFILE */
    mode_t view_mode;
    mode_t umask;
    int open_flags;
    dev_t rdev;
    const char *target; /* of a symbolic link */
    bool is_echo;       /* it is there already: view_is_echo() */
    int dir_fd;         /* on disk, for the view to set */
    int fd;             /* of what was created, if it is opened with that; -1 */
    int (*make)(struct creation *c, const char *name, mode_t disk_mode);
};

/* Makes it in dir_fd under a name, as the caller. 0 or a negative errno. */
int creation_make(struct creation *c, const char *name);

/* Runs make(data) for the creation, once for the current request: is_ours as for journal_run_checked(). */
int creation_run(const struct creation *c, int (*make)(void *data), void *data, bool (*is_ours)(void *data));

/* A new O_PATH descriptor of what was made: by its own descriptor, or by its name. */
int creation_path_fd(const struct creation *c);
