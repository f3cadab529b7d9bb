/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_remove: the row says "releasing" before the first unmount and goes last, so that a removal that was
 * interrupted, or failed half-way, is tried again at recovery (behaviour D9). What is removed is the service's own
 * directory of the rootfs, or the tree that it wrote; layers, and an upper that the caller gave, are never touched.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/program_path.h"
#include "core/path_rules.h"
#include "mounts/container_private.h"
#include "mounts/rootfs_private.h"
#include "sys/launch.h"

#define REMOVE_TIMEOUT_MS (60 * 60 * 1000)

static int remove_directory(const char *path, GError **error)
{
    g_autofree char *program = program_path("gidfs-rootfs");
    const char *argv[] = {program, "remove", path, NULL};

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return 0;
    return launch_program(argv, REMOVE_TIMEOUT_MS, error);
}

/*
 * What a flattening made. One that was not finished has made nothing at its target, where somebody else's files may be
 * by now, but the directory beside it that provision/flatten.c works in.
 */
static int remove_flat(const struct rootfs *rootfs, bool is_finished, GError **error)
{
    const char *path = rootfs->row->path;
    if (is_finished)
        return remove_directory(path, error);
    g_autofree char *parent = g_path_get_dirname(path), *name = g_path_get_basename(path);
    g_autofree char *hidden = g_strdup_printf("%s/.%s.gidfs-flatten", parent, name);
    return remove_directory(hidden, error);
}

static int take_apart(struct registry *registry, struct rootfs *rootfs, bool force, bool *ret_unmounted, GError **error)
{
    const struct view_process view = rootfs_process(rootfs);
    bool is_flat = rootfs_is_flat(rootfs);
    int r = is_flat ? 0 : view_process_stop(registry, &view, force, error);
    *ret_unmounted = r == 0;
    FAULT_POINT("rootfs-remove-unmounted");
    if (r == 0 && is_flat)
        r = remove_flat(rootfs, rootfs->row->state == ROW_RELEASING, error);
    return r == 0 ? remove_directory(rootfs->own_dir, error) : r;
}

int rootfs_unmount(struct registry *registry, struct rootfs *rootfs, bool force, GError **error)
{
    const struct view_process view = rootfs_process(rootfs);
    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    int r = view_process_stop(registry, &view, force, error);
    g_mutex_lock(&registry->lock);
    rootfs->dead = rootfs->dead && r < 0;
    rootfs_end(registry, rootfs);
    return r;
}

static int delete_row(struct table *table, void *data, GError **error)
{
    const struct rootfs *rootfs = data;
    return table_rootfs_delete(table, rootfs->row->id, error);
}

static int forget(struct registry *registry, struct rootfs *rootfs, GError **error)
{
    const struct gid_release release = {
        .id = rootfs->key,
        .name = rootfs->row->id,
        .source = rootfs->row->path,
        .view_gid = rootfs->row->view_gid,
        .gid_given = true,
    };
    int r = gid_release_with_rows(registry, &release, delete_row, rootfs, error);
    if (r == 0)
        rootfs_forget(registry, rootfs);
    return r;
}

int rootfs_release(struct registry *registry, struct rootfs *rootfs, bool force, GError **error)
{
    enum row_state before = rootfs->row->state;
    GError *problem = NULL;
    bool is_unmounted = false, is_unfinished = rootfs_is_flat(rootfs) && before == ROW_PREPARED;

    int r = is_unfinished ? 0 : rootfs_set_state(registry, rootfs, ROW_RELEASING, error);
    if (r < 0)
        return r;
    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    FAULT_POINT("rootfs-remove-releasing");
    r = take_apart(registry, rootfs, force, &is_unmounted, &problem);
    g_mutex_lock(&registry->lock);
    rootfs_end(registry, rootfs);
    if (r < 0 && !is_unmounted && rootfs_set_state(registry, rootfs, before, NULL) < 0)
        log_error("rootfs \"%s\": stays as releasing", rootfs->row->id);
    if (r == 0)
        return forget(registry, rootfs, error);
    if (is_unmounted) {
        g_free(rootfs->problem);
        rootfs->problem = g_strdup(problem->message);
    }
    g_propagate_error(error, problem);
    return r;
}

/* Containers that were prepared with it as their root are told in the details. */
static int check_unused(struct registry *registry, const struct rootfs *rootfs, GError **error)
{
    g_autoptr(GPtrArray) users = g_ptr_array_new();
    GHashTableIter iter;
    const struct container *container;
    g_hash_table_iter_init(&iter, registry->containers);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&container))
        if (container->row->rootfs && path_is_within(container->row->rootfs, rootfs->row->path))
            g_ptr_array_add(users, container->row->id);
    if (users->len == 0)
        return 0;
    int r =
        refuse(error, REFUSAL_BUSY, "rootfs \"%s\" is busy: the container \"%s\" has it; clean that up, or use force",
               rootfs->row->id, (const char *)users->pdata[0]);
    GVariant *list = g_variant_new_strv((const char *const *)users->pdata, (gssize)users->len);
    refusal_set_details(error ? *error : NULL, g_variant_new_parsed("{'containers': <%*>}", list));
    return r;
}

int rootfs_remove(struct registry *registry, const char *id, bool force, rootfs_visitor visit, void *data,
                  GError **error)
{
    struct rootfs *rootfs = NULL;
    struct rootfs_info info;

    g_mutex_lock(&registry->lock);
    int r = rootfs_get_idle(registry, id, &rootfs, error);
    if (r == 0 && !force)
        r = check_unused(registry, rootfs, error);
    if (r == 0) {
        rootfs_describe(registry, rootfs, &info);
        visit(&info, data);
        r = rootfs_release(registry, rootfs, force, error);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}
