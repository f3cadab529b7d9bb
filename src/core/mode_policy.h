/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * What modes a view reports (behaviour B1), and what of a mode that a client writes may reach the disk (B5).
 * Pure; a mode here is st_mode whole, with the type bits.
 */
enum mode_policy {
    MODE_POLICY_NONE,    /* a view without gid=: modes are the disk's */
    MODE_POLICY_SHARED,  /* directories that grant their group anything get setgid and group-write */
    MODE_POLICY_MESOS,   /* every directory: setgid and group-write */
    MODE_POLICY_FSGROUP, /* files: group read and write (read-only view: read); directories the same, with x and setgid
                          */
};

/* Reads "shared", "mesos" or "fsgroup" ("none" too); -EINVAL with a message that lists them. */
int mode_policy_from_string(const char *text, enum mode_policy *ret_policy, GError **error);
const char *mode_policy_to_string(enum mode_policy policy);

/* The mode that a view with this policy reports for an entry whose mode on disk is disk_mode. */
mode_t mode_policy_to_view(enum mode_policy policy, bool read_only, mode_t disk_mode);

/*
 * The permission bits (07777) to put on disk when a client sets view_mode on an entry that has disk_mode now:
 *  - a bit that the policy adds to what is reported (mode_policy_to_view(disk_mode) has it, disk_mode doesn't) and that
 *    the client hands back set does not reach the disk; a bit that the client takes away is taken from the disk;
 *  - unless allow_setid, setuid and setgid are never added on disk (S_ISGID of a directory included); those that the
 *    disk has and the client hands back stay.
 */
mode_t mode_policy_to_disk(enum mode_policy policy, bool read_only, mode_t disk_mode, mode_t view_mode,
                           bool allow_setid);
