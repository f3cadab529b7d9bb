/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The identity of a directory: device number and file handle (behaviour A4). It stays the same over renames and is
 * never given to another directory. Device numbers may change with a reboot, handles don't. Thread-safe; may wait for
 * the file system that holds the directory.
 */
struct file_id {
    uint64_t device;
    GBytes *handle; /* type (4 bytes, little-endian) and bytes; without handles, inode number and birth time */
};

void file_id_clear(struct file_id *id);

typedef struct file_id file_id;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(file_id, file_id_clear)

/*
 * The identity of the directory at path, following links; *ret_real_path is its path without links. -ENOENT, -ENOTDIR
 * and so on with a message. Both outputs are the caller's.
 */
int file_id_of_directory(const char *path, struct file_id *ret_id, char **ret_real_path, GError **error);

enum file_id_fate {
    FILE_ID_SAME,    /* the path leads to the directory */
    FILE_ID_MOVED,   /* it exists elsewhere on its file system: *ret_path */
    FILE_ID_GONE,    /* it was deleted */
    FILE_ID_UNKNOWN, /* its file system is not there, or can't tell */
};

/*
 * What became of the directory id that was at path. After a reboot (other_boot) device numbers are not compared where
 * the handle at the path is the same. *ret_path is set for FILE_ID_MOVED only, and is the caller's.
 */
enum file_id_fate file_id_find(const struct file_id *id, const char *path, gboolean other_boot, char **ret_path);

/*
 * Whether the gidfs view that is mounted at view shows the directory at source, by whatever path it was mounted: its
 * root has that inode number and birth time. False too where they can't be asked for. May wait for the view.
 */
bool file_id_is_shown(const char *view, const char *source);
