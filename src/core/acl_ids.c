/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acl_ids.h"

#include "core/acl_format.h"

int acl_ids_map(void *value, size_t size, acl_ids_map_fn map, void *data)
{
    size_t n_entries;
    int r = acl_format_check(value, size, &n_entries);
    for (size_t i = 0; r == 0 && i < n_entries; i++) {
        struct acl_entry entry = acl_format_get(value, i);
        if (entry.tag != ACL_TAG_USER && entry.tag != ACL_TAG_GROUP)
            continue;
        r = map(entry.tag == ACL_TAG_USER ? ACL_IDS_USER : ACL_IDS_GROUP, &entry.id, data);
        if (r == 0)
            acl_format_set(value, i, entry);
    }
    return r;
}
