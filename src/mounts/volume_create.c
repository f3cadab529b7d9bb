/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_create: one volume for one source (behaviours A3 to A6).
 *
 * The row is in the table, as prepared, before the view is started, and as mounted when it is up. A start that fails
 * takes the row out again: the state before. If even that fails the volume stays, as failed, and the next call for the
 * same source tries again.
 */
#include "base/fault.h"
#include "base/log.h"
#include "core/gid_range.h"
#include "core/path_rules.h"
#include "mounts/registry_private.h"
#include "sys/mount_probe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int check_request(const struct volume_request *request, GError **error)
{
    if (!request->name || volume_name_check(request->name, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (!request->source || request->source[0] != '/')
        return refuse(error, REFUSAL_BAD_REQUEST, "source \"%s\": not an absolute path",
                      request->source ? request->source : "");
    if (request->view_gid >= 0 && gid_check("gid", (uint64_t)request->view_gid, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    return 0;
}

/* Whether the file system that path lies on is a gidfs view. */
static bool lies_in_view(const char *path)
{
    g_autoptr(mount_table) table = NULL;
    struct stat st;

    if (stat(path, &st) < 0 || mount_table_read(0, &table, NULL) < 0)
        return false;
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *entry = mount_table_get(table, i);
        if (entry->dev == st.st_dev && strcmp(entry->fstype, "fuse.gidfs") == 0)
            return true;
    }
    return false;
}

/* The source's identity. What holds the views, or lies in them, is no source (behaviour B9). */
static int identify_source(struct registry *registry, const char *source, struct file_id *ret_id, char **ret_path,
                           GError **error)
{
    int r = file_id_of_directory(source, ret_id, ret_path, error);
    if (r < 0)
        g_prefix_error(error, "source ");
    if (r == -ENOENT)
        return refuse_as(error, REFUSAL_NOT_FOUND);
    if (r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (r < 0)
        return r;
    if (!g_utf8_validate(*ret_path, -1, NULL))
        return refuse(error, REFUSAL_BAD_REQUEST, "source: its path is not UTF-8");
    if (path_is_within(registry->run_dir, *ret_path))
        return refuse(error, REFUSAL_BAD_REQUEST,
                      "source %s: the service's run directory %s, which holds the views, lies in it; take a directory "
                      "without it",
                      *ret_path, registry->run_dir);
    if (mount_probe_is_fuse(*ret_path) && lies_in_view(*ret_path))
        return refuse(error, REFUSAL_BAD_REQUEST,
                      "source %s: it lies in a view of gidfs itself; take the directory that the view shows",
                      *ret_path);
    if (path_is_within(*ret_path, registry->run_dir))
        return refuse(error, REFUSAL_BAD_REQUEST,
                      "source %s: it lies in the service's run directory %s; take the source of the view itself",
                      *ret_path, registry->run_dir);
    return 0;
}

/* The volume that a request for this source means, or NULL: the one with the gid asked for, else the pool's. */
static struct volume *find_same(struct registry *registry, const struct file_id *id,
                                const struct volume_request *request)
{
    GPtrArray *same = registry_find_source(registry, id);
    struct volume *found = NULL;

    for (guint i = 0; same && i < same->len; i++) {
        struct volume *volume = same->pdata[i];
        if (request->view_gid >= 0 && volume->row->view_gid == request->view_gid)
            return volume;
        if (request->view_gid < 0 && (!found || !volume->row->gid_given))
            found = volume;
    }
    return found;
}

/* The name of the first option that was asked for and is another one in the volume, or NULL. */
static const char *differing_option(const struct table_volume *row, const struct volume_request *request)
{
    const struct {
        const char *name;
        int asked, is;
    } options[] = {
        {"kind", request->kind, (int)row->kind},           {"policy", request->policy, (int)row->policy},
        {"chgrp", request->chgrp, (int)row->chgrp},        {"cache", request->cache, (int)row->cache},
        {"read_only", request->read_only, row->read_only}, {"exclusive", request->exclusive, row->exclusive},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
        if (options[i].asked >= 0 && options[i].asked != options[i].is)
            return options[i].name;
    return NULL;
}

/* Brings the view of an idle volume up again; with the lock held before and after, not in between. */
static int mount_again(struct registry *registry, struct volume *volume, GError **error)
{
    GError *problem = NULL;

    operation_begin(volume, true);
    g_mutex_unlock(&registry->lock);
    int r = volume->dead ? view_unmount(registry, volume, true, &problem) : 0;
    if (r == 0)
        r = view_mount(registry, volume, &problem);
    g_mutex_lock(&registry->lock);
    volume->dead = volume->dead && r < 0;
    g_free(volume->problem);
    volume->problem = problem ? g_strdup(problem->message) : NULL;
    if (problem && error)
        *error = g_error_copy(problem);
    operation_end(registry, volume, problem);
    return r;
}

int volume_bring_up(struct registry *registry, struct volume *volume, GError **error)
{
    if (!volume->dead && mount_probe_is_mounted(volume->view))
        return 0;
    return mount_again(registry, volume, error);
}

static int reuse(struct registry *registry, struct volume *volume, const struct volume_request *request, GError **error)
{
    const char *option = differing_option(volume->row, request);
    if (option) {
        int r = refuse(error, REFUSAL_EXISTS,
                       "source %s has the volume \"%s\" already, with another %s; ask for the same, or remove it first",
                       volume->row->source, volume->row->name, option);
        if (error)
            refusal_set_details(*error, g_variant_new_parsed("{'volume': <%s>}", volume->row->name));
        return r;
    }
    return volume_bring_up(registry, volume, error);
}

int volume_take_given_gid(struct registry *registry, gid_t gid, GError **error)
{
    GHashTableIter iter;
    struct volume *volume;
    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&volume))
        if (volume->row->view_gid == gid && !volume->row->gid_given)
            return refuse(error, REFUSAL_BUSY, "gid %u: it was allocated to the volume \"%s\"; take another", gid,
                          volume->row->name);
    return gid_book_take_given(registry->gids, gid, error);
}

static int take_gid(struct registry *registry, const struct volume_request *request, gid_t *ret_gid, GError **error)
{
    if (request->view_gid < 0) {
        int r = gid_book_take(registry->gids, ret_gid, error);
        if (r < 0 && error)
            refusal_set_details(*error, gids_exhausted_details(registry));
        return r;
    }
    *ret_gid = (gid_t)request->view_gid;
    return volume_take_given_gid(registry, *ret_gid, error);
}

static struct table_volume *make_row(struct registry *registry, const struct volume_request *request,
                                     const struct file_id *id, const char *path, gid_t view_gid)
{
    struct table_volume *row = g_new0(struct table_volume, 1);
    row->name = g_strdup(request->name);
    row->source = g_strdup(path);
    row->device = id->device;
    row->handle = g_bytes_ref(id->handle);
    int kind = request->kind < 0 ? request->new_kind : request->kind;
    row->kind = kind < 0 ? VOLUME_PERSISTENT : (enum volume_kind)kind;
    row->policy = request->policy < 0 ? MODE_POLICY_SHARED : (enum mode_policy)request->policy;
    row->chgrp = request->chgrp < 0 ? VIEW_CHGRP_REFUSE : (enum view_chgrp)request->chgrp;
    row->cache = request->cache < 0 ? VIEW_CACHE_AUTO : (enum view_cache)request->cache;
    row->read_only = request->read_only > 0;
    row->exclusive = request->exclusive > 0;
    row->view_gid = view_gid;
    row->gid_given = request->view_gid >= 0;
    row->state = ROW_PREPARED;
    row->generation = 1;
    row->container = g_strdup(request->container);
    row->boot_id = g_strdup(registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    return row;
}

int volume_set_state(struct registry *registry, struct volume *volume, enum row_state state, GError **error)
{
    enum row_state before = volume->row->state;
    volume->row->state = state;
    int r = table_volume_update(registry->table, volume->row, error);
    if (r < 0)
        volume->row->state = before;
    return r;
}

/* Undoes a creation that failed with *problem: the state before, or a volume that says why it failed. */
static void undo(struct registry *registry, struct volume *volume, GError *problem)
{
    g_autoptr(GError) error = NULL;
    gid_t gid = volume->row->view_gid;

    if (table_volume_delete(registry->table, volume->row->id, &error) == 0) {
        operation_end(registry, volume, problem);
        registry_forget_volume(registry, volume);
        gid_book_drop(registry->gids, gid);
        return;
    }
    log_error("volume \"%s\": it failed and stays in the table: %s", volume->row->name, error->message);
    volume->problem = g_strdup(problem->message);
    operation_end(registry, volume, problem);
}

static int start_new(struct registry *registry, struct volume *volume, GError **error)
{
    GError *problem = NULL;

    operation_begin(volume, true);
    g_mutex_unlock(&registry->lock);
    FAULT_POINT("volume-create-prepared");
    int r = view_mount(registry, volume, &problem);
    g_mutex_lock(&registry->lock);
    if (r == 0) {
        r = volume_set_state(registry, volume, ROW_MOUNTED, &problem);
        if (r < 0)
            view_unmount(registry, volume, true, NULL);
    }
    FAULT_POINT("volume-create-mounted");
    if (r == 0) {
        operation_end(registry, volume, NULL);
        return 0;
    }
    if (error)
        *error = g_error_copy(problem);
    undo(registry, volume, problem);
    return r;
}

static int create_new(struct registry *registry, const struct volume_request *request, const struct file_id *id,
                      const char *path, struct volume **ret_volume, GError **error)
{
    struct volume *other = registry_find_volume(registry, request->name);
    gid_t view_gid;

    if (other)
        return refuse(error, REFUSAL_EXISTS,
                      "volume \"%s\": the name belongs to the volume of %s with gid %u; take another name",
                      request->name, other->row->source, other->row->view_gid);
    int r = take_gid(registry, request, &view_gid, error);
    if (r < 0)
        return r;
    g_autoptr(table_volume) row = make_row(registry, request, id, path, view_gid);
    r = table_volume_insert(registry->table, row, error);
    if (r < 0) {
        gid_book_drop(registry->gids, view_gid);
        return r;
    }
    *ret_volume = registry_add_volume(registry, g_steal_pointer(&row));
    return start_new(registry, *ret_volume, error);
}

/*
 * With the lock held. Waits for an operation on the same volume, and takes the result as its own when that one creates:
 * whoever asks at the same time gets the same answer, success or not.
 */
static int find_or_create(struct registry *registry, const struct volume_request *request, const struct file_id *id,
                          const char *path, struct volume **ret_volume, bool *ret_reused, GError **error)
{
    struct volume *volume;
    while ((volume = find_same(registry, id, request)) && volume->operation) {
        g_autoptr(GError) problem = NULL;
        bool created = false;
        operation_wait(registry, volume, &created, &problem);
        if (created && problem) {
            int r = problem->domain == REFUSAL_ERROR ? -refusal_errno(problem) : gidfs_error_to_errno(problem);
            g_propagate_error(error, g_steal_pointer(&problem));
            return r;
        }
    }
    *ret_reused = volume != NULL;
    *ret_volume = volume;
    if (volume)
        return reuse(registry, volume, request, error);
    return create_new(registry, request, id, path, ret_volume, error);
}

int volume_create(struct registry *registry, const struct volume_request *request, volume_visitor visit, void *data,
                  GError **error)
{
    g_auto(file_id) id = {0};
    g_autofree char *path = NULL;
    struct volume *volume = NULL;
    bool reused = false;

    int r = check_request(request, error);
    if (r == 0)
        r = identify_source(registry, request->source, &id, &path, error);
    if (r < 0)
        return r;

    g_mutex_lock(&registry->lock);
    GError *problem = NULL;
    r = find_or_create(registry, request, &id, path, &volume, &reused, &problem);
    if (r < 0 && refusal_of(problem) == REFUSAL_EXHAUSTED && gids_review_locked(registry) > 0) {
        g_clear_error(&problem);
        r = find_or_create(registry, request, &id, path, &volume, &reused, &problem);
    }
    if (problem)
        g_propagate_error(error, problem);
    if (r == 0 && visit)
        volume_describe(registry, volume, reused, visit, data);
    g_mutex_unlock(&registry->lock);
    return r;
}
