/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/view_options.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The rows of the allocation table as plain values. A row owns its strings and blobs; free it with its _free, which
 * takes NULL. docs/table.md says what each column means.
 */

/* How long a volume lives: a sandbox volume ends with the boot that it was made in, a persistent one is mounted again.
 */
enum volume_kind {
    VOLUME_PERSISTENT,
    VOLUME_SANDBOX,
};

/*
 * The life of a row that has an effect on the kernel. Each state is on disk before the effect that it announces:
 * PREPARED before the mount, MOUNTED once it is seen, RELEASING before the unmount. HANDED (attachments only) is a
 * mount that a container's runtime makes by itself. A free volume has no row.
 */
enum row_state {
    ROW_PREPARED,
    ROW_MOUNTED,
    ROW_RELEASING,
    ROW_HANDED,
};

/* The names in the table and on the command line; _from_string is -EINVAL with a message that lists the known words. */
const char *volume_kind_to_string(enum volume_kind kind);
int volume_kind_from_string(const char *text, enum volume_kind *ret_kind, GError **error);
const char *volume_chgrp_to_string(enum view_chgrp chgrp);
int volume_chgrp_from_string(const char *text, enum view_chgrp *ret_chgrp, GError **error);
const char *volume_cache_to_string(enum view_cache cache);
int volume_cache_from_string(const char *text, enum view_cache *ret_cache, GError **error);
const char *row_state_to_string(enum row_state state);
int row_state_from_string(const char *text, enum row_state *ret_state, GError **error);

struct table_volume {
    int64_t id; /* given by the table */
    char *name;
    char *source; /* absolute, without symlinks */
    uint64_t device;
    GBytes *handle; /* what names the source's directory on its file system for ever (sys/file_id.h) */
    enum volume_kind kind;
    enum mode_policy policy;
    enum view_chgrp chgrp;
    enum view_cache cache;
    bool read_only;
    bool exclusive;
    gid_t view_gid;
    bool gid_given; /* the caller chose the gid; else the pool did */
    enum row_state state;
    int64_t generation; /* how often the view was mounted */
    char *container;    /* the container that it was made for and ends with, or NULL */
    char *boot_id;      /* of the boot that it was last mounted in */
    int64_t created_s;  /* seconds since 1970, here and below */
};

struct table_attachment {
    int64_t id;
    int64_t volume_id;
    char *target;      /* absolute path as seen in the mount namespace below */
    int64_t namespace; /* inode number of the mount namespace; 0 is the service's own */
    int64_t pid;       /* a process in that namespace; 0 for the service's own */
    char *container;   /* NULL where no container was named */
    char *inside;      /* the target as the container's isolator asked for it; NULL for one that attach made */
    int64_t position;  /* order of the mounts of one container */
    bool read_only;
    char *propagation; /* a word of cli.md, or NULL for the default */
    enum row_state state;
    int64_t mount_id; /* of the kernel, 0 as long as it is unknown */
    char *boot_id;
    int64_t created_s;
};

struct table_container {
    char *id;
    char *rootfs;      /* NULL: the container shares the host's root */
    int64_t pid;       /* 0: not running yet */
    int64_t user;      /* uid of its process, -1 unknown */
    int64_t task_user; /* uid of the task that its process starts, -1 for none */
    bool root_gids;    /* gids are handed to root too */
    char *parent;      /* the container that it is nested in, or NULL */
    enum row_state state;
    int64_t generation; /* how often it was prepared or restarted */
    char *boot_id;
    int64_t created_s;
};

/* A gid that was released and may still be in use (behaviour A10). */
struct table_quarantined {
    gid_t gid;
    int64_t volume_id; /* of the volume that it belonged to */
    char *volume;
    char *source;
    int64_t since_s;
    char *boot_id;
};

/* A block of subordinate ids (behaviour A11). */
struct table_block {
    char *owner;
    int64_t first;
    int64_t count;
    char *boot_id;
    int64_t created_s;
};

struct table_rootfs {
    char *id;
    char *kind;   /* "view", or "flat" for a plain directory */
    char *path;   /* of the view, or of the flat tree */
    GStrv layers; /* the first is the lowest */
    char *upper;  /* NULL: read-only without an upper */
    char *work;
    char *uid_map; /* in the grammar of core/id_map.h, or NULL */
    char *gid_map;
    char *policy;    /* NULL without a gid */
    char *whiteouts; /* "overlay" or "aufs" */
    gid_t view_gid;  /* 0: none */
    bool read_only;
    enum row_state state;
    char *boot_id;
    int64_t created_s;
};

void table_volume_free(struct table_volume *row);
void table_attachment_free(struct table_attachment *row);
void table_container_free(struct table_container *row);
void table_quarantined_free(struct table_quarantined *row);
void table_block_free(struct table_block *row);
void table_rootfs_free(struct table_rootfs *row);

typedef struct table_volume table_volume;
typedef struct table_attachment table_attachment;
typedef struct table_container table_container;
typedef struct table_rootfs table_rootfs;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_volume, table_volume_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_attachment, table_attachment_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_container, table_container_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_rootfs, table_rootfs_free)
