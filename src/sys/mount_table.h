/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * The kernel's mount table, read once into plain structs and hashed. It comes from /proc/PID/mountinfo alone: no mount
 * is touched, so a hung FUSE server cannot make it wait (behaviour C11).
 *
 * A table is immutable once read; free to read from any thread.
 */
struct mount_entry {
    int id;
    int parent_id;
    dev_t dev;
    char *root;       /* which part of the file system is mounted */
    char *target;     /* where, from the root of the process */
    char *fstype;     /* with the subtype: fuse.gidfs */
    char *source;     /* "" if there is none */
    char *options;    /* of the mount itself: rw,nosuid,… */
    int peer_group;   /* shared:N, or 0 */
    int master_group; /* master:N, or 0 */
    bool unbindable;
    bool covered; /* another mount is on top of it, at the same target */
};

struct mount_table;

/* Reads the mount table of the process pid, 0 for the caller's. The caller frees it. */
int mount_table_read(pid_t pid, struct mount_table **ret_table, GError **error);

/* Reads a file in the format of /proc/PID/mountinfo: a recorded table. */
int mount_table_read_file(const char *path, struct mount_table **ret_table, GError **error);

void mount_table_free(struct mount_table *table);

typedef struct mount_table mount_table;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(mount_table, mount_table_free)

size_t mount_table_size(const struct mount_table *table);

/* The i-th mount, in the kernel's order. The entries below live as long as the table. */
const struct mount_entry *mount_table_get(const struct mount_table *table, size_t i);

/* The mount on top at exactly this target (no trailing slash, no links), or NULL. */
const struct mount_entry *mount_table_find_target(const struct mount_table *table, const char *target);

/* The mount with this id, or NULL. */
const struct mount_entry *mount_table_find_id(const struct mount_table *table, int id);

/* Whether an option (a whole word, like "ro") is among the mount's own. */
bool mount_entry_has_option(const struct mount_entry *entry, const char *option);

/*
 * Hears of changes of the caller's mount table (libmount's monitor): drain returns 1 if there was any since it was
 * called last, 0 if not. Not thread-safe.
 */
struct mount_monitor;

int mount_monitor_new(struct mount_monitor **ret_monitor, GError **error);
void mount_monitor_free(struct mount_monitor *monitor);
int mount_monitor_drain(struct mount_monitor *monitor);

typedef struct mount_monitor mount_monitor;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(mount_monitor, mount_monitor_free)
