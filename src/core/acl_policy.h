/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/mode_policy.h"

#include <stddef.h>

/*
 * What a view reports of access ACLs (behaviours B1, B3, B6), and what of an ACL that a client writes may reach the
 * disk (B5). Where an entry has an ACL the kernel checks that and not the mode, so what the policy adds to a mode
 * (mode_policy.h) must be added here too. Pure; values are those of acl_format.h, ids play no part.
 *
 * Default ACLs are not checked against anybody and pass as they are.
 */

/*
 * Turns the access ACL of an entry on disk into the one that the view reports, in place. type is the S_IFMT part of its
 * mode. The owning group gets what the policy adds to its effective rights (a group without any gets nothing under the
 * policy shared, whatever named users have), the mask is widened to let it through, and named users and groups lose
 * what the wider mask would have uncovered: their effective rights stay. -EINVAL for a malformed value.
 */
int acl_policy_to_view(enum mode_policy policy, bool read_only, mode_t type, void *value, size_t size);

/*
 * Takes what an ACL of either kind grants the view's own group by name out of it, in place, and gives it to the owning
 * group, which that is in the view: a gid that was given out for a while is not to stay on disk in an ACL. *size
 * becomes that of what is left. -EINVAL for a malformed value.
 */
int acl_policy_fold_group(gid_t view_gid, void *value, size_t *size);

/* What an entry has on disk now: its mode, and its access ACL (size 0: none). */
struct acl_policy_disk {
    mode_t mode;
    const void *value;
    size_t size;
};

/*
 * Turns the access ACL that a client writes into the one to put on disk, in place; ids in both are the disk's. A bit
 * that the policy adds to what is reported and that the client hands back does not reach the disk; the mask keeps such
 * a bit only for a named user or group that has it now. What was read from the view and is written back as it was
 * leaves the disk as it is, to the byte. -EINVAL for a malformed value.
 */
int acl_policy_to_disk(enum mode_policy policy, bool read_only, const struct acl_policy_disk *disk, void *value,
                       size_t size);
