/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Probes for gidfs-check: each does once, on a directory of its own, what gidfs does later, and does not look at
 * version numbers (behaviour C1). They need a process that is alone in its mount namespace (check_enter), with one
 * thread.
 *
 * 0 with *ret_detail, which says what was found (the caller's to free); a negative errno with error where it does not
 * work. dir is an empty directory on the file system in question; what a probe makes there it removes again.
 */
int check_fuse(const char *dir, char **ret_detail, GError **error);
int check_passthrough(const char *dir, char **ret_detail, GError **error);
int check_fanotify(const char *dir, char **ret_detail, GError **error);
int check_file_handles(const char *dir, char **ret_detail, GError **error);
int check_mount_api(const char *dir, char **ret_detail, GError **error);
int check_idmapped_mounts(const char *dir, char **ret_detail, GError **error);
int check_overlay(const char *dir, char **ret_detail, GError **error);
int check_capabilities(const char *dir, char **ret_detail, GError **error);

/* Goes into a mount namespace of its own, from which nothing is passed on. */
int check_enter(GError **error);

/* For the probes: makes dir/name as a directory; the path is the caller's. */
int check_make_dir(const char *dir, const char *name, char **ret_path, GError **error);
/* For the probes: makes dir/name as a file with a few bytes in it; the path is the caller's. */
int check_make_file(const char *dir, const char *name, char **ret_path, GError **error);
