/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Copies xattrs, ACLs among them, from one object to another of the same type: all but the marks of layers
 * (core/overlay_xattr.h), and a file capability only if keep_capability says so. Either descriptor may be O_PATH, so
 * symlinks and special files work too. What the target's file system has no place for, or does not let this process
 * set, is left out; an ACL that can't be kept is an error (-EOPNOTSUPP): without it the mode would grant what the ACL
 * denied.
 */
int copy_xattrs(int from_fd, int to_fd, bool keep_capability);

/*
 * Sets owner, permission bits and times of to_fd (O_PATH or open) to those in st, in an order that keeps set-id bits
 * and leaves no moment in which the wrong user has them. -EOVERFLOW where an id has no place in this user namespace.
 */
int copy_owner(int to_fd, const struct stat *st);
int copy_mode(int to_fd, const struct stat *st);
int copy_times(int to_fd, const struct stat *st);

/* Finds out which owners are real here, while there is a /proc. Otherwise the first use does. */
void copy_meta_init(void);

/*
 * Whether the set-id bits and the file capabilities of from_fd may be copied to a file system that honours them: not
 * from a mount where they are without effect (nosuid), nor for an owner who is nobody here (an id without a mapping in
 * this user namespace). Otherwise a copy would give root's powers to what somebody else wrote (CVE-2023-0386).
 */
bool copy_may_keep_setid(int from_fd, const struct stat *st);
