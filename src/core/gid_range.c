/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gid_range.h"

#include "core/number.h"

#include <errno.h>
#include <string.h>

#define GID_NOGROUP 65534

int gid_check(const char *what, uint64_t gid, GError **error)
{
    if (gid == 0)
        return gidfs_error(error, EINVAL, "%s: gid 0 is root's group; take a gid of at least 1", what);
    if (gid == GID_NOGROUP)
        return gidfs_error(error, EINVAL, "%s: gid 65534 is nogroup, shown for ids without a mapping; take another",
                           what);
    if (gid > GID_MAX)
        return gidfs_error(error, EINVAL, "%s: gid %" G_GUINT64_FORMAT " is out of bounds; the largest is %u", what,
                           gid, GID_MAX);
    return 0;
}

int gid_parse(const char *what, const char *text, uint32_t *ret_gid, GError **error)
{
    uint64_t gid;
    int r = number_parse(text, strlen(text), GID_MAX, &gid);
    if (r == -ERANGE)
        return gidfs_error(error, EINVAL, "%s: gid %s is out of bounds; the largest is %u", what, text, GID_MAX);
    if (r < 0)
        return gidfs_error(error, EINVAL, "%s: \"%s\" is not a gid; write a number such as 50000", what, text);
    r = gid_check(what, gid, error);
    if (r < 0)
        return r;
    *ret_gid = (uint32_t)gid;
    return 0;
}

int gid_range_parse(const char *text, struct range_set **ret_range, GError **error)
{
    static const uint64_t refused[] = {0, GID_NOGROUP, UINT32_MAX};
    g_autoptr(range_set) range = NULL;
    int r = range_set_parse(text, UINT32_MAX, &range, error);
    if (r < 0)
        return r;
    g_autoptr(range_set) good = range_set_copy(range);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        range_set_remove(good, refused[i], refused[i] + 1);
    if (range_set_equal(range, good)) {
        *ret_range = g_steal_pointer(&range);
        return 0;
    }
    g_autofree char *remedy = range_set_to_string(good);
    return gidfs_error(error, EINVAL,
                       "gid range %s: gids 0 (root), 65534 (nogroup) and 4294967295 (no gid) can't be a volume's; "
                       "write %s",
                       text, *remedy ? remedy : "another range");
}
