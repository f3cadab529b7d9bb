/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening (behaviour D9): gidfs-rootfs does the work, in a process of its own, and tells its progress line by line;
 * a thread here listens to it. Works that have ended are kept for a while, so that whoever asked can hear of the end.
 */
#include "base/log.h"
#include "base/program_path.h"
#include "core/path_rules.h"
#include "core/view_options.h"
#include "mounts/rootfs_private.h"
#include "sys/launch.h"

#include <stdio.h>

#define KEEP_US (10 * 60 * G_USEC_PER_SEC)

struct work {
    char *id;
    char *rootfs_id;
    enum work_state state;
    uint64_t done_entries, total_entries, done_bytes, total_bytes;
    GError *error;
    guint64 version; /* one more with each change */
    gint64 ended_us;
};

/* What the thread of a work has for itself. */
struct flattening {
    struct registry *registry;
    char *work_id;
    char *rootfs_id;
    GStrv layers;
    char *target;
};

static void work_free(struct work *work)
{
    g_free(work->id);
    g_free(work->rootfs_id);
    g_clear_error(&work->error);
    g_free(work);
}

GHashTable *works_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)work_free);
}

static gboolean is_old(gpointer key, gpointer value, gpointer now_us)
{
    const struct work *work = value;
    return work->state != WORK_RUNNING && *(gint64 *)now_us - work->ended_us > KEEP_US;
}

/* With the lock held. */
static struct work *add_work(struct registry *registry, const char *rootfs_id)
{
    gint64 now_us = g_get_monotonic_time();
    struct work *work = g_new0(struct work, 1);

    g_hash_table_foreach_remove(registry->works, is_old, &now_us);
    work->id = g_strdup_printf("op-%u", ++registry->n_works);
    work->rootfs_id = g_strdup(rootfs_id);
    g_hash_table_insert(registry->works, work->id, work);
    return work;
}

static void change(struct registry *registry, struct work *work)
{
    work->version++;
    g_cond_broadcast(&registry->changed);
}

/* A line of gidfs-rootfs: progress, or what it complains of. */
static void on_line(const char *line, void *data)
{
    const struct flattening *flattening = data;
    unsigned long long done_entries, total_entries, done_bytes, total_bytes;

    if (sscanf(line, "{\"done_entries\":%llu,\"total_entries\":%llu,\"done_bytes\":%llu,\"total_bytes\":%llu}",
               &done_entries, &total_entries, &done_bytes, &total_bytes) != 4)
        return;
    g_mutex_lock(&flattening->registry->lock);
    struct work *work = g_hash_table_lookup(flattening->registry->works, flattening->work_id);
    work->done_entries = done_entries;
    work->total_entries = total_entries;
    work->done_bytes = done_bytes;
    work->total_bytes = total_bytes;
    change(flattening->registry, work);
    g_mutex_unlock(&flattening->registry->lock);
}

static int run(struct flattening *flattening, GError **error)
{
    g_autofree char *program = program_path("gidfs-rootfs");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, (char *)"flatten");
    g_ptr_array_add(argv, (char *)"--progress");
    g_ptr_array_add(argv, (char *)"json");
    for (char **layer = flattening->layers; *layer; layer++) {
        g_ptr_array_add(argv, (char *)"--layer");
        g_ptr_array_add(argv, *layer);
    }
    g_ptr_array_add(argv, flattening->target);
    g_ptr_array_add(argv, NULL);
    return launch_and_listen((const char *const *)argv->pdata, on_line, flattening, error);
}

/* The tree is there, or nothing is; with the lock held. */
static int record(struct registry *registry, struct rootfs *rootfs, bool is_done, GError **error)
{
    rootfs_end(registry, rootfs);
    if (is_done)
        return rootfs_set_state(registry, rootfs, ROW_MOUNTED, error);
    int r = table_rootfs_delete(registry->table, rootfs->row->id, error);
    if (r == 0)
        rootfs_forget(registry, rootfs);
    return r;
}

static void flattening_free(struct flattening *flattening)
{
    g_free(flattening->work_id);
    g_free(flattening->rootfs_id);
    g_strfreev(flattening->layers);
    g_free(flattening->target);
    g_free(flattening);
}

static void *flatten_in_thread(void *data)
{
    struct flattening *flattening = data;
    struct registry *registry = flattening->registry;
    GError *problem = NULL;
    g_autoptr(GError) ignored = NULL;

    bool is_done = run(flattening, &problem) == 0;
    g_mutex_lock(&registry->lock);
    struct rootfs *rootfs = rootfs_find(registry, flattening->rootfs_id);
    if (record(registry, rootfs, is_done, problem ? &ignored : &problem) < 0)
        log_error("%s", ignored ? ignored->message : problem->message);
    struct work *work = g_hash_table_lookup(registry->works, flattening->work_id);
    work->state = problem ? WORK_FAILED : WORK_DONE;
    work->error = problem;
    work->ended_us = g_get_monotonic_time();
    registry->n_running_works--;
    change(registry, work);
    g_mutex_unlock(&registry->lock);
    flattening_free(flattening);
    return NULL;
}

