/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "table/rows.h"

/*
 * The allocation table: one SQLite file, written by the service before it acts and synced before a write returns
 * (behaviours A6 and A7). Whoever holds the table serializes its use: it has one user at a time, from any thread.
 *
 * Writes return 0 or a negative errno with a message that names the file: -ENOSPC on a full disk, -EROFS, -EIO,
 * -EBUSY when another program keeps it locked for seconds, -EBADMSG when the file is damaged, -EEXIST where a row with
 * the same key is there, -ENOENT where an update or delete meets no row. A failed write has changed nothing.
 */
struct table;

/*
 * Opens the table at path (created when there is no such file) and checks it. -EBADMSG with the way to repair it for a
 * file that is empty, damaged, or of another program; -ENOTSUP for one of a newer gidfs. Such a file is left untouched.
 */
int table_open(const char *path, struct table **ret_table, GError **error);
void table_close(struct table *table);

typedef struct table table_file;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_file, table_close)

/* Several writes as one: all of them, or, after table_rollback or a failed table_commit, none. Transactions don't nest.
 */
int table_begin(struct table *table, GError **error);
int table_commit(struct table *table, GError **error);
void table_rollback(struct table *table);

/* Bounds the file, in pages of 4 KiB; for tests of a full disk. */
void table_limit_pages(struct table *table, unsigned int n_pages);

/* Loads: all rows as a new array that frees them. A row that makes no sense is -EBADMSG. */
int table_load_volumes(struct table *table, GPtrArray **ret_rows, GError **error);
int table_load_attachments(struct table *table, GPtrArray **ret_rows, GError **error);
int table_load_containers(struct table *table, GPtrArray **ret_rows, GError **error);
int table_load_quarantine(struct table *table, GPtrArray **ret_rows, GError **error);
int table_load_blocks(struct table *table, GPtrArray **ret_rows, GError **error);
int table_load_rootfs(struct table *table, GPtrArray **ret_rows, GError **error);

/* Gids (GUINT_TO_POINTER) that left quarantine, the longest ago first; some may be in use again. */
int table_load_freed(struct table *table, GPtrArray **ret_gids, GError **error);

/* Inserts set row->id (volumes and attachments). A volume's identity is device, handle, and gid where gid_given. */
int table_volume_insert(struct table *table, struct table_volume *row, GError **error);
int table_volume_update(struct table *table, const struct table_volume *row, GError **error);
int table_volume_delete(struct table *table, int64_t id, GError **error); /* -EEXIST while it has attachments */

int table_attachment_insert(struct table *table, struct table_attachment *row, GError **error);
int table_attachment_update(struct table *table, const struct table_attachment *row, GError **error);
int table_attachment_delete(struct table *table, int64_t id, GError **error);

int table_container_insert(struct table *table, const struct table_container *row, GError **error);
int table_container_update(struct table *table, const struct table_container *row, GError **error);
int table_container_delete(struct table *table, const char *id, GError **error);

int table_quarantine_insert(struct table *table, const struct table_quarantined *row, GError **error);
/* The gid is free from now on, and noted as the one that was freed last. */
int table_quarantine_delete(struct table *table, gid_t gid, GError **error);

int table_block_insert(struct table *table, const struct table_block *row, GError **error);
int table_block_delete(struct table *table, const char *owner, GError **error);

int table_rootfs_insert(struct table *table, const struct table_rootfs *row, GError **error);
int table_rootfs_set_state(struct table *table, const char *id, enum row_state state, const char *boot_id,
                           GError **error);
int table_rootfs_delete(struct table *table, const char *id, GError **error);
