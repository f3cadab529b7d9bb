/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "sys/mount_api.h"
#include "sys/mount_resolve.h"

#include <sys/types.h>

/*
 * Mounts in the mount namespace of another process (behaviour C6), through gidfs-nsmount. Targets are paths from the
 * root of that process. Thread-safe; each call takes a few milliseconds, and at most NS_MOUNT_TIMEOUT_MS.
 */
#define NS_MOUNT_TIMEOUT_MS 20000

/*
 * Attaches a detached mount (mount_clone_detached) at target; a missing target is made as missing says. *ret_path is
 * the target without links, for the record and for ns_mount_unmount; the caller frees it. *ret_mount_id is the mount's
 * id. -ESRCH: the process is gone; else as mount_resolve and mount_attach.
 */
int ns_mount_attach(pid_t pid, int mount_fd, const char *target, enum mount_resolve_missing missing, char **ret_path,
                    int *ret_mount_id, GError **error);

/* mount_unmount_beneath, beneath the root of the process. */
int ns_mount_unmount(pid_t pid, const char *target, int expected_mount_id, enum mount_unmount_mode mode,
                     GError **error);
