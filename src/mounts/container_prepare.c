/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare (behaviour C3). The container's row is in the table before its first volume is made, as prepared: a crash
 * from there on, and any failure, ends in the state before. Sandbox volumes are found by the container that they were
 * made for.
 */
#include "base/fault.h"
#include "base/log.h"
#include "core/path_rules.h"
#include "mounts/container_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int check_rootfs(const char *rootfs, char **ret_real, GError **error)
{
    char resolved[PATH_MAX];
    struct stat st;
    if (rootfs[0] != '/')
        return refuse(error, REFUSAL_BAD_REQUEST, "rootfs \"%s\": not an absolute path", rootfs);
    if (!realpath(rootfs, resolved) || stat(resolved, &st) < 0)
        return refuse(error, REFUSAL_NOT_FOUND, "rootfs %s: %s", rootfs, g_strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return refuse(error, REFUSAL_BAD_REQUEST, "rootfs %s: not a directory", rootfs);
    if (strcmp(resolved, "/") == 0)
        return refuse(error, REFUSAL_BAD_REQUEST, "rootfs /: that is the host's root; leave it out");
    *ret_real = g_strdup(resolved);
    return 0;
}

int container_set_place(struct table_container *row, const char *rootfs, int64_t pid, GError **error)
{
    g_autofree char *real = NULL;
    int64_t namespace;
    int r = rootfs ? check_rootfs(rootfs, &real, error) : 0;
    if (r == 0)
        r = attachment_namespace(pid, &namespace, error);
    if (r < 0)
        return r;
    if (rootfs) {
        g_free(row->rootfs);
        row->rootfs = g_steal_pointer(&real);
    }
    row->pid = pid;
    return 0;
}

static int make_row(struct registry *registry, const struct container_request *request,
                    struct table_container **ret_row, GError **error)
{
    g_autoptr(table_container) row = g_new0(struct table_container, 1);
    row->id = g_strdup(request->id);
    row->user = request->user;
    row->task_user = request->task_user;
    row->root_gids = request->root_gids;
    row->parent = g_strdup(request->parent);
    row->state = ROW_PREPARED;
    row->generation = 1;
    row->boot_id = g_strdup(registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    int r = container_set_place(row, request->rootfs, request->pid, error);
    if (r == 0)
        *ret_row = g_steal_pointer(&row);
    return r;
}

struct table_container *container_copy_row(const struct table_container *row)
{
    struct table_container *copy = g_memdup2(row, sizeof(*row));
    copy->id = g_strdup(row->id);
    copy->rootfs = g_strdup(row->rootfs);
    copy->parent = g_strdup(row->parent);
    copy->boot_id = g_strdup(row->boot_id);
    return copy;
}

/* Puts the row into the table and takes the container; with the lock held. */
static int reserve(struct registry *registry, struct table_container *row, struct container **ret_container,
                   GError **error)
{
    while (registry->is_recovering)
        g_cond_wait(&registry->changed, &registry->lock);
    if (container_find(registry, row->id))
        return refuse(error, REFUSAL_EXISTS,
                      "container \"%s\": it is prepared already; restart it, or clean it up first", row->id);
    if (row->parent && !container_find(registry, row->parent))
        return refuse(error, REFUSAL_NOT_FOUND, "container \"%s\": its parent \"%s\" is not known; prepare that first",
                      row->id, row->parent);
    int r = table_container_insert(registry->table, row, error);
    if (r < 0)
        return r;
    container_add(registry, container_copy_row(row));
    *ret_container = container_begin(registry, row->id);
    return 0;
}

int container_set_state(struct registry *registry, struct container *container, enum row_state state, GError **error)
{
    struct table_container changed = *container->row;
    changed.state = state;
    int r = table_container_update(registry->table, &changed, error);
    if (r == 0)
        container->row->state = state;
    return r;
}

/* Volumes and mounts; without the lock. */
static int fill(struct container_change *change, const struct container_request *request, GError **error)
{
    FAULT_POINT("container-row");
    int r = wanted_resolve(change->registry, request->id, request->volumes, request->n_volumes, &change->wanted, error);
    FAULT_POINT("container-volumes");
    return r < 0 ? r : container_change(change, error);
}

/* The last step, and the answer; or the state before. With the lock held. */
static int finish(struct container_change *change, int r, container_visitor visit, void *data, GError **error)
{
    struct registry *registry = change->registry;
    FAULT_POINT("container-done");
    if (r == 0)
        r = container_set_state(registry, change->container, ROW_MOUNTED, error);
    if (r == 0) {
        g_ptr_array_add(change->warnings, NULL);
        container_end(registry, change->container);
        if (visit)
            container_describe(registry, change->container, (const char *const *)change->warnings->pdata, visit, data);
        return 0;
    }
    struct container_cleaned cleaned = {0};
    g_autoptr(GError) problem = NULL;
    if (container_take_down(registry, change->container, &cleaned, &problem) < 0)
        log_error("container \"%s\": its preparation failed and cannot be undone: %s", change->container->row->id,
                  problem->message);
    container_cleaned_clear(&cleaned);
    return r;
}

int container_prepare(struct registry *registry, const struct container_request *request, container_visitor visit,
                      void *data, GError **error)
{
    struct container_change change = {.registry = registry};
    int r = container_id_check(request->id, error) < 0 ? refuse_as(error, REFUSAL_BAD_REQUEST) : 0;
    if (r == 0)
        r = wanted_check(request->volumes, request->n_volumes, error);
    if (r == 0)
        r = make_row(registry, request, &change.row, error);
    if (r < 0)
        return r;

    g_mutex_lock(&registry->lock);
    r = reserve(registry, change.row, &change.container, error);
    g_mutex_unlock(&registry->lock);
    if (r == 0) {
        change.warnings = g_ptr_array_new_with_free_func(g_free);
        r = fill(&change, request, error);
        g_mutex_lock(&registry->lock);
        r = finish(&change, r, visit, data, error);
        g_mutex_unlock(&registry->lock);
        g_clear_pointer(&change.wanted, g_ptr_array_unref);
        g_ptr_array_unref(change.warnings);
    }
    table_container_free(change.row);
    return r;
}
