/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/gid_book.h"
#include "mounts/registry.h"
#include "sys/file_id.h"
#include "sys/mount_table.h"
#include "sys/process_watch.h"
#include "sys/source_watch.h"
#include "table/table.h"

/*
 * Inside of the registry, for the files of src/mounts.
 *
 * One lock guards the registry with its table. What takes time (starting a view, unmounting, reading /proc) happens
 * without it, as the operation of a volume: while volume->operation is set, only the thread that began it changes the
 * volume and its attachments; all others wait for its end, or give up. So a volume cannot vanish under an operation,
 * and two callers cannot mount one view twice.
 *
 * Every change is written to the table first and to memory only when that has succeeded: a failed write leaves memory
 * as it was (behaviour A6).
 */

/* What several callers wait for, and its result. Counted: waiters look at it after the volume is gone. */
struct operation {
    unsigned int n_refs;
    bool creates; /* callers who want the same volume take its result as theirs */
    bool done;
    GError *error; /* NULL: it succeeded */
};

struct attachment {
    struct table_attachment *row;
    struct volume *volume;
};

struct volume {
    struct table_volume *row;
    char *view;                  /* RUN/views/NAME */
    char *control;               /* RUN/control/ID.sock */
    GPtrArray *attachments;      /* of struct attachment, which it owns, in order of id */
    struct operation *operation; /* in progress, or NULL */
    char *problem;               /* why the view is not up, or NULL */
    pid_t keeper_pid;            /* 0: unknown; atomic: an operation sets it without the lock */
    bool dead;                   /* mounted, and nobody serves it */
    bool source_gone;            /* when it was last looked for */
    bool source_shown;           /* by what is mounted at the view's place; looked at with source_gone */
};

/* Of quarantined gids: at most one is under way. */
struct gid_reviews {
    unsigned int n_begun;
    unsigned int n_done;
    unsigned int n_freed; /* by the last one */
};

struct registry {
    GMutex lock;
    GCond changed; /* an operation has ended */
    struct table *table;
    struct gid_book *gids;
    struct gid_reviews reviews;
    GHashTable *volumes;           /* name → struct volume, which it owns */
    GPtrArray *sorted;             /* of all volumes, in order of name; NULL until somebody lists them again */
    GHashTable *by_source;         /* identity → GPtrArray of struct volume */
    GHashTable *attachments;       /* id → struct attachment */
    GHashTable *by_target;         /* attachment_key → struct attachment: the one that was added last */
    GHashTable *containers;        /* id → struct container (mounts/container_private.h), which it owns */
    GHashTable *by_container;      /* id of a container, with a row or not → GPtrArray of struct attachment */
    GHashTable *rootfs;            /* id → struct rootfs, which it owns */
    GHashTable *works;             /* id → struct work, which it owns: rootfs_flatten.c */
    unsigned int n_works;          /* that there ever were */
    unsigned int n_running_works;  /* whose threads use the registry */
    struct gid_pool *block_pool;   /* of subordinate ids */
    GHashTable *blocks;            /* owner → struct table_block, which it owns */
    struct source_watch *sources;  /* keys are names of volumes */
    GThread *starter;              /* of registry_start, or NULL */
    bool is_started;               /* it has ended */
    struct process_watch *keepers; /* keys are ids of volumes */
    GThreadPool *menders;          /* of views whose keeper died: one thread */
    struct mount_monitor *monitor;
    struct mount_table *kernel; /* the mount table as of the monitor's last word */
    char *state_dir;
    char *run_dir;    /* without links */
    char *view_dir;   /* RUN/views */
    char *rootfs_dir; /* RUN/rootfs */
    char *boot_id;
    char *view_program;
    unsigned int n_probes;          /* of recovery, under way */
    unsigned int n_container_verbs; /* under way */
    bool is_recovering;             /* no verb for a container begins */
    int lock_fd;                    /* of STATE/lock: one service for each table */
    bool exclusive_warns;
};

/* registry.c. All are called with the lock held. */
struct volume *registry_find_volume(struct registry *registry, const char *name);     /* NULL: none */
GPtrArray *registry_find_source(struct registry *registry, const struct file_id *id); /* NULL: none */
struct volume *registry_add_volume(struct registry *registry, struct table_volume *row);
void registry_forget_volume(struct registry *registry, struct volume *volume); /* and its attachments */

/* Keys of the attachments: a namespace (0: the service's own) and a path in it. */
struct attachment *registry_find_attachment(struct registry *registry, int64_t namespace, const char *target);
struct attachment *registry_add_attachment(struct registry *registry, struct volume *volume,
                                           struct table_attachment *row);
void registry_forget_attachment(struct registry *registry, struct attachment *attachment);
void registry_move_attachment(struct registry *registry, struct attachment *attachment, const char *target);

/* Begins an operation on an idle volume; operation_end tells its result (NULL: success; taken over) to all who wait. */
void operation_begin(struct volume *volume, bool creates);
void operation_end(struct registry *registry, struct volume *volume, GError *error);

/* Waits until the volume is idle, which it may not outlive: look it up again. A failed operation is in *ret_error. */
void operation_wait(struct registry *registry, struct volume *volume, bool *ret_created, GError **ret_error);

