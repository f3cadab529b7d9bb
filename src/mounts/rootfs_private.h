/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/registry_private.h"
#include "mounts/rootfs.h"
#include "mounts/view_process.h"

/*
 * Inside of the rootfs verbs. While busy is set only the thread that set it changes the rootfs, which cannot vanish
 * under it.
 */
struct rootfs {
    struct table_rootfs *row;
    int64_t key;      /* of its keeper, and of its gid in quarantine: negative, so that it is no volume's id */
    char *control;    /* RUN/control/KEY.sock */
    char *own_dir;    /* STATE/rootfs/ID: unpacked layers, upper and work */
    char *problem;    /* why the view is not up, or NULL */
    pid_t keeper_pid; /* 0: unknown; of whoever is busy */
    bool busy;
    bool dead; /* mounted, and nobody serves it; by the probe of recovery */
};

/* rootfs.c, with the lock held */
int rootfs_load(struct registry *registry, GError **error);
struct rootfs *rootfs_find(struct registry *registry, const char *id); /* NULL: none */
struct rootfs *rootfs_add(struct registry *registry, struct table_rootfs *row);
void rootfs_forget(struct registry *registry, struct rootfs *rootfs);
void rootfs_free(struct rootfs *rootfs);
void rootfs_describe(struct registry *registry, const struct rootfs *rootfs, struct rootfs_info *ret_info);
int rootfs_get_idle(struct registry *registry, const char *id, struct rootfs **ret_rootfs, GError **error);
void rootfs_end(struct registry *registry, struct rootfs *rootfs); /* busy no more */
int rootfs_set_state(struct registry *registry, struct rootfs *rootfs, enum row_state state, GError **error);

/* Its view; for whoever is busy with it, and for one that is idle with the lock held. */
struct view_process rootfs_process(struct rootfs *rootfs);
bool rootfs_is_alive(struct registry *registry, struct rootfs *rootfs);

/* Whether the view behind this key is mounted, and nobody serves it: it is to be mounted again. */
bool rootfs_has_died(struct registry *registry, int64_t key);
bool rootfs_is_flat(const struct rootfs *rootfs);

/* rootfs_create.c: mounts the view of a busy one; without the lock. */
int rootfs_mount(struct registry *registry, struct rootfs *rootfs, GError **error);

/* rootfs_remove.c: with the lock held before and after, not in between. The second is the whole of a removal. */
int rootfs_unmount(struct registry *registry, struct rootfs *rootfs, bool force, GError **error);
int rootfs_release(struct registry *registry, struct rootfs *rootfs, bool force, GError **error);

/* rootfs_flatten.c: id → a long operation */
GHashTable *works_new(void);
