/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acl_format.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* linux/posix_acl_xattr.h */
#define ACL_VERSION 2

int acl_format_check(const void *value, size_t size, size_t *ret_n_entries)
{
    uint32_t version;
    if (size < sizeof(version) || (size - sizeof(version)) % sizeof(struct acl_entry) != 0)
        return -EINVAL;
    memcpy(&version, value, sizeof(version));
    if (le32toh(version) != ACL_VERSION)
        return -EINVAL;
    *ret_n_entries = (size - sizeof(version)) / sizeof(struct acl_entry);
    return 0;
}

static size_t offset_of(size_t index)
{
    return sizeof(uint32_t) + index * sizeof(struct acl_entry);
}

struct acl_entry acl_format_get(const void *value, size_t index)
{
    struct acl_entry entry;
    memcpy(&entry, (const char *)value + offset_of(index), sizeof(entry));
    return (struct acl_entry){.tag = le16toh(entry.tag), .perm = le16toh(entry.perm), .id = le32toh(entry.id)};
}

void acl_format_set(void *value, size_t index, struct acl_entry entry)
{
    struct acl_entry le = {.tag = htole16(entry.tag), .perm = htole16(entry.perm), .id = htole32(entry.id)};
    memcpy((char *)value + offset_of(index), &le, sizeof(le));
}