/* An id that says where the tree is: what may not be in an id becomes "-". */
static char *id_of_target(const char *target)
{
    g_autofree char *name = g_path_get_basename(target);
    char *id = g_strdup_printf("flat-%s", name);
    return g_strcanon(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_.-", '-');
}

static struct table_rootfs *make_row(struct registry *registry, const char *id, const char *const *layers,
                                     size_t n_layers, const char *target)
{
    struct table_rootfs *row = g_new0(struct table_rootfs, 1);
    row->id = g_strdup(id);
    row->kind = g_strdup("flat");
    row->path = g_strdup(target);
    row->layers = g_new0(char *, n_layers + 1);
    for (size_t i = 0; i < n_layers; i++)
        row->layers[i] = g_strdup(layers[i]);
    row->state = ROW_PREPARED;
    row->boot_id = g_strdup(registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    return row;
}

static int check(const char *id, const char *const *layers, size_t n_layers, const char *target, GError **error)
{
    if (container_id_check(id, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (n_layers < 1 || n_layers > VIEW_MAX_LAYERS)
        return refuse(error, REFUSAL_BAD_REQUEST, "layers: %zu of them; a rootfs has 1 to %d", n_layers,
                      VIEW_MAX_LAYERS);
    for (size_t i = 0; i < n_layers; i++) {
        if (layers[i][0] != '/')
            return refuse(error, REFUSAL_BAD_REQUEST, "layer \"%s\": not an absolute path", layers[i]);
        if (!g_file_test(layers[i], G_FILE_TEST_EXISTS))
            return refuse(error, REFUSAL_NOT_FOUND, "layer %s: no such directory or tar", layers[i]);
    }
    if (!g_file_test(target, G_FILE_TEST_EXISTS))
        return 0;
    g_autoptr(GDir) directory = g_dir_open(target, 0, NULL);
    if (!directory || g_dir_read_name(directory))
        return refuse(error, REFUSAL_EXISTS, "target %s: it exists and is no empty directory", target);
    return 0;
}

/* With the lock held: the row, and the thread that does what it says. */
static int begin(struct registry *registry, struct table_rootfs *new_row, char **ret_operation, GError **error)
{
    g_autoptr(table_rootfs) row = new_row;

    if (rootfs_find(registry, row->id))
        return refuse(error, REFUSAL_EXISTS, "rootfs \"%s\": the id is taken; remove it first, or take another",
                      row->id);
    int r = table_rootfs_insert(registry->table, row, error);
    if (r < 0)
        return r;
    struct flattening *flattening = g_new0(struct flattening, 1);
    flattening->registry = registry;
    flattening->rootfs_id = g_strdup(row->id);
    flattening->layers = g_strdupv(row->layers);
    flattening->target = g_strdup(row->path);
    flattening->work_id = g_strdup(add_work(registry, row->id)->id);
    *ret_operation = g_strdup(flattening->work_id);
    rootfs_add(registry, g_steal_pointer(&row))->busy = true;
    registry->n_running_works++;
    g_thread_unref(g_thread_new("flatten", flatten_in_thread, flattening));
    return 0;
}

int rootfs_flatten(struct registry *registry, const char *id, const char *const *layers, size_t n_layers,
                   const char *target, char **ret_id, char **ret_operation, GError **error)
{
    g_autofree char *path = NULL;

    if (path_normalize("target", target, &path, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    g_autofree char *chosen = id ? g_strdup(id) : id_of_target(path);
    int r = check(chosen, layers, n_layers, path, error);
    if (r < 0)
        return r;
    g_mutex_lock(&registry->lock);
    r = begin(registry, make_row(registry, chosen, layers, n_layers, path), ret_operation, error);
    g_mutex_unlock(&registry->lock);
    if (r == 0)
        *ret_id = g_steal_pointer(&chosen);
    return r;
}

static void show(struct registry *registry, const struct work *work, work_visitor visit, void *data)
{
    struct rootfs_info made;
    struct work_info info = {
        .id = work->id,
        .what = "flatten",
        .state = work->state,
        .done_entries = work->done_entries,
        .total_entries = work->total_entries,
        .done_bytes = work->done_bytes,
        .total_bytes = work->total_bytes,
        .error = work->error,
    };
    struct rootfs *rootfs = work->state == WORK_DONE ? rootfs_find(registry, work->rootfs_id) : NULL;
    if (rootfs) {
        rootfs_describe(registry, rootfs, &made);
        info.made = &made;
    }
    visit(&info, data);
}

int work_visit(struct registry *registry, const char *id, unsigned int wait_ms, work_visitor visit, void *data,
               GError **error)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    int r = 0;

    g_mutex_lock(&registry->lock);
    struct work *work = g_hash_table_lookup(registry->works, id);
    guint64 version = work ? work->version : 0;
    while (work && work->state == WORK_RUNNING && work->version == version &&
           g_cond_wait_until(&registry->changed, &registry->lock, end_us))
        work = g_hash_table_lookup(registry->works, id);
    if (work)
        show(registry, work, visit, data);
    else
        r = refuse(error, REFUSAL_NOT_FOUND, "operation \"%s\": no such operation, or it ended long ago", id);
    g_mutex_unlock(&registry->lock);
    return r;
}
