/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sources of volumes on the host: noticed by notification when they are removed (behaviours A8, C10), and followed
 * when they are only moved, because a volume is known by its directory's identity.
 */
#include "base/log.h"
#include "mounts/containers.h"
#include "mounts/registry_private.h"

#include <errno.h>

void source_watch_volume(struct registry *registry, struct volume *volume)
{
    g_autoptr(GError) error = NULL;
    int r = source_watch_add(registry->sources, volume->row->name, volume->row->source, &error);
    if (r < 0 && r != -ENOENT) /* the directory above is gone: registry_start and source_find see that */
        log_warning("volume \"%s\": its removal will not be noticed: %s", volume->row->name, error->message);
}

/* The row follows the directory; a table that cannot be written leaves it as it was. */
static void follow(struct registry *registry, struct volume *volume, const char *path)
{
    g_autoptr(GError) error = NULL;
    struct table_volume changed = *volume->row;

    changed.source = (char *)path;
    if (table_volume_update(registry->table, &changed, &error) < 0) {
        log_warning("volume \"%s\": its source was moved to %s: %s", volume->row->name, path, error->message);
        return;
    }
    log_info("volume \"%s\": its source was moved from %s to %s", volume->row->name, volume->row->source, path);
    g_free(volume->row->source);
    volume->row->source = g_strdup(path);
    source_watch_volume(registry, volume);
}

enum file_id_fate source_find(struct registry *registry, struct volume *volume)
{
    g_auto(file_id) id = {volume->row->device, g_bytes_ref(volume->row->handle)};
    bool other_boot = g_strcmp0(volume->row->boot_id, registry->boot_id) != 0;
    g_autofree char *moved_to = NULL;

    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    enum file_id_fate fate = file_id_find(&id, volume->row->source, other_boot, &moved_to);
    g_mutex_lock(&registry->lock);
    if (fate == FILE_ID_MOVED)
        follow(registry, volume, moved_to);
    operation_end(registry, volume, NULL);
    return fate;
}

int registry_sources_fd(const struct registry *registry)
{
    return source_watch_fd(registry->sources);
}

static void look_at(struct registry *registry, const char *name)
{
    struct volume *volume = NULL;
    struct volume_released released;
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&registry->lock);
    int r = registry_get_idle_volume(registry, name, &volume, NULL);
    if (r == 0 && source_find(registry, volume) == FILE_ID_GONE) {
        log_info("volume \"%s\": its source %s was removed, releasing gid %u", name, volume->row->source,
                 volume->row->view_gid);
        r = volume_release(registry, volume, true, &released, &error);
    }
    g_mutex_unlock(&registry->lock);
    if (error)
        log_error("%s", error->message);
}

void registry_look_at_sources(struct registry *registry)
{
    g_auto(GStrv) names = source_watch_read(registry->sources);
    for (char **name = names; name && *name; name++) {
        if (!container_look_at_rootfs(registry, *name))
            look_at(registry, *name);
    }
}
