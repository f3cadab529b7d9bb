/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's memory of layered roots. What is in here and what is in the table is the same whenever the lock is
 * free. */
#include "mounts/rootfs.h"

#include "base/log.h"
#include "mounts/rootfs_private.h"

#include <string.h>

struct rootfs *rootfs_find(struct registry *registry, const char *id)
{
    return g_hash_table_lookup(registry->rootfs, id);
}

/* The same after every start: a view that is adopted listens on the socket of this name. */
static int64_t key_of(const char *id)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
    hash[15] = '\0'; /* an id is longer than the path of a socket may be */
    return -(int64_t)(g_ascii_strtoull(hash, NULL, 16) + 2);
}

bool rootfs_is_flat(const struct rootfs *rootfs)
{
    return strcmp(rootfs->row->kind, "flat") == 0;
}

struct rootfs *rootfs_add(struct registry *registry, struct table_rootfs *row)
{
    struct rootfs *rootfs = g_new0(struct rootfs, 1);

    rootfs->row = row;
    rootfs->key = key_of(row->id);
    rootfs->control = g_strdup_printf("%s/control/%" G_GINT64_FORMAT ".sock", registry->run_dir, rootfs->key);
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
    process_watch_remove(registry->keepers, rootfs->key);
    g_hash_table_remove(registry->rootfs, rootfs->row->id);
}

int rootfs_load(struct registry *registry, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_rootfs(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL); /* the rows move into the registry */
    for (guint i = 0; i < rows->len; i++) {
        struct table_rootfs *row = rows->pdata[i];
        rootfs_add(registry, row);
        if (r == 0 && row->view_gid)
            r = gid_book_load_gid(registry->gids, row->view_gid, error);
    }
    return r;
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

struct view_process rootfs_process(struct rootfs *rootfs)
{
    return (struct view_process){
        .kind = "rootfs",
        .name = rootfs->row->id,
        .path = rootfs->row->path,
        .control = rootfs->control,
        .key = rootfs->key,
        .keeper_pid = &rootfs->keeper_pid,
    };
}

bool rootfs_is_alive(struct registry *registry, struct rootfs *rootfs)
{
    const struct view_process view = rootfs_process(rootfs);
    return view_process_is_alive(registry, &view);
}

static struct rootfs *find_by_key(struct registry *registry, int64_t key)
{
    GHashTableIter iter;
    struct rootfs *rootfs;
    g_hash_table_iter_init(&iter, registry->rootfs);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&rootfs))
        if (rootfs->key == key)
            return rootfs;
    return NULL;
}

bool rootfs_has_died(struct registry *registry, int64_t key)
{
    struct rootfs *rootfs;
    while ((rootfs = find_by_key(registry, key)) && rootfs->busy)
        g_cond_wait(&registry->changed, &registry->lock);
    if (!rootfs || !mount_table_find_target(registry_kernel(registry), rootfs->row->path) ||
        rootfs_is_alive(registry, rootfs))
        return false;
    log_error("rootfs \"%s\": the keeper of its view died; mounting it again", rootfs->row->id);
    rootfs->dead = true;
    return true;
}

void rootfs_describe(struct registry *registry, const struct rootfs *rootfs, struct rootfs_info *ret_info)
{
    const struct table_rootfs *row = rootfs->row;

    *ret_info = (struct rootfs_info){.row = row, .state = row_state_to_string(row->state)};
    if (rootfs->busy)
        return;
    if (row->state == ROW_RELEASING) {
        ret_info->note = rootfs->problem;
    } else if (rootfs->problem) {
        ret_info->state = "failed";
        ret_info->note = rootfs->problem;
    } else if (row->state == ROW_MOUNTED && !rootfs_is_flat(rootfs) &&
               !mount_table_find_target(registry_kernel(registry), row->path)) {
        ret_info->state = "missing";
        ret_info->note = "the view was unmounted by somebody else; gidfs recover mounts it again";
    } else if (rootfs->dead) {
        ret_info->state = "dead";
        ret_info->note = "the view's processes are gone; it is being mounted again";
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
