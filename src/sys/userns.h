/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * A user namespace as a carrier of id maps, for idmapped mounts: no process stays in it. The maps are in the kernel's
 * form, lines of "INSIDE OUTSIDE COUNT"; on a mount INSIDE are the ids on disk and OUTSIDE those that the mount shows.
 * *ret_fd is the caller's. -EPERM where user namespaces are switched off. Thread-safe.
 */
int userns_for_maps(const char *uid_map, const char *gid_map, int *ret_fd, GError **error);
