/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The value of a POSIX ACL xattr (system.posix_acl_access, system.posix_acl_default) as the kernel hands it to FUSE and
 * takes it: version 2, little-endian, a word of version and then entries of tag, permissions and id. Pure.
 */
enum acl_tag {
    ACL_TAG_USER_OBJ = 0x01,
    ACL_TAG_USER = 0x02,
    ACL_TAG_GROUP_OBJ = 0x04,
    ACL_TAG_GROUP = 0x08,
    ACL_TAG_MASK = 0x10,
    ACL_TAG_OTHER = 0x20,
};

struct acl_entry {
    uint16_t tag; /* enum acl_tag */
    uint16_t perm;
    uint32_t id; /* of ACL_TAG_USER and ACL_TAG_GROUP */
};

/* How many entries a value of size bytes has. -EINVAL if it is no version 2 ACL of a whole number of entries. */
int acl_format_check(const void *value, size_t size, size_t *ret_n_entries);

/* One entry of a value that was checked, in this machine's byte order. The value may lie at any address. */
struct acl_entry acl_format_get(const void *value, size_t index);
void acl_format_set(void *value, size_t index, struct acl_entry entry);
