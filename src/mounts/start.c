/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service does with its volumes once it has started: each is adopted, mounted or released by itself, several
 * at a time, as an operation of its own like any other.
 */
#include "base/log.h"
#include "mounts/registry_private.h"

#define STARTERS 4 /* a start waits more than it computes */

/* Why a volume does not live on, or NULL. */
static const char *why_released(struct registry *registry, const struct volume *volume, enum file_id_fate fate)
{
    if (volume->row->state == ROW_RELEASING)
        return "its release was interrupted";
    if (volume->row->kind == VOLUME_SANDBOX && g_strcmp0(volume->row->boot_id, registry->boot_id) != 0)
        return "a sandbox volume of an earlier boot";
    return fate == FILE_ID_GONE ? "its source is gone" : NULL;
}

/* The row as it is after the view was adopted or mounted in this boot. */
static int record_mounted(struct registry *registry, struct volume *volume, bool is_new, GError **error)
{
    struct table_volume changed = *volume->row;
    g_autofree char *boot_id = g_strdup(registry->boot_id);

    changed.state = ROW_MOUNTED;
    changed.generation += is_new;
    changed.boot_id = boot_id;
    int r = table_volume_update(registry->table, &changed, error);
    if (r < 0)
        return r;
    volume->row->state = changed.state;
    volume->row->generation = changed.generation;
    g_free(volume->row->boot_id);
    volume->row->boot_id = g_steal_pointer(&boot_id);
    return 0;
}

/* A view whose processes are gone is taken off, so that it can be mounted again. */
static bool adopt(struct registry *registry, struct volume *volume)
{
    if (!mount_table_find_target(registry_kernel(registry), volume->view))
        return false;
    if (view_is_alive(volume))
        return true;
    log_warning("volume \"%s\": nobody serves its view any more; mounting it again", volume->row->name);
    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    view_unmount(registry, volume, true, NULL);
    g_mutex_lock(&registry->lock);
    operation_end(registry, volume, NULL);
    return false;
}

static int start(struct registry *registry, struct volume *volume, GError **error)
{
    enum file_id_fate fate = source_find(registry, volume);
    const char *reason = why_released(registry, volume, fate);
    struct volume_released released;

    if (reason) {
        log_info("volume \"%s\": %s, releasing gid %u", volume->row->name, reason, volume->row->view_gid);
        return volume_release(registry, volume, true, &released, error);
    }
    bool is_adopted = adopt(registry, volume);
    int r = is_adopted ? 0 : volume_bring_up(registry, volume, error);
    if (r == 0 && (!is_adopted || volume->row->state != ROW_MOUNTED))
        r = record_mounted(registry, volume, !is_adopted, error);
    return r;
}

/* A thread of the pool. */
static void start_one(void *data, void *user_data)
{
    struct registry *registry = user_data;
    g_autofree char *name = data;
    struct volume *volume = NULL;
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&registry->lock);
    if (registry_get_idle_volume(registry, name, &volume, NULL) == 0)
        start(registry, volume, &error);
    registry->n_to_start--;
    g_cond_broadcast(&registry->changed);
    g_mutex_unlock(&registry->lock);
    if (error)
        log_error("%s", error->message);
}

void registry_start(struct registry *registry, unsigned int patience_ms)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)patience_ms * 1000;
    GHashTableIter iter;
    char *name;

    g_mutex_lock(&registry->lock);
    registry->starters = g_thread_pool_new(start_one, registry, STARTERS, FALSE, NULL);
    registry->n_to_start = g_hash_table_size(registry->volumes);
    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, (void **)&name, NULL))
        g_thread_pool_push(registry->starters, g_strdup(name), NULL);
    while (registry->n_to_start && g_cond_wait_until(&registry->changed, &registry->lock, end_us))
        ;
    gids_review_locked(registry);
    g_mutex_unlock(&registry->lock);
}

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
    return r;
}
