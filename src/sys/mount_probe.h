/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Cheap questions about one path, where reading the whole mount table would be out of proportion. Thread-safe.
 */

/*
 * Whether something is mounted at path, whose last component is not followed if it is a link. Asks the mounted file
 * system nothing: a FUSE server that hangs cannot make it wait.
 */
bool mount_probe_is_mounted(const char *path);

/* The same of a name in a directory. */
bool mount_probe_is_mounted_at(int dir_fd, const char *name);

/* Whether path lies on a FUSE file system. This one asks the file system. */
bool mount_probe_is_fuse(const char *path);
