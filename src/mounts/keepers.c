/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views whose keeper has died: the kernel answers "transport endpoint is not connected" in them for ever. They are
 * taken off and mounted again, and so are their attachments, by the recovery plan. A keeper that ends because its view
 * was unmounted is no news.
 */
#include "base/log.h"
#include "mounts/recovery.h"
#include "mounts/registry_private.h"
#include "mounts/rootfs_private.h"

static struct volume *find_by_id(struct registry *registry, int64_t id)
{
    GHashTableIter iter;
    struct volume *volume;

    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&volume))
        if (volume->row->id == id)
            return volume;
    return NULL;
}

/* Waits until the volume is idle; whether its view is still mounted then, with nobody behind it. */
static bool is_dead(struct registry *registry, int64_t id)
{
    struct volume *volume;

    if (id < 0)
        return rootfs_has_died(registry, id);
    while ((volume = find_by_id(registry, id)) && volume->operation) {
        g_autoptr(GError) ignored = NULL;
        bool created = false;
        operation_wait(registry, volume, &created, &ignored);
    }
    if (!volume || !mount_table_find_target(registry_kernel(registry), volume->view) || view_is_alive(registry, volume))
        return false;
    log_error("volume \"%s\": the keeper of its view died; mounting it again", volume->row->name);
    volume->dead = true;
    return true;
}

static void tell_step(const struct recovery_step *step, bool done, const GError *error, void *data)
{
    if (error)
        log_error("%s %s %s: %s", recovery_action_to_string(step->action), recovery_what_to_string(step->what),
                  step->name, error->message);
}

/* The thread of the menders. data is the id of a volume, the (negative) key of a rootfs, or 0 to look after all of
 * them. */
static void mend(void *data, void *user_data)
{
    struct registry *registry = user_data;
    int64_t id = (int64_t)(GPOINTER_TO_SIZE(data) - 1);
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&registry->lock);
    bool is_needed = id == 0 || is_dead(registry, id);
    g_mutex_unlock(&registry->lock);
    if (is_needed && registry_recover(registry, NULL, false, tell_step, NULL, &error) < 0)
        log_error("%s", error->message);
}

GThreadPool *keepers_new_menders(struct registry *registry)
{
    return g_thread_pool_new(mend, registry, 1, FALSE, NULL);
}

void keepers_mend(struct registry *registry, int64_t id)
{
    g_thread_pool_push(registry->menders, GSIZE_TO_POINTER((gsize)id + 1), NULL);
}

int registry_keepers_fd(const struct registry *registry)
{
    return process_watch_fd(registry->keepers);
}

void registry_look_at_keepers(struct registry *registry)
{
    g_autoptr(GArray) ids = process_watch_read(registry->keepers);
    for (guint i = 0; i < ids->len; i++)
        keepers_mend(registry, g_array_index(ids, int64_t, i));
}
