/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acl_ids.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* linux/posix_acl_xattr.h: a version word, then entries of tag, permissions and id. */
#define ACL_VERSION 2
#define TAG_USER    0x02
#define TAG_GROUP   0x08

struct acl_entry {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
};

int acl_ids_map(void *value, size_t size, acl_ids_map_fn map, void *data)
{
    uint32_t version;
    if (size < sizeof(version) || (size - sizeof(version)) % sizeof(struct acl_entry) != 0)
        return -EINVAL;
    memcpy(&version, value, sizeof(version));
    if (le32toh(version) != ACL_VERSION)
        return -EINVAL;

    for (size_t at = sizeof(version); at < size; at += sizeof(struct acl_entry)) {
        struct acl_entry entry;
        memcpy(&entry, (char *)value + at, sizeof(entry));
        uint16_t tag = le16toh(entry.tag);
        if (tag != TAG_USER && tag != TAG_GROUP)
            continue;
        uint32_t id = le32toh(entry.id);
        int r = map(tag == TAG_USER ? ACL_IDS_USER : ACL_IDS_GROUP, &id, data);
        if (r < 0)
            return r;
        entry.id = htole32(id);
        memcpy((char *)value + at, &entry, sizeof(entry));
    }
    return 0;
}
