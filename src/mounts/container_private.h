/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/containers.h"
#include "mounts/registry_private.h"

/*
 * Inside of the container verbs. A verb owns its container from container_begin to container_end: nobody else changes
 * the row or adds attachments to it meanwhile. Attachments can still go (detach, volume rm --force), so they are
 * remembered by id and looked up again whenever the lock was free.
 */
struct container {
    struct table_container *row;
    bool busy;
    bool rootfs_gone; /* when it was last looked for */
};

/* container_registry.c, all with the lock held. */
struct container *container_find(struct registry *registry, const char *id); /* NULL: none */
struct container *container_add(struct registry *registry, struct table_container *row);
void container_forget(struct registry *registry, struct container *container);
void container_free(struct container *container);

/* Watches the container's rootfs as its row has it now. */
void container_watch_rootfs(struct registry *registry, const struct container *container);

/* Waits until no verb works on the container, which it may not outlive: NULL then, or the container, now busy. */
struct container *container_begin(struct registry *registry, const char *id);
void container_end(struct registry *registry, struct container *container);

/* The attachments of a container in their order; the caller frees the array, not what is in it. */
GPtrArray *container_attachments(struct registry *registry, const char *id);

/* One of them by id; the second once its volume is idle. NULL if it is gone. */
struct attachment *container_attachment(struct registry *registry, const char *id, int64_t attachment_id);
struct attachment *container_idle_attachment(struct registry *registry, const char *id, int64_t attachment_id);

/* warnings are those of the verb that has just made the mounts; NULL where none has, and the kernel is asked. */
void container_describe(struct registry *registry, struct container *container, const char *const *warnings,
                        container_visitor visit, void *data);

/* A volume as it is wanted at a target. */
struct wanted {
    char *volume;      /* name */
    char *inside;      /* the target, normalized */
    char *propagation; /* or NULL */
    bool read_only;
};

/* container_wanted.c: checks a list (no table, no mount), and then makes sure that its volumes exist. Without the lock.
 */
int wanted_check(const struct container_volume *volumes, size_t n_volumes, GError **error);
int wanted_resolve(struct registry *registry, const char *id, const struct container_volume *volumes, size_t n_volumes,
                   GPtrArray **ret_wanted, GError **error);
GPtrArray *wanted_of(struct registry *registry, const char *id); /* what the container has; with the lock held */

/*
 * container_change.c: makes the container's mounts those wanted, by way of the table. row is the container's new row;
 * with replace nothing is kept, and force detaches what is in use. What was begun is undone on failure, except that
 * with force the old mounts stay gone. The container is busy; without the lock.
 */
struct container_change {
    struct registry *registry;
    struct container *container;
    struct table_container *row; /* taken over when it is in the table */
    GPtrArray *wanted;           /* of struct wanted */
    GPtrArray *warnings;         /* of strings, added to */
    bool replace;
    bool force;
};
int container_change(struct container_change *change, GError **error);

/*
 * Mounts one of a container's prepared rows in the place that the container's row says; any other row is left as it is.
 * With the lock held before and after, not in between.
 */
int container_mount(struct registry *registry, const struct table_container *row, int64_t attachment_id,
                    GError **error);

/* container_cleanup.c: takes down a busy container whole, with the lock held before and after. */
int container_take_down(struct registry *registry, struct container *container, struct container_cleaned *ret_cleaned,
                        GError **error);
/*
 * Releases the sandbox volumes made for a container, or for one that is gone, that nothing uses; names are added to
 * released (with its own copies) and failures to an array of container_failures_new.
 */
void container_release_volumes(struct registry *registry, const char *id, GPtrArray *released, GPtrArray *failures);
GPtrArray *container_failures_new(void);
void container_log_failures(const char *id, GPtrArray *failures);

/*
 * container_prepare.c. The first checks and sets where the container's mounts are made (rootfs NULL: as it is). The
 * second is a copy of a row. The third writes a state, table first, with the lock held.
 */
int container_set_place(struct table_container *row, const char *rootfs, int64_t pid, GError **error);
struct table_container *container_copy_row(const struct table_container *row);
int container_set_state(struct registry *registry, struct container *container, enum row_state state, GError **error);

/* Where the container's mounts are made: fills in namespace (0: ours). A refusal if the process is gone. */
int container_namespace(const struct table_container *row, int64_t *ret_namespace, GError **error);
