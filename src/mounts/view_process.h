/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/registry.h"

/*
 * A mounted view as the service handles it, whether it is a volume's or a rootfs's. The strings are its owner's.
 * Without the registry's lock, for whoever has the owner to himself (an operation, busy).
 *
 * gidfs-view returns when its view is usable; from then on the view does not need the service.
 */
struct view_process {
    const char *kind; /* "volume", "rootfs" */
    const char *name;
    const char *path;    /* where it is mounted */
    const char *control; /* the keeper's socket */
    int64_t key;         /* of the keeper, in registry->keepers */
    pid_t *keeper_pid;   /* 0: unknown; atomic */
};

/* Mounts it; source is NULL for layers. A start that fails or takes too long leaves nothing mounted. */
int view_process_start(struct registry *registry, const struct view_process *view, const char *options,
                       const char *source, GError **error);

/* Unmounts it, lazily with force. One that is not mounted any more is as good as unmounted. Refusal: busy. */
int view_process_stop(struct registry *registry, const struct view_process *view, bool force, GError **error);

/* Finds its keeper and hears of that one's end from now on; false if it is dead. */
bool view_process_is_alive(struct registry *registry, const struct view_process *view);
