/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking views down without releasing their volumes: before an upgrade of the machine, and when one hangs.
 */
#include "mounts/registry_private.h"
#include "mounts/rootfs_private.h"

#include <errno.h>
#include <string.h>

/* Takes the view of an idle volume down; the row stays, as not mounted. */
static int drain(struct registry *registry, struct volume *volume, bool force, GError **error)
{
    GError *problem = NULL;

    if (volume->attachments->len && !force)
        return refuse(error, REFUSAL_BUSY, "%u attachment%s", volume->attachments->len,
                      volume->attachments->len == 1 ? "" : "s");
    int r = volume_set_state(registry, volume, ROW_PREPARED, error);
    if (r < 0)
        return r;
    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    for (guint i = volume->attachments->len; i > 0 && r == 0; i--)
        r = attachment_unmount(volume->attachments->pdata[i - 1], true, &problem);
    if (r == 0)
        r = view_unmount(registry, volume, force, &problem);
    g_mutex_lock(&registry->lock);
    if (r < 0)
        volume_set_state(registry, volume, ROW_MOUNTED, NULL);
    while (r == 0 && volume->attachments->len)
        r = attachment_forget(registry, volume->attachments->pdata[0], &problem);
    operation_end(registry, volume, problem ? g_error_copy(problem) : NULL);
    if (problem)
        g_propagate_error(error, problem);
    return r;
}

/* The rows stay as mounted: the next start mounts them again. */
static void drain_rootfs(struct registry *registry, bool force, volume_drained_fn done, void *data)
{
    g_autofree char **ids = (char **)g_hash_table_get_keys_as_array(registry->rootfs, NULL);
    g_auto(GStrv) kept = g_strdupv(ids);
    for (char **id = kept; *id; id++) {
        g_autoptr(GError) error = NULL;
        struct rootfs *rootfs = NULL;
        int r = rootfs_get_idle(registry, *id, &rootfs, &error);
        if (r == -ENOENT || (r == 0 && strcmp(rootfs->row->kind, "flat") == 0))
            continue;
        if (r == 0)
            rootfs_unmount(registry, rootfs, force, &error);
        done(*id, error, data);
    }
}

void registry_drain(struct registry *registry, bool force, volume_drained_fn done, void *data)
{
    g_mutex_lock(&registry->lock);
    g_autofree char **names = (char **)g_hash_table_get_keys_as_array(registry->volumes, NULL);
    g_auto(GStrv) kept = g_strdupv(names);
    for (char **name = kept; *name; name++) {
        g_autoptr(GError) error = NULL;
        struct volume *volume = NULL;
        if (registry_get_idle_volume(registry, *name, &volume, NULL) < 0)
            continue;
        drain(registry, volume, force, &error);
        done(*name, error, data);
    }
    drain_rootfs(registry, force, done, data);
    g_mutex_unlock(&registry->lock);
}

int volume_abort(struct registry *registry, const char *name, volume_visitor visit, void *data, GError **error)
{
    struct volume *volume = NULL;
    GError *problem = NULL;

    g_mutex_lock(&registry->lock);
    int r = registry_get_idle_volume(registry, name, &volume, error);
    if (r == 0) {
        operation_begin(volume, false);
        g_mutex_unlock(&registry->lock);
        r = view_abort(registry, volume, &problem);
        g_mutex_lock(&registry->lock);
        operation_end(registry, volume, problem ? g_error_copy(problem) : NULL);
        if (problem)
            g_propagate_error(error, problem);
        if (r == 0)
            r = volume_bring_up(registry, volume, error);
        if (r == 0)
            volume_describe(registry, volume, true, visit, data);
    }
    g_mutex_unlock(&registry->lock);
    if (r == 0) /* the attachments are still of the old connection */
        keepers_mend(registry, 0);
    return r;
}
