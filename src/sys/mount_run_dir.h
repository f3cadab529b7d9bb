/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Makes path the run directory (behaviour C2): an own mount, shared, in a peer group that no other mount of this
 * namespace is in, so that an unmount in it reaches the copies that containers hold, and mounts around it don't come
 * in. The directory is made (0755) if it is missing. Safe to call again, after a crash at any point too: a mount that
 * is already there is used, and made shared in a group of its own if it isn't.
 *
 * *ret_real_path is the path without links, by which the mounts below appear in the mount table; the caller frees it.
 */
int mount_run_dir_prepare(const char *path, char **ret_real_path, GError **error);
