/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Ids inside POSIX ACL xattrs (system.posix_acl_access, system.posix_acl_default): the little-endian on-disk form of
 * version 2 that the kernel hands to and takes from FUSE (behaviour B6). Pure.
 */

/* Maps one id: 0 with *id changed, or a negative errno, which ends the mapping. */
enum acl_ids_type {
    ACL_IDS_USER,
    ACL_IDS_GROUP,
};
typedef int (*acl_ids_map_fn)(enum acl_ids_type type, uint32_t *id, void *data);

/*
 * Rewrites the ids of named users and groups in the xattr value of size bytes, in place. -EINVAL if the value is not a
 * well-formed version 2 ACL (a size that is no whole number of entries included); value may then be half-mapped.
 */
int acl_ids_map(void *value, size_t size, acl_ids_map_fn map, void *data);
