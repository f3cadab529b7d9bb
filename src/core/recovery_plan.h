/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What to do after a start, a crash, a kill or a reboot: the pure function of what the table says, what the kernel has
 * mounted and which containers live (behaviours A8, C8). Every mount of ours has a row that was written before it, or
 * lies in the service's own directories; whatever is neither is somebody else's and is never touched.
 *
 * Applying the plan and planning again gives nothing but RECOVERY_ADOPT and RECOVERY_LEAVE.
 */
enum recovery_action {
    RECOVERY_ADOPT,   /* mounted and wanted: take it as it is (the row becomes MOUNTED) */
    RECOVERY_MOUNT,   /* wanted and not mounted */
    RECOVERY_UNMOUNT, /* take the mount down; for an attachment the row goes too */
    RECOVERY_RELEASE, /* detach a volume's attachments, unmount its view, free its gid, drop its row */
    RECOVERY_CLEANUP, /* what the container verb cleanup does */
    RECOVERY_FORGET,  /* drop the row: the kernel has nothing of it */
    RECOVERY_LEAVE,   /* not ours, or rightly in use */
};

enum recovery_what {
    RECOVERY_VOLUME,
    RECOVERY_VIEW, /* of a volume */
    RECOVERY_ATTACHMENT,
    RECOVERY_CONTAINER,
    RECOVERY_ROOTFS,
    RECOVERY_BARE_MOUNT, /* a mount without a row */
};

/* The states of a row, as src/table has them. */
enum recovery_state {
    RECOVERY_PREPARED,
    RECOVERY_MOUNTED,
    RECOVERY_RELEASING,
    RECOVERY_HANDED, /* an attachment that the container's runtime makes by itself */
};

struct recovery_volume {
    int64_t id;
    const char *name;
    const char *source;
    const char *view;      /* where its view is mounted */
    const char *container; /* the container that it was made for and ends with, or NULL */
    enum recovery_state state;
    bool sandbox;
    bool source_gone;
    bool source_shown; /* known to be what is mounted at the view's place, whatever path it had then */
    bool view_dead;    /* mounted, but known to have no process behind it */
    bool busy;         /* an operation on it is under way: it and its attachments are left alone */
    bool same_boot;
};

struct recovery_attachment {
    int64_t id;
    int64_t volume_id;
    const char *target;
    uint64_t namespace;    /* 0: the service's own */
    bool namespace_gone;   /* the process that it was made for, and with it the namespace, is gone */
    const char *container; /* or NULL */
    enum recovery_state state;
    int mount_id; /* 0: not known */
    bool same_boot;
};

struct recovery_container {
    const char *id;
    const char *parent; /* or NULL */
    enum recovery_state state;
    bool rootfs_gone;
    bool same_boot;
};

struct recovery_rootfs {
    const char *id;
    const char *path;
    enum recovery_state state;
    bool flat; /* a plain directory: nothing is mounted */
    bool view_dead;
    bool busy; /* being made or removed: leave it alone */
};

/* A line of a mount table. Where several are at one target, the one on top has covered false. */
struct recovery_mount {
    int id;
    uint64_t namespace; /* as in recovery_attachment */
    uint64_t dev;
    const char *target;
    const char *source;
    const char *fstype;
    bool covered;
};

struct recovery_facts {
    const char *view_dir;   /* the service's own directories: */
    const char *rootfs_dir; /* nothing but views is mounted directly below them */
    const struct recovery_volume *volumes;
    size_t n_volumes;
    const struct recovery_attachment *attachments;
    size_t n_attachments;
    const struct recovery_container *containers;
    size_t n_containers;
    const struct recovery_rootfs *rootfs;
    size_t n_rootfs;
    const struct recovery_mount *mounts;
    size_t n_mounts;
    const char *const *live; /* ids of the containers that run, NULL-terminated; NULL: nobody knows, leave them */
};

struct recovery_step {
    enum recovery_action action;
    enum recovery_what what;
    int64_t row_id; /* of a volume, view or attachment; else 0 */
    char *name;     /* of the volume, container or rootfs; "" for a mount without a row */
    char *target;   /* NULL where there is none */
    int mount_id;   /* to be unmounted, or adopted; else 0 */
    char *reason;
};

/* The steps (struct recovery_step), in the order in which they must be taken. The caller frees the array. */
GPtrArray *recovery_plan(const struct recovery_facts *facts);

/* The words of the API: "adopt" …, "volume" …; a mount without a row is "mount". */
const char *recovery_action_to_string(enum recovery_action action);
const char *recovery_what_to_string(enum recovery_what what);
