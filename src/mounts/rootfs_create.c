/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_create: the row is in the table, as prepared, before a tar is unpacked or a view is started; what fails is
 * taken out again, with what was unpacked.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/program_path.h"
#include "core/gid_range.h"
#include "core/path_rules.h"
#include "core/view_options.h"
#include "mounts/rootfs_private.h"
#include "sys/launch.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNPACK_TIMEOUT_MS (60 * 60 * 1000)

static int check_maps(const struct rootfs_request *request, GError **error)
{
    g_autoptr(id_map) uids = NULL;
    g_autoptr(id_map) gids = NULL;
    enum mode_policy policy;

    if (request->uid_map && id_map_parse(request->uid_map, &uids, error) < 0)
        return -EINVAL;
    if (request->gid_map && id_map_parse(request->gid_map, &gids, error) < 0)
        return -EINVAL;
    if (request->policy && mode_policy_from_string(request->policy, &policy, error) < 0)
        return -EINVAL;
    if (request->view_gid >= 0 && gid_check("gid", (uint64_t)request->view_gid, error) < 0)
        return -EINVAL;
    if (request->policy && request->view_gid < 0)
        return gidfs_error(error, EINVAL, "policy: it says what modes go with a gid; give gid too");
    return 0;
}

static int check_upper(const struct rootfs_request *request, GError **error)
{
    if (request->whiteouts && strcmp(request->whiteouts, "overlay") != 0 && strcmp(request->whiteouts, "aufs") != 0)
        return gidfs_error(error, EINVAL, "whiteouts %s: no such word; known are overlay and aufs", request->whiteouts);
    if (!request->upper != !request->work)
        return gidfs_error(error, EINVAL, "upper and work: give both, or none");
    if (request->upper && request->read_only)
        return gidfs_error(error, EINVAL, "upper: a read-only rootfs has none");
    if (request->upper && (request->upper[0] != '/' || request->work[0] != '/'))
        return gidfs_error(error, EINVAL, "upper and work: not absolute paths");
    return 0;
}

/* Two views that write to one upper would destroy it. With the lock held. */
static int check_upper_is_free(struct registry *registry, const struct table_rootfs *row, GError **error)
{
    GHashTableIter iter;
    const struct rootfs *other;
    g_hash_table_iter_init(&iter, registry->rootfs);
    while (row->upper && g_hash_table_iter_next(&iter, NULL, (void **)&other))
        if (g_strcmp0(other->row->upper, row->upper) == 0 || g_strcmp0(other->row->work, row->work) == 0)
            return refuse(error, REFUSAL_BUSY, "upper %s: the rootfs \"%s\" has this upper or work directory",
                          row->upper, other->row->id);
    return 0;
}

