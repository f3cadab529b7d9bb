/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/recovery_plan.h"
#include "mounts/registry.h"

/*
 * Makes table, kernel and living containers agree (behaviours A8, C8): the facts are collected, core/recovery_plan says
 * what to do, and it is done here. Verbs for containers wait meanwhile. Thread-safe.
 */

/* One step, after it was taken. done is false in a dry run and on failure; error is NULL unless it failed. */
typedef void (*recovery_visitor)(const struct recovery_step *step, bool done, const GError *error, void *data);

/*
 * live: ids of the containers that run (NULL-terminated), NULL: not known, containers are left unless they can't live
 * any more. visit is called without the lock, once the whole plan was carried out. Fails if the mount table cannot be
 * read; a step that fails does not stop the others.
 */
int registry_recover(struct registry *registry, const char *const *live, bool dry_run, recovery_visitor visit,
                     void *data, GError **error);
