/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_run_dir.h"

#include "base/fd.h"
#include "sys/mount_api.h"
#include "sys/mount_table.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

static const struct mount_propagation PRIVATE = {MOUNT_PROPAGATION_PRIVATE, false};
static const struct mount_propagation SHARED = {MOUNT_PROPAGATION_SHARED, false};

/* Whether entry is shared, and with no other mount of this namespace. A mount in a slave group hears its master. */
static bool has_own_peer_group(const struct mount_table *table, const struct mount_entry *entry)
{
    if (!entry->peer_group || entry->master_group)
        return false;
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *other = mount_table_get(table, i);
        if (other->id != entry->id && other->peer_group == entry->peer_group)
            return false;
    }
    return true;
}

static int bind_to_itself(const char *path, GError **error)
{
    struct mount_attributes attributes = {.propagation = SHARED};
    auto_fd int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "open the run directory %s", path);
    return mount_bind(path, fd, path, &attributes, error);
}

int mount_run_dir_prepare(const char *path, char **ret_real_path, GError **error)
{
    if (g_mkdir_with_parents(path, 0755) < 0)
        return gidfs_error_errno(error, errno, "make the run directory %s", path);
    g_autofree char *real = g_canonicalize_filename(path, NULL);
    char resolved[PATH_MAX];
    if (!realpath(real, resolved))
        return gidfs_error_errno(error, errno, "resolve the run directory %s", path);

    g_autoptr(mount_table) table = NULL;
    int r = mount_table_read(0, &table, error);
    if (r < 0)
        return r;
    const struct mount_entry *entry = mount_table_find_target(table, resolved);
    if (!entry) {
        r = bind_to_itself(resolved, error);
    } else if (!has_own_peer_group(table, entry)) {
        r = mount_set_propagation(resolved, PRIVATE, error);
        if (r == 0)
            r = mount_set_propagation(resolved, SHARED, error);
    }
    if (r < 0)
        return r;
    *ret_real_path = g_strdup(resolved);
    return 0;
}