static int check_request(const struct rootfs_request *request, GError **error)
{
    if (container_id_check(request->id, error) < 0 || check_maps(request, error) < 0 || check_upper(request, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (request->n_layers < 1 || request->n_layers > VIEW_MAX_LAYERS)
        return refuse(error, REFUSAL_BAD_REQUEST, "layers: %zu of them; a rootfs has 1 to %d", request->n_layers,
                      VIEW_MAX_LAYERS);
    return 0;
}

/* Where a layer lies: its directory without links, or, for a tar, the one that it will be unpacked to. */
static int locate_layer(const char *own_dir, const char *layer, size_t position, GPtrArray *directories, GError **error)
{
    char resolved[PATH_MAX];
    struct stat st;

    if (layer[0] != '/')
        return refuse(error, REFUSAL_BAD_REQUEST, "layer \"%s\": not an absolute path", layer);
    if (!realpath(layer, resolved) || stat(resolved, &st) < 0)
        return refuse(error, REFUSAL_NOT_FOUND, "layer %s: %s", layer, g_strerror(errno));
    if (S_ISREG(st.st_mode)) {
        g_autofree char *name = g_strdup_printf("%zu", position);
        g_ptr_array_add(directories, g_build_filename(own_dir, "layers", name, NULL));
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return refuse(error, REFUSAL_BAD_REQUEST, "layer %s: neither a directory nor a tar", layer);
    if (path_is_within(own_dir, resolved))
        return refuse(error, REFUSAL_BAD_REQUEST, "layer %s: the service's own directory %s lies in it; take another",
                      layer, own_dir);
    g_ptr_array_add(directories, g_strdup(resolved));
    return 0;
}

static int locate_layers(const struct rootfs_request *request, const char *own_dir, GStrv *ret_layers, GError **error)
{
    g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);
    int r = 0;

    for (size_t i = 0; i < request->n_layers && r == 0; i++)
        r = locate_layer(own_dir, request->layers[i], i, directories, error);
    if (r < 0)
        return r;
    g_ptr_array_add(directories, NULL);
    *ret_layers = (GStrv)g_ptr_array_steal(directories, NULL);
    return 0;
}

static struct table_rootfs *make_row(struct registry *registry, const struct rootfs_request *request,
                                     const char *own_dir, GStrv layers)
{
    struct table_rootfs *row = g_new0(struct table_rootfs, 1);
    row->id = g_strdup(request->id);
    row->kind = g_strdup("view");
    row->path = g_build_filename(registry->rootfs_dir, request->id, NULL);
    row->layers = layers;
    if (!request->read_only) {
        row->upper = request->upper ? g_strdup(request->upper) : g_build_filename(own_dir, "upper", NULL);
        row->work = request->work ? g_strdup(request->work) : g_build_filename(own_dir, "work", NULL);
    }
    row->uid_map = g_strdup(request->uid_map);
    row->gid_map = g_strdup(request->gid_map);
    row->policy = g_strdup(request->view_gid < 0 ? NULL : request->policy ? request->policy : "shared");
    row->whiteouts = g_strdup(request->whiteouts ? request->whiteouts : "overlay");
    row->view_gid = request->view_gid < 0 ? 0 : (gid_t)request->view_gid;
    row->read_only = request->read_only;
    row->state = ROW_PREPARED;
    row->boot_id = g_strdup(registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    return row;
}

/* The layers as a view has them, the top first; the strings are the row's. */
static char **top_first(const struct table_rootfs *row)
{
    guint n = g_strv_length(row->layers);
    char **dirs = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
        dirs[i] = row->layers[n - 1 - i];
    return dirs;
}

/* The row was checked when it was made. */
static char *options_of(const struct rootfs *rootfs)
{
    const struct table_rootfs *row = rootfs->row;
    g_autofree char **dirs = top_first(row);
    g_autoptr(id_map) uids = NULL;
    g_autoptr(id_map) gids = NULL;
    struct view_options options = {
        .has_gid = row->view_gid != 0,
        .view_gid = row->view_gid,
        .control = rootfs->control,
        .flags = VIEW_NODEV | (row->read_only ? VIEW_READ_ONLY : 0), /* programs of a root may be set-uid */
        .lower_dirs = dirs,
        .n_lower_dirs = g_strv_length(dirs),
        .upper_dir = row->upper,
        .work_dir = row->work,
        .whiteouts = g_strcmp0(row->whiteouts, "aufs") == 0 ? VIEW_WHITEOUTS_AUFS : VIEW_WHITEOUTS_OVERLAY,
        .fsname = (char *)"gidfs",
    };

    if (row->uid_map)
        id_map_parse(row->uid_map, &uids, NULL);
    if (row->gid_map)
        id_map_parse(row->gid_map, &gids, NULL);
    if (row->policy)
        mode_policy_from_string(row->policy, &options.policy, NULL);
    options.uid_map = uids;
    options.gid_map = gids;
    return view_options_to_string(&options);
}

static int make_directory(const char *path, GError **error)
{
    if (path && g_mkdir_with_parents(path, 0755) < 0)
        return gidfs_error_errno(error, errno, "make %s", path);
    return 0;
}

/*
 * An upper of our own has the owner and mode of the top layer's root: they are what the view's root shows. It appears
 * with them by a rename, so that one which a crash left is not taken for complete.
 */
static int make_upper(const struct rootfs *rootfs, GError **error)
{
    const char *upper = rootfs->row->upper;
    struct stat st;
    if (!upper || !path_is_within(upper, rootfs->own_dir) || g_file_test(upper, G_FILE_TEST_EXISTS))
        return make_directory(upper, error);
    const char *top = rootfs->row->layers[g_strv_length(rootfs->row->layers) - 1];
    g_autofree char *new = g_strdup_printf("%s.new", upper);
    int r = make_directory(new, error);
    if (r == 0 && stat(top, &st) < 0)
        return gidfs_error_errno(error, errno, "layer %s", top);
    if (r == 0 &&
        (chown(new, st.st_uid, st.st_gid) < 0 || chmod(new, st.st_mode & 07777) < 0 || g_rename(new, upper) < 0))
        return gidfs_error_errno(error, errno, "make the upper %s", upper);
    return r;
}

int rootfs_mount(struct registry *registry, struct rootfs *rootfs, GError **error)
{
    const struct view_process view = rootfs_process(rootfs);
    g_autofree char *options = options_of(rootfs);
    int r = make_upper(rootfs, error);
    if (r == 0)
        r = make_directory(rootfs->row->work, error);
    return r < 0 ? r : view_process_start(registry, &view, options, NULL, error);
}

static int unpack_layer(const char *tar, const char *directory, GError **error)
{
    g_autofree char *program = program_path("gidfs-rootfs");
    const char *argv[] = {program, "unpack", tar, directory, NULL};
    if (make_directory(directory, error) < 0)
        return -EIO;
    int r = launch_program(argv, UNPACK_TIMEOUT_MS, error);
    return r < 0 ? refuse_as(error, REFUSAL_BAD_REQUEST) : 0; /* as a rule it is no tar */
}

static int unpack_layers(struct rootfs *rootfs, const struct rootfs_request *request, GError **error)
{
    int r = 0;
    for (size_t i = 0; i < request->n_layers && r == 0; i++)
        if (path_is_within(rootfs->row->layers[i], rootfs->own_dir))
            r = unpack_layer(request->layers[i], rootfs->row->layers[i], error);
    return r;
}

/* Takes out what failed; if even that fails it stays, as failed, for rootfs rm and recovery. */
static void undo(struct registry *registry, struct rootfs *rootfs, const GError *problem)
{
    g_autoptr(GError) error = NULL;
    if (rootfs_release(registry, rootfs, true, &error) == 0)
        return;
    log_error("rootfs \"%s\": it failed and stays in the table: %s", rootfs->row->id, error->message);
    g_free(rootfs->problem);
    rootfs->problem = g_strdup(problem->message);
}

/* Unpacks and mounts a rootfs whose row is in the table; with the lock held before and after, not in between. */
static int finish(struct registry *registry, struct rootfs *rootfs, const struct rootfs_request *request,
                  GError **error)
{
    GError *problem = NULL;

    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    FAULT_POINT("rootfs-create-prepared");
    int r = unpack_layers(rootfs, request, &problem);
    if (r == 0)
        r = rootfs_mount(registry, rootfs, &problem);
    FAULT_POINT("rootfs-create-mounted");
    g_mutex_lock(&registry->lock);
    if (r == 0)
        r = rootfs_set_state(registry, rootfs, ROW_MOUNTED, &problem);
    rootfs_end(registry, rootfs);
    if (r < 0) {
        undo(registry, rootfs, problem);
        g_propagate_error(error, problem);
    }
    return r;
}

static int add_and_finish(struct registry *registry, const struct rootfs_request *request, struct table_rootfs *new_row,
                          struct rootfs **ret_rootfs, GError **error)
{
    g_autoptr(table_rootfs) row = new_row;
    if (rootfs_find(registry, request->id))
        return refuse(error, REFUSAL_EXISTS, "rootfs \"%s\": the id is taken; remove it first, or take another",
                      request->id);
    int r = check_upper_is_free(registry, row, error);
    if (r == 0 && row->view_gid)
        r = volume_take_given_gid(registry, row->view_gid, error);
    if (r < 0)
        return r;
    r = table_rootfs_insert(registry->table, row, error);
    if (r < 0) {
        if (row->view_gid)
            gid_book_drop(registry->gids, row->view_gid);
        return r;
    }
    *ret_rootfs = rootfs_add(registry, g_steal_pointer(&row));
    return finish(registry, *ret_rootfs, request, error);
}

int rootfs_create(struct registry *registry, const struct rootfs_request *request, rootfs_visitor visit, void *data,
                  GError **error)
{
    struct rootfs *rootfs = NULL;
    struct rootfs_info info;
    GStrv layers = NULL;

    int r = check_request(request, error);
    if (r < 0)
        return r;
    g_autofree char *own_dir = g_build_filename(registry->state_dir, "rootfs", request->id, NULL);
    r = locate_layers(request, own_dir, &layers, error);
    if (r < 0)
        return r;
    g_mutex_lock(&registry->lock);
    r = add_and_finish(registry, request, make_row(registry, request, own_dir, layers), &rootfs, error);
    if (r == 0 && visit) {
        rootfs_describe(registry, rootfs, &info);
        visit(&info, data);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}
