/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's memory of layered roots. What is in here and what is in the table is the same whenever the lock is
 * free. */
#include "mounts/rootfs.h"

#include "mounts/rootfs_private.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <string.h>

struct rootfs *rootfs_find(struct registry *registry, const char *id)
{
    return g_hash_table_lookup(registry->rootfs, id);
}

struct rootfs *rootfs_add(struct registry *registry, struct table_rootfs *row)
{
    struct rootfs *rootfs = g_new0(struct rootfs, 1);
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA1, row->id, -1);

    rootfs->row = row;
    key[16] = '\0'; /* an id is longer than the path of a socket may be */
    rootfs->control = g_strdup_printf("%s/control/r-%s.sock", registry->run_dir, key);
    rootfs->own_dir = g_build_filename(registry->state_dir, "rootfs", row->id, NULL);
    g_hash_table_insert(registry->rootfs, row->id, rootfs);
    return rootfs;
}

void rootfs_free(struct rootfs *rootfs)
{
    table_rootfs_free(rootfs->row);
    g_free(rootfs->control);
    g_free(rootfs->own_dir);
    g_free(rootfs->problem);
    g_free(rootfs);
}

void rootfs_forget(struct registry *registry, struct rootfs *rootfs)
{
    g_hash_table_remove(registry->rootfs, rootfs->row->id);
}

int rootfs_load(struct registry *registry, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_rootfs(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL); /* the rows move into the registry */
    for (guint i = 0; i < rows->len; i++)
        rootfs_add(registry, rows->pdata[i]);
    return 0;
}

static int refuse_no_rootfs(const char *id, GError **error)
{
    return refuse(error, REFUSAL_NOT_FOUND, "rootfs \"%s\": no such rootfs; gidfs rootfs ls lists them", id);
}

int rootfs_get_idle(struct registry *registry, const char *id, struct rootfs **ret_rootfs, GError **error)
{
    struct rootfs *rootfs = rootfs_find(registry, id);
    if (!rootfs)
        return refuse_no_rootfs(id, error);
    if (rootfs->busy)
        return refuse(error, REFUSAL_BUSY, "rootfs \"%s\" is busy: it is being made or removed; try again", id);
    *ret_rootfs = rootfs;
    return 0;
}

void rootfs_end(struct registry *registry, struct rootfs *rootfs)
{
    rootfs->busy = false;
    g_cond_broadcast(&registry->changed);
}

int rootfs_set_state(struct registry *registry, struct rootfs *rootfs, enum row_state state, GError **error)
{
    int r = table_rootfs_set_state(registry->table, rootfs->row->id, state, registry->boot_id, error);
    if (r < 0)
        return r;
    rootfs->row->state = state;
    g_free(rootfs->row->boot_id);
    rootfs->row->boot_id = g_strdup(registry->boot_id);
    return 0;
}

bool rootfs_is_alive(const struct rootfs *rootfs)
{
    pid_t pid;
    return unix_peer_pid(rootfs->control, &pid) != -ECONNREFUSED;
}

void rootfs_describe(struct registry *registry, const struct rootfs *rootfs, struct rootfs_info *ret_info)
{
    const struct table_rootfs *row = rootfs->row;

    *ret_info = (struct rootfs_info){.row = row, .state = row_state_to_string(row->state)};
    if (rootfs->busy)
        return;
    if (rootfs->problem) {
        ret_info->state = "failed";
        ret_info->note = rootfs->problem;
    } else if (row->state == ROW_MOUNTED && strcmp(row->kind, "view") == 0 &&
               !mount_table_find_target(registry_kernel(registry), row->path)) {
        ret_info->state = "missing";
        ret_info->note = "the view was unmounted by somebody else; gidfs recover mounts it again";
    }
}

int rootfs_visit(struct registry *registry, const char *id, rootfs_visitor visit, void *data, GError **error)
{
    struct rootfs_info info;
    int r = 0;

    g_mutex_lock(&registry->lock);
    struct rootfs *rootfs = rootfs_find(registry, id);
    if (rootfs) {
        rootfs_describe(registry, rootfs, &info);
        visit(&info, data);
    } else {
        r = refuse_no_rootfs(id, error);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
    const struct rootfs *left = *(struct rootfs *const *)a, *right = *(struct rootfs *const *)b;
    return strcmp(left->row->id, right->row->id);
}

void rootfs_visit_all(struct registry *registry, rootfs_visitor visit, void *data)
{
    struct rootfs_info info;

    g_mutex_lock(&registry->lock);
    g_autoptr(GPtrArray) all = registry_values(registry->rootfs);
    g_ptr_array_sort(all, compare_ids);
    for (guint i = 0; i < all->len; i++) {
        rootfs_describe(registry, all->pdata[i], &info);
        visit(&info, data);
    }
    g_mutex_unlock(&registry->lock);
}
