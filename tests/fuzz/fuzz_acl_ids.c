/* SPDX-License-Identifier: Apache-2.0 */
/* ACL xattrs: mapping there and back again gives the same bytes. */
#include "core/acl_ids.h"
#include "fuzz.h"

#include <string.h>

static int rotate(enum acl_ids_type type, uint32_t *id, void *data)
{
    uint32_t by = *(const uint32_t *)data;
    *id += type == ACL_IDS_USER ? by : 2 * by;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *value = g_malloc(MAX(size, 1));
    if (size)
        memcpy(value, data, size);
    uint32_t there = 12345, back = -there;
    if (acl_ids_map(value, size, rotate, &there) < 0)
        return 0;
    FUZZ_CHECK(acl_ids_map(value, size, rotate, &back) == 0);
    FUZZ_CHECK(memcmp(value, data, size) == 0);
    return 0;
}
