/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/gid_pool.h"
#include "mounts/refusal.h"
#include "table/rows.h"

/*
 * The registry of volumes, views and attachments: what the service knows, kept in the table, and made true in the
 * kernel. All functions are thread-safe. What the caller did wrong comes back as a refusal (mounts/refusal.h).
 *
 * Answers are shown to a visitor, which is called with the registry locked: it copies what it needs, takes no time and
 * calls nothing of the registry. What it is shown lives no longer than the call.
 */
struct registry;

struct registry_settings {
    const char *state_dir;
    const char *run_dir;
    const char *gid_ranges;   /* "50000-59999,70000-70999" */
    const char *subid_ranges; /* for blocks of subordinate ids, or NULL: what login.defs leaves */
    bool reuse_last;          /* a gid freed lately is handed out after all others; read at the start only */
    bool exclusive_warns;     /* a second container of an exclusive volume is warned of and not refused */
};

/*
 * Opens the table and prepares the directories; nothing is mounted yet. Errors are the operator's to read: a range that
 * makes no sense, a table that is refused, another service that runs.
 */
int registry_open(const struct registry_settings *settings, struct registry **ret_registry, GError **error);
void registry_close(struct registry *registry);

typedef struct registry registry_handle;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(registry_handle, registry_close)

/* Takes new settings (SIGHUP): ranges and policies. On an error the old ones stay. */
int registry_reconfigure(struct registry *registry, const struct registry_settings *settings, GError **error);

/* What stays the same as long as the service runs. */
const char *registry_run_dir(const struct registry *registry);
const char *registry_state_dir(const struct registry *registry);
const char *registry_view_program(const struct registry *registry); /* path of gidfs-view */
const char *registry_boot_id(const struct registry *registry);

struct registry_counts {
    size_t n_volumes;
    size_t n_attachments;
    size_t n_containers;
    size_t n_rootfs;
};
void registry_count(struct registry *registry, struct registry_counts *ret_counts);

/*
 * Once after the start: adopts the views that are still mounted, mounts those that should be, and goes on with what a
 * crash interrupted (behaviours A7, A8, C12). Returns after patience_ms at the latest; the rest is done in the
 * background.
 */
void registry_start(struct registry *registry, unsigned int patience_ms);

/* Takes down every view without attachments, with force all; each is told to done, with an error if it stays. */
typedef void (*volume_drained_fn)(const char *name, const GError *error, void *data);
void registry_drain(struct registry *registry, bool force, volume_drained_fn done, void *data);

/* Polls readable when the processes of a view died; registry_look_at_keepers then mounts it again, in the background.
 */
int registry_keepers_fd(const struct registry *registry);
void registry_look_at_keepers(struct registry *registry);

/*
 * Notification (behaviours C10, C11): polls readable when a source may be gone; registry_look_at_sources then looks and
 * releases the volumes whose source was deleted.
 */
int registry_sources_fd(const struct registry *registry);
void registry_look_at_sources(struct registry *registry);

struct volume_info {
    const struct table_volume *row;
    const char *view;    /* path of the view */
    const char *control; /* its control socket */
    const char *state;   /* as docs/api.md says */
    const char *note;    /* where table and kernel differ, or NULL */
    const struct attachment_info *attachments;
    size_t n_attachments;
    const char *mechanism; /* "fuse" */
    const char *reason;    /* why that */
    pid_t keeper_pid;      /* 0: unknown */
    pid_t worker_pid;
    bool reused; /* (of volume_create) it was there */
};

struct attachment_info {
    const struct table_attachment *row;
    const struct table_volume *volume;
    const char *view;
    const char *state;
    const char *note;
    bool reused;
};

typedef void (*volume_visitor)(const struct volume_info *info, void *data);
typedef void (*attachment_visitor)(const struct attachment_info *info, void *data);

/* What volume_create is asked for; a member that is NULL or negative was not said. */
struct volume_request {
    const char *name;
    const char *source;
    const char *container; /* the container that it is made for and ends with */
    int kind;              /* of enum volume_kind, and so on */
    int new_kind;          /* where kind was not said: that of a volume which is made now */
    int policy;
    int chgrp;
    int cache;
    int read_only;
    int exclusive;
    int64_t view_gid;
};
#define VOLUME_REQUEST_EMPTY                                                                                           \
    {                                                                                                                  \
        .kind = -1, .new_kind = -1, .policy = -1, .chgrp = -1, .cache = -1, .read_only = -1, .exclusive = -1,          \
        .view_gid = -1                                                                                                 \
    }

/*
 * Makes sure that the source has a volume with a usable view (behaviour A3): the same source, or the same source and
 * gid where one is asked for, gives the same volume again. Callers at the same time get the result of one operation.
 */
int volume_create(struct registry *registry, const struct volume_request *request, volume_visitor visit, void *data,
                  GError **error);

/* One volume by name, or all in order of name. */
int volume_visit(struct registry *registry, const char *name, volume_visitor visit, void *data, GError **error);
void volume_visit_all(struct registry *registry, volume_visitor visit, void *data);

enum gid_fate {
    GID_FATE_FREE,
    GID_FATE_QUARANTINED,
    GID_FATE_OUT_OF_RANGE,
};
const char *gid_fate_to_string(enum gid_fate fate);

struct volume_released {
    gid_t view_gid;
    enum gid_fate fate;
};

/*
 * Takes a volume's view down and releases its gid. Without force, attachments and open files are busy, and nothing has
 * changed; with it they are detached.
 */
int volume_remove(struct registry *registry, const char *name, bool force, struct volume_released *ret_released,
                  GError **error);

/*
 * The same for all volumes whose source is directory or lies below it, component by component (behaviour A9). Each is
 * told to done, with its error or what became of its gid; it is called without the lock.
 */
typedef void (*volume_removed_fn)(const char *name, const struct volume_released *released, const GError *error,
                                  void *data);
int volume_remove_below(struct registry *registry, const char *directory, bool force, volume_removed_fn done,
                        void *data, GError **error);

/* Aborts the view's connection, which frees whoever hangs in it, and mounts it again. */
int volume_abort(struct registry *registry, const char *name, volume_visitor visit, void *data, GError **error);

struct attachment_request {
    const char *volume;
    const char *target;
    const char *container; /* or NULL */
    const char *propagation;
    bool read_only;
    int64_t pid; /* 0: the service's own namespace */
};

/* Bind-mounts the view of a volume. The same again is the same attachment; something else there is a refusal. */
int attachment_create(struct registry *registry, const struct attachment_request *request, attachment_visitor visit,
                      void *data, GError **error);

/* Unmounts it; in use is busy unless force. The visitor sees it as it was. */
int attachment_remove(struct registry *registry, const char *target, int64_t pid, bool force, attachment_visitor visit,
                      void *data, GError **error);

/* All attachments in order of id; those of one volume or container where these are given. */
void attachment_visit_all(struct registry *registry, const char *volume, const char *container,
                          attachment_visitor visit, void *data);

struct gid_holder {
    gid_t view_gid;
    bool quarantined;
    bool in_range;
    const char *volume;
    const char *source;
    int64_t since_s;
    const char *reason; /* what keeps it in quarantine, or NULL */
};
typedef void (*gid_visitor)(const struct gid_holder *holder, void *data);

/* The counts, the ranges as text (the caller's), and, unless visit is NULL, each holder in order of gid. */
void gid_visit_all(struct registry *registry, struct gid_counts *ret_counts, char **ret_ranges, gid_visitor visit,
                   void *data);

/* Looks which gids in quarantine are used by nobody any more, and frees them (behaviour A10). */
void gid_review_quarantine(struct registry *registry);