int refuse_no_volume(const char *name, GError **error);

/* The volume of that name once it is idle, or a refusal. */
int registry_get_idle_volume(struct registry *registry, const char *name, struct volume **ret_volume, GError **error);

/* Whether the path may be looked at: the mount table, read again if it has changed. */
const struct mount_table *registry_kernel(struct registry *registry);

/*
 * sources.c. The first watches the source of a volume that was added. The second looks what became of the source of an
 * idle volume, and follows it where it was moved; it waits for the source's file system, without the lock.
 */
void source_watch_volume(struct registry *registry, struct volume *volume);
enum file_id_fate source_find(struct registry *registry, struct volume *volume);

/*
 * listing.c. The first is a new array of a table's values. volume_describe is for verbs that know the view to be up. An
 * attachment is compared with the kernel's mount table where it was not made just now.
 */
GPtrArray *registry_values(GHashTable *table);
const GPtrArray *registry_volumes_by_name(struct registry *registry); /* until one comes or goes */
void volume_describe(struct registry *registry, struct volume *volume, bool reused, volume_visitor visit, void *data);

void attachment_describe(struct registry *registry, const struct attachment *attachment, bool is_compared, bool reused,
                         attachment_visitor visit, void *data);

/*
 * For idle volumes; with the lock held before and after, not in between. volume_create.c: mounts the view unless it is
 * mounted. volume_remove.c: takes it down for good.
 */
int volume_bring_up(struct registry *registry, struct volume *volume, GError **error);
int volume_release(struct registry *registry, struct volume *volume, bool force, struct volume_released *ret_released,
                   GError **error);

/* One more holder of a gid that a caller gave: not one that the pool gave to a volume. */
int volume_take_given_gid(struct registry *registry, gid_t gid, GError **error);

/* Changes the row's state, table first. */
int volume_set_state(struct registry *registry, struct volume *volume, enum row_state state, GError **error);

/* volume_view.c: no lock is needed for a volume in operation. */
int view_mount(struct registry *registry, struct volume *volume, GError **error);
int view_unmount(struct registry *registry, struct volume *volume, bool force, GError **error);
bool view_is_alive(struct registry *registry, struct volume *volume);
int view_abort(struct registry *registry, struct volume *volume, GError **error); /* aborted and unmounted */

/*
 * attachments.c. is_mounted says whether the kernel has it, as far as can be told; with the lock held. namespace is the
 * inode number of the mount namespace of a process, by which attachments in it are
 * known; 0 for pid 0. check_exclusive refuses a further user of an exclusive volume, or warns (warnings may be NULL);
 * with the lock held. detach unmounts and forgets one of an idle volume; with the lock held before and after, not in
 * between.
 */
bool attachment_is_mounted(struct registry *registry, const struct table_attachment *row);
int attachment_namespace(int64_t pid, int64_t *ret_namespace, GError **error);
int attachment_detach(struct registry *registry, struct attachment *attachment, bool force, GError **error);
int attachment_check_exclusive(struct registry *registry, struct volume *volume, const char *container,
                               GPtrArray *warnings, GError **error);

/*
 * attachment_mount.c. The first mounts one whose row is in the table, of an idle volume, on target_fd (-1: in another
 * namespace); one that fails is forgotten. With the lock held before and after, not in between. The second unmounts one
 * of a volume in operation, without the lock. The third drops the row, table first, with the lock held.
 */
int attachment_mount(struct registry *registry, struct attachment *attachment, int target_fd, GError **error);
int attachment_unmount(const struct attachment *attachment, bool force, GError **error);
int attachment_forget(struct registry *registry, struct attachment *attachment, GError **error);

/*
 * keepers.c: mounts the view of a volume again if nobody serves it, and what else recovery finds; with id 0, whatever
 * recovery finds. Returns at once: it is done by the menders, who wait until the volume is idle.
 */
GThreadPool *keepers_new_menders(struct registry *registry);
void keepers_mend(struct registry *registry, int64_t id);

/* blocks.c: configured is NULL for the default */
int blocks_open(struct registry *registry, const char *configured, GError **error);
int blocks_reconfigure(struct registry *registry, const char *configured, GError **error); /* with the lock held */
void blocks_close(struct registry *registry);

/* A volume or a rootfs that goes, and the gid that it had. The strings are its own. */
struct gid_release {
    int64_t id; /* names its control socket */
    const char *name, *source;
    gid_t view_gid; /* 0: none */
    bool gid_given;
};

/*
 * gid_release.c, with the lock held. Deletes the rows of who goes, by delete_rows, and puts its gid into quarantine
 * where that is needed, in one transaction of the table; and then lets it go in the book.
 */
int gid_release_with_rows(struct registry *registry, const struct gid_release *release,
                          int (*delete_rows)(struct table *table, void *data, GError **error), void *data,
                          GError **error);

/* gids.c, with the lock held. The first lets go of it while it looks; it returns how many gids were freed. */
unsigned int gids_review_locked(struct registry *registry);
GVariant *gids_exhausted_details(struct registry *registry);
