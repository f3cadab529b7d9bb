/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update and restart (behaviours C3 and C4): the container is there, its mounts change.
 */
#include "base/log.h"
#include "mounts/container_private.h"

/* Takes the container for a verb; with the lock held. */
static int begin(struct registry *registry, const char *id, struct container **ret_container, GError **error)
{
    struct container *container = container_begin(registry, id);
    if (!container)
        return refuse(error, REFUSAL_NOT_FOUND, "container \"%s\": no such container; prepare it first", id);
    if (container->row->state != ROW_MOUNTED) {
        container_end(registry, container);
        return refuse(error, REFUSAL_BUSY, "container \"%s\": a cleanup of it was not finished; clean it up again", id);
    }
    *ret_container = container;
    return 0;
}

/* The answer, and the volumes that nothing uses any more; with the lock held. */
static void finish(struct container_change *change, int r, container_visitor visit, void *data)
{
    struct registry *registry = change->registry;
    g_autoptr(GPtrArray) released = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) failures = container_failures_new();
    container_release_volumes(registry, change->container->row->id, released, failures);
    container_log_failures(change->container->row->id, failures);
    container_end(registry, change->container);
    g_ptr_array_add(change->warnings, NULL);
    if (r == 0 && visit)
        container_describe(registry, change->container, (const char *const *)change->warnings->pdata, visit, data);
}

/* r: how it went so far. */
static int run(struct container_change *change, int r, container_visitor visit, void *data, GError **error)
{
    change->warnings = g_ptr_array_new_with_free_func(g_free);
    if (r == 0)
        r = container_change(change, error);
    g_mutex_lock(&change->registry->lock);
    finish(change, r, visit, data);
    g_mutex_unlock(&change->registry->lock);
    g_ptr_array_unref(change->warnings);
    g_clear_pointer(&change->wanted, g_ptr_array_unref);
    table_container_free(change->row);
    return r;
}

int container_update(struct registry *registry, const char *id, const struct container_volume *volumes,
                     size_t n_volumes, container_visitor visit, void *data, GError **error)
{
    struct container_change change = {.registry = registry};
    int r = wanted_check(volumes, n_volumes, error);
    if (r < 0)
        return r;
    g_mutex_lock(&registry->lock);
    r = begin(registry, id, &change.container, error);
    g_mutex_unlock(&registry->lock);
    if (r < 0)
        return r;

    /* a volume that is made for a list which is refused then goes again, in run */
    r = wanted_resolve(registry, id, volumes, n_volumes, &change.wanted, error);
    if (r == 0) {
        g_mutex_lock(&registry->lock);
        change.row = container_copy_row(change.container->row);
        g_mutex_unlock(&registry->lock);
    }
    return run(&change, r, visit, data, error);
}

static int64_t choose(int64_t asked, int64_t before)
{
    return asked == CONTAINER_UNCHANGED ? before : asked;
}

static int restarted_row(const struct container *container, const struct container_restart *restart,
                         struct table_container **ret_row, GError **error)
{
    g_autoptr(table_container) row = container_copy_row(container->row);
    row->user = choose(restart->user, row->user);
    row->task_user = choose(restart->task_user, row->task_user);
    row->generation++;
    int r = container_set_place(row, restart->rootfs, choose(restart->pid, row->pid), error);
    if (r == 0)
        *ret_row = g_steal_pointer(&row);
    return r;
}

int container_restart(struct registry *registry, const char *id, const struct container_restart *restart,
                      container_visitor visit, void *data, GError **error)
{
    struct container_change change = {.registry = registry, .replace = true, .force = true};
    g_mutex_lock(&registry->lock);
    int r = begin(registry, id, &change.container, error);
    if (r == 0) {
        r = restarted_row(change.container, restart, &change.row, error);
        if (r < 0)
            container_end(registry, change.container);
        else
            change.wanted = wanted_of(registry, id);
    }
    g_mutex_unlock(&registry->lock);
    return r < 0 ? r : run(&change, 0, visit, data, error);
}
