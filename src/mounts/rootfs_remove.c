/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_remove: the row says "releasing" before the first unmount and goes last, so that a removal that was
 * interrupted, or failed half-way, is tried again at recovery (behaviour D9). What is removed is the service's own
 * directory of the rootfs, or the tree that it wrote; layers, and an upper that the caller gave, are never touched.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/program_path.h"
#include "mounts/rootfs_private.h"
#include "sys/launch.h"
#include "sys/mount_api.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define REMOVE_TIMEOUT_MS (60 * 60 * 1000)

static bool is_flat(const struct rootfs *rootfs)
{
    return strcmp(rootfs->row->kind, "flat") == 0;
}

/* Without the lock. One that is not mounted is as good as unmounted. */
static int unmount_view(struct rootfs *rootfs, bool force, GError **error)
{
    g_autoptr(GError) problem = NULL;
    const char *path = rootfs->row->path;

    int r = mount_unmount(path, 0, force ? MOUNT_UNMOUNT_DETACH : MOUNT_UNMOUNT_PLAIN, &problem);
    if (r == -EBUSY)
        return refuse(error, REFUSAL_BUSY,
                      "rootfs \"%s\" is busy: a process, or a mount, is in %s; end it, or use force", rootfs->row->id,
                      path);
    if (r < 0 && r != -EINVAL && r != -ENOENT) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return r;
    }
    if (g_rmdir(path) < 0 && errno != ENOENT)
        log_warning("%s: it cannot be removed: %s", path, g_strerror(errno));
    return 0;
}

static int remove_directory(const char *path, GError **error)
{
    g_autofree char *program = program_path("gidfs-rootfs");
    const char *argv[] = {program, "remove", path, NULL};

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return 0;
    return launch_program(argv, REMOVE_TIMEOUT_MS, error);
}

static int take_apart(struct rootfs *rootfs, bool force, GError **error)
{
    int r = is_flat(rootfs) ? 0 : unmount_view(rootfs, force, error);
    FAULT_POINT("rootfs-remove-unmounted");
    if (r == 0 && is_flat(rootfs))
        r = remove_directory(rootfs->row->path, error);
    return r == 0 ? remove_directory(rootfs->own_dir, error) : r;
}

int rootfs_unmount(struct registry *registry, struct rootfs *rootfs, bool force, GError **error)
{
    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    int r = unmount_view(rootfs, force, error);
    g_mutex_lock(&registry->lock);
    rootfs->dead = rootfs->dead && r < 0;
    rootfs_end(registry, rootfs);
    return r;
}

int rootfs_release(struct registry *registry, struct rootfs *rootfs, bool force, GError **error)
{
    enum row_state before = rootfs->row->state;
    GError *problem = NULL;

    int r = rootfs_set_state(registry, rootfs, ROW_RELEASING, error);
    if (r < 0)
        return r;
    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    FAULT_POINT("rootfs-remove-releasing");
    r = take_apart(rootfs, force, &problem);
    g_mutex_lock(&registry->lock);
    rootfs_end(registry, rootfs);
    if (r == -EBUSY && rootfs_set_state(registry, rootfs, before, NULL) < 0)
        log_error("rootfs \"%s\": stays as releasing", rootfs->row->id);
    if (r == 0)
        r = table_rootfs_delete(registry->table, rootfs->row->id, &problem);
    if (problem)
        g_propagate_error(error, problem);
    if (r == 0) {
        g_unlink(rootfs->control);
        rootfs_forget(registry, rootfs);
    }
    return r;
}

int rootfs_remove(struct registry *registry, const char *id, bool force, rootfs_visitor visit, void *data,
                  GError **error)
{
    struct rootfs *rootfs = NULL;
    struct rootfs_info info;

    g_mutex_lock(&registry->lock);
    int r = rootfs_get_idle(registry, id, &rootfs, error);
    if (r == 0) {
        rootfs_describe(registry, rootfs, &info);
        visit(&info, data);
        r = rootfs_release(registry, rootfs, force, error);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}
