/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views whose keeper has died: the kernel answers "transport endpoint is not connected" in them for ever. They are
 * taken off and mounted again, and so are their attachments, by the recovery plan. A keeper that ends because its view
 * was unmounted is no news.
 */
#include "base/log.h"
#include "mounts/recovery.h"
#include "mounts/registry_private.h"

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

static bool note_end(struct registry *registry, int64_t id)
{
    struct volume *volume = find_by_id(registry, id);
    if (!volume || volume->operation)
        return false;
    volume->keeper_pid = 0;
    if (!mount_table_find_target(registry_kernel(registry), volume->view))
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

/* The thread of the menders. */
void keepers_mend(void *data, void *user_data)
{
    g_autoptr(GError) error = NULL;
    if (registry_recover(user_data, NULL, false, tell_step, NULL, &error) < 0)
        log_error("%s", error->message);
}

int registry_keepers_fd(const struct registry *registry)
{
    return process_watch_fd(registry->keepers);
}

void registry_look_at_keepers(struct registry *registry)
{
    g_autoptr(GArray) ids = process_watch_read(registry->keepers);
    bool is_needed = false;

    g_mutex_lock(&registry->lock);
    for (guint i = 0; i < ids->len; i++)
        is_needed |= note_end(registry, g_array_index(ids, int64_t, i));
    g_mutex_unlock(&registry->lock);
    if (is_needed)
        g_thread_pool_push(registry->menders, registry, NULL);
}
