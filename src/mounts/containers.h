/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/registry.h"

/*
 * The verbs for containers (behaviours C3 to C9), over the registry: which volumes a container has, where they are
 * mounted, and which groups its process needs. All functions are thread-safe; verbs on one container wait for each
 * other. What the caller did wrong comes back as a refusal.
 *
 * Everything that a verb is about to do is in the table, in one transaction, before the first mount: after a kill at
 * any point recovery ends in the state before (prepare, a failed update) or goes on to the state asked for (update,
 * restart, cleanup).
 */

/* A volume of a request: an existing one by name, or the one of a source, which is made if there is none. */
struct container_volume {
    const char *name;   /* with a source: the name of a new volume; NULL: one is made up */
    const char *source; /* or NULL */
    const char *target; /* absolute, inside the container */
    const char *propagation;
    int policy; /* of enum mode_policy for a new volume, -1: the default */
    bool read_only;
};

/*
 * With a pid, mounts are made in that process's mount namespace, beneath its root; else with a rootfs beneath that
 * directory, in the service's namespace; else not at all: the caller makes them.
 */
struct container_request {
    const char *id;
    const char *rootfs;
    const char *parent;
    int64_t pid;       /* 0: none */
    int64_t user;      /* uid of the container's process; -1: unknown, taken as not root */
    int64_t task_user; /* uid of the task where an executor runs first as user; -1: none */
    bool root_gids;    /* gids for root too */
    const struct container_volume *volumes;
    size_t n_volumes;
};

enum container_apply_to {
    CONTAINER_APPLY_PROCESS,
    CONTAINER_APPLY_TASK,
    CONTAINER_APPLY_NONE,
};
const char *container_apply_to_string(enum container_apply_to apply_to);

struct container_info {
    const struct table_container *row;
    const char *state; /* as docs/api.md says */
    enum container_apply_to apply_to;
    const gid_t *view_gids; /* ascending, each once; none with CONTAINER_APPLY_NONE */
    size_t n_view_gids;
    const struct attachment_info *mounts; /* in their order; row->inside is the target as it was asked for */
    size_t n_mounts;
    const char *const *warnings; /* NULL-terminated */
};
typedef void (*container_visitor)(const struct container_info *info, void *data);

/* Refusals: exists (for a second prepare of one id), not-found, busy (exclusive), bad-request, exhausted. */
int container_prepare(struct registry *registry, const struct container_request *request, container_visitor visit,
                      void *data, GError **error);

/*
 * Makes the container's volumes those of the list. What is no longer wanted is unmounted first, plainly: if one is in
 * use, the verb is refused as busy and all is as before. Mounts that stay are not touched.
 */
int container_update(struct registry *registry, const char *id, const struct container_volume *volumes,
                     size_t n_volumes, container_visitor visit, void *data, GError **error);

/* What restart changes; the rest is as prepared. */
#define CONTAINER_UNCHANGED INT64_MIN
struct container_restart {
    const char *rootfs; /* NULL: unchanged */
    int64_t pid;        /* 0: none any more */
    int64_t user;
    int64_t task_user;
};

/* Makes all mounts again in the new place. */
int container_restart(struct registry *registry, const char *id, const struct container_restart *restart,
                      container_visitor visit, void *data, GError **error);

struct container_cleaned {
    bool known;
    GStrv unmounted; /* targets, in the order in which they were unmounted */
    GStrv released;  /* names of the sandbox volumes that went with the container */
};
void container_cleaned_clear(struct container_cleaned *cleaned);

/*
 * Unmounts in reverse order, detached and without following links, and goes on over failures: they are all in the
 * refusal's details, and the container stays until a later cleanup has none. not-empty while containers are nested in
 * it. An unknown id is no error.
 */
int container_cleanup(struct registry *registry, const char *id, struct container_cleaned *ret_cleaned, GError **error);

/*
 * Looks at the rootfs that a key of the registry's watch (sys/source_watch.h) stands for, and cleans its container up
 * if it was removed (behaviour C10). false: the key stands for something else.
 */
bool container_look_at_rootfs(struct registry *registry, const char *key);

/* One container, or all in order of id. */
int container_visit(struct registry *registry, const char *id, container_visitor visit, void *data, GError **error);
void container_visit_all(struct registry *registry, container_visitor visit, void *data);
