/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Hears of directories that are removed or moved away on the host (behaviour C10), by notification. What is watched is
 * the directory that holds the path: a removed directory that somebody has open tells nothing by itself until it is
 * closed, and a view has its source open.
 *
 * Thread-safe, except that source_watch_read has one caller at a time.
 */
struct source_watch;

int source_watch_new(struct source_watch **ret_watch, GError **error);
void source_watch_free(struct source_watch *watch);

typedef struct source_watch source_watch;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(source_watch, source_watch_free)

/*
 * Watches path (absolute, without links), under a key of the caller's choice; a key that is there already is moved to
 * the new path. -ENOENT if the directory above it is gone: look what became of the path yourself, nothing will be told.
 */
int source_watch_add(struct source_watch *watch, const char *key, const char *path, GError **error);
void source_watch_remove(struct source_watch *watch, const char *key);

/* Polls readable when there is something to read. */
int source_watch_fd(const struct source_watch *watch);

/*
 * Reads what there is without waiting, and returns the keys (NULL-terminated, the caller's) whose paths may not lead
 * any more where they did: removed, moved, replaced, or events were lost. The caller looks for itself.
 */
GStrv source_watch_read(struct source_watch *watch);
