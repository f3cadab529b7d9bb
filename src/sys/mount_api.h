/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "sys/mount_propagation.h"

#include <stdbool.h>

/*
 * Making and removing mounts. A mount is cloned while it is attached nowhere, gets its attributes there, and only then
 * appears: it is never writable, or shared with anybody, for a moment (behaviour C5). Targets are descriptors
 * (sys/mount_resolve.h opens them), so that nobody can swap a path for a link between the check and the use.
 *
 * Every failing step names itself and the path in its message. All functions are thread-safe and touch no file inside
 * the mounts: they don't wait for a hung FUSE server.
 */
struct mount_attributes {
    bool read_only;
    bool nosuid;
    bool nodev;
    bool noexec;
    bool recursive; /* the mounts below the source come along, with the same attributes */
    struct mount_propagation propagation;
    int userns_fd; /* the mount is idmapped with this user namespace's maps; 0 or less: it isn't */
};

/*
 * A detached copy of the mount at source (an absolute path; its last component is not followed if it is a link), with
 * the attributes set. The caller owns *ret_mount_fd; closing it unattached takes the copy down again. -EOPNOTSUPP where
 * the kernel has no open_tree or mount_setattr (before 5.12): use mount_bind, or upgrade.
 */
int mount_clone_detached(const char *source, const struct mount_attributes *attributes, int *ret_mount_fd,
                         GError **error);

/*
 * Attaches a detached mount on top of what target_fd (O_PATH) refers to. target names it in messages only. -ENOTDIR if
 * one is a directory and the other isn't.
 */
int mount_attach(int mount_fd, int target_fd, const char *target, GError **error);

/*
 * Binds source onto target_fd with the attributes set before it appears. Where the kernel lacks the new mount API this
 * goes through mount_bind_staged. A directory goes on a directory, anything else on a file that is no directory.
 */
int mount_bind(const char *source, int target_fd, const char *target, const struct mount_attributes *attributes,
               GError **error);

/*
 * The same for kernels without the new mount API: bound and remounted in a private directory that only root can enter,
 * then moved. Recursive binds get their attributes on the top mount only, and none is idmapped: -EOPNOTSUPP for both.
 */
int mount_bind_staged(const char *source, int target_fd, const char *target, const struct mount_attributes *attributes,
                      GError **error);

enum mount_unmount_mode {
    MOUNT_UNMOUNT_PLAIN,  /* -EBUSY while it is in use */
    MOUNT_UNMOUNT_DETACH, /* gone from the tree at once, from the kernel with its last user */
};

/*
 * Unmounts what is mounted on top of path, resolved beneath root_fd without following any link. If expected_mount_id is
 * not 0, it must be the id (mountinfo's) of the mount that is there: -ESTALE otherwise, and nothing is unmounted.
 * -EBUSY in use; -EINVAL not a mount point; -ENOENT no such path; -ELOOP a link on the way.
 */
int mount_unmount_beneath(int root_fd, const char *path, int expected_mount_id, enum mount_unmount_mode mode,
                          GError **error);

/* The same beneath "/" of the caller. */
int mount_unmount(const char *path, int expected_mount_id, enum mount_unmount_mode mode, GError **error);

/* Changes the propagation of the mount whose root is at path. */
int mount_set_propagation(const char *path, struct mount_propagation propagation, GError **error);

/* The id (as in mountinfo) of the mount that fd is in; asks the mount nothing. Negative errno on failure. */
int mount_id_of_fd(int fd, int *ret_mount_id);
