/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/checks.h"

#include "core/path_rules.h"
#include "sys/mount_probe.h"
#include "sys/mount_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int resolve_directory(const char *what, const char *path, char **ret_path, GError **error)
{
    struct stat st;
    char *resolved = realpath(path, NULL);
    if (!resolved || stat(resolved, &st) < 0) {
        int errnum = errno;
        free(resolved);
        return gidfs_error_errno(error, errnum, "%s %s", what, path);
    }
    if (!S_ISDIR(st.st_mode)) {
        free(resolved);
        return gidfs_error(error, ENOTDIR, "%s %s: not a directory", what, path);
    }
    *ret_path = g_strdup(resolved);
    free(resolved);
    return 0;
}

/* Adds the mount points of live views. Asks the mount table only: a view may hang. */
static int add_views(GPtrArray *views, GError **error)
{
    g_autoptr(mount_table) table = NULL;
    int r = mount_table_read(0, &table, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *entry = mount_table_get(table, i);
        if (strcmp(entry->fstype, "fuse.gidfs") == 0)
            g_ptr_array_add(views, g_strdup(entry->target));
    }
    return 0;
}

/* Whether path, or a directory above it, lies on FUSE: the way to a path inside a view does. */
static bool leads_through_fuse(const char *path)
{
    g_autofree char *at = g_strdup(path);
    bool found = mount_probe_is_fuse(at);
    while (!found && strcmp(at, "/") != 0) {
        char *parent = g_path_get_dirname(at);
        g_free(at);
        at = parent;
        found = mount_probe_is_fuse(at);
    }
    return found;
}

/*
 * The mount points of the views that source or mount point may lie in, NULL-terminated. With ten thousand mounts their
 * table takes longer to read than a view to start: it is read only where there is FUSE on the way.
 */
static int list_views(const char *source, const char *mountpoint, GPtrArray **ret_views, GError **error)
{
    g_autoptr(GPtrArray) views = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *above = g_path_get_dirname(mountpoint); /* at the mount point itself a view may be stacked upon */
    int r = leads_through_fuse(source) || leads_through_fuse(above) ? add_views(views, error) : 0;
    if (r < 0)
        return r;
    g_ptr_array_add(views, NULL);
    *ret_views = g_steal_pointer(&views);
    return 0;
}

int checks_resolve(const char *source, bool nofollow, const char *mountpoint, char **ret_source, char **ret_mountpoint,
                   GError **error)
{
    g_autofree char *real_source = NULL, *real_mountpoint = NULL;
    g_autoptr(GPtrArray) views = NULL;
    int r = 0;
    if (source)
        r = resolve_directory("source", source, &real_source, error);
    if (r == 0 && source && nofollow && strcmp(source, real_source) != 0)
        r = gidfs_error(error, ELOOP, "source %s: it leads to %s, and links are not followed; name that", source,
                        real_source);
    if (r == 0)
        r = resolve_directory("mount point", mountpoint, &real_mountpoint, error);
    if (r == 0 && source)
        r = list_views(real_source, real_mountpoint, &views, error);
    if (r == 0 && source)
        r = path_check_view(real_source, real_mountpoint, (const char *const *)views->pdata, error);
    if (r < 0)
        return r;
    *ret_source = g_steal_pointer(&real_source);
    *ret_mountpoint = g_steal_pointer(&real_mountpoint);
    return 0;
}

/* Without links; what is not there is for layers_open to tell. */
static char *resolve_layer(const char *path)
{
    char *resolved = realpath(path, NULL);
    char *copy = g_strdup(resolved ? resolved : path);
    free(resolved);
    return copy;
}

int checks_layers(const struct view_options *options, const char *mountpoint, GError **error)
{
    if (!options->upper_dir)
        return 0;
    g_autofree char *upper = resolve_layer(options->upper_dir), *work = resolve_layer(options->work_dir);
    g_autoptr(GPtrArray) lowers = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < options->n_lower_dirs; i++)
        g_ptr_array_add(lowers, resolve_layer(options->lower_dirs[i]));
    g_ptr_array_add(lowers, NULL);
    return path_check_upper(upper, work, (const char *const *)lowers->pdata, mountpoint, error);
}
