/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * Opening the target of a mount beneath a container's root (behaviour C4). The container owns the tree and may swap any
 * part of it for a link at any time; the answer is a descriptor (O_PATH), never a path to be looked up again.
 *
 * Links are followed as the container would see them: an absolute one starts at root_fd, ".." stops there. Magic links
 * of /proc are never followed. Where the kernel has no openat2 (before 5.6), no link is followed at all: -ELOOP.
 *
 * Thread-safe.
 */

/* What a missing target is made as; missing directories above it are made too, 0755 and root's. */
enum mount_resolve_missing {
    MOUNT_RESOLVE_MUST_EXIST,
    MOUNT_RESOLVE_MAKE_DIRECTORY,
    MOUNT_RESOLVE_MAKE_FILE,
};

/*
 * Opens path (absolute or relative: both start at root_fd) beneath root_fd. *ret_fd is the caller's. -ENOENT missing,
 * -ELOOP too many links or one where none is followed, -EEXIST a dangling link or another kind of file in the way,
 * -EINVAL ".." in a part that does not exist.
 */
int mount_resolve(int root_fd, const char *path, enum mount_resolve_missing missing, int *ret_fd, GError **error);

/* Opens path beneath root_fd without following any link: -ELOOP at the first one. */
int mount_resolve_nofollow(int root_fd, const char *path, int *ret_fd, GError **error);

/* The same by a walk of one openat a component: what mount_resolve_nofollow does where the kernel has no openat2. */
int mount_resolve_walk(int root_fd, const char *path, int *ret_fd, GError **error);

/* The path that the kernel gives fd now, seen from the caller's root: for the record and for messages. Caller frees. */
char *mount_resolve_path_of_fd(int fd);
