/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's memory: the rows of the table with the indexes over them, and operations. What is in here and what is
 * in the table is the same whenever the lock is free.
 */
#include "mounts/registry.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/program_path.h"
#include "mounts/container_private.h"
#include "mounts/registry_private.h"
#include "mounts/rootfs_private.h"
#include "sys/boot.h"
#include "sys/mount_run_dir.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static void operation_unref(struct operation *operation)
{
    if (--operation->n_refs)
        return;
    g_clear_error(&operation->error);
    g_free(operation);
}

void operation_begin(struct volume *volume, bool creates)
{
    g_assert(!volume->operation);
    volume->operation = g_new0(struct operation, 1);
    volume->operation->n_refs = 1;
    volume->operation->creates = creates;
}

void operation_end(struct registry *registry, struct volume *volume, GError *error)
{
    struct operation *operation = g_steal_pointer(&volume->operation);
    operation->done = true;
    operation->error = error;
    operation_unref(operation);
    g_cond_broadcast(&registry->changed);
}

void operation_wait(struct registry *registry, struct volume *volume, bool *ret_created, GError **ret_error)
{
    struct operation *operation = volume->operation;
    operation->n_refs++;
    while (!operation->done)
        g_cond_wait(&registry->changed, &registry->lock);
    *ret_created = operation->creates;
    *ret_error = operation->error ? g_error_copy(operation->error) : NULL;
    operation_unref(operation);
}

static GBytes *source_key(uint64_t device, GBytes *handle)
{
    gsize size = 0;
    const guint8 *data = g_bytes_get_data(handle, &size);
    GByteArray *key = g_byte_array_sized_new((guint)(sizeof(device) + size));
    g_byte_array_append(key, (const guint8 *)&device, sizeof(device));
    g_byte_array_append(key, data, (guint)size);
    return g_byte_array_free_to_bytes(key);
}

struct volume *registry_find_volume(struct registry *registry, const char *name)
{
    return g_hash_table_lookup(registry->volumes, name);
}

GPtrArray *registry_find_source(struct registry *registry, const struct file_id *id)
{
    g_autoptr(GBytes) key = source_key(id->device, id->handle);
    return g_hash_table_lookup(registry->by_source, key);
}

static void free_attachment(struct attachment *attachment)
{
    table_attachment_free(attachment->row);
    g_free(attachment);
}

static void free_volume(struct volume *volume)
{
    g_assert(!volume->operation);
    g_ptr_array_unref(volume->attachments);
    table_volume_free(volume->row);
    g_free(volume->view);
    g_free(volume->control);
    g_free(volume->problem);
    g_free(volume);
}

struct volume *registry_add_volume(struct registry *registry, struct table_volume *row)
{
    struct volume *volume = g_new0(struct volume, 1);
    volume->row = row;
    volume->view = g_strdup_printf("%s/views/%s", registry->run_dir, row->name);
    volume->control = g_strdup_printf("%s/control/%" G_GINT64_FORMAT ".sock", registry->run_dir, row->id);
    volume->attachments = g_ptr_array_new_with_free_func((GDestroyNotify)free_attachment);
    g_hash_table_insert(registry->volumes, row->name, volume);
    g_clear_pointer(&registry->sorted, g_ptr_array_unref);
    source_watch_volume(registry, volume);

    g_autoptr(GBytes) key = source_key(row->device, row->handle);
    GPtrArray *same = g_hash_table_lookup(registry->by_source, key);
    if (!same) {
        same = g_ptr_array_new();
        g_hash_table_insert(registry->by_source, g_bytes_ref(key), same);
    }
    g_ptr_array_add(same, volume);
    return volume;
}

void registry_forget_volume(struct registry *registry, struct volume *volume)
{
    while (volume->attachments->len)
        registry_forget_attachment(registry, volume->attachments->pdata[0]);
    g_clear_pointer(&registry->sorted, g_ptr_array_unref);
    source_watch_remove(registry->sources, volume->row->name);
    process_watch_remove(registry->keepers, volume->row->id);
    g_autoptr(GBytes) key = source_key(volume->row->device, volume->row->handle);
    GPtrArray *same = g_hash_table_lookup(registry->by_source, key);
    g_ptr_array_remove(same, volume);
    if (same->len == 0)
        g_hash_table_remove(registry->by_source, key);
    g_hash_table_remove(registry->volumes, volume->row->name);
}

static char *attachment_key(int64_t namespace, const char *target)
{
    return g_strdup_printf("%" G_GINT64_FORMAT ":%s", namespace, target);
}

/* A mount that a container's runtime makes has a target inside that container only: two may have the same. */
static char *key_of_row(const struct table_attachment *row)
{
    if (row->state == ROW_HANDED)
        return g_strdup_printf("handed:%s:%s", row->container ? row->container : "", row->target);
    return attachment_key(row->namespace, row->target);
}

struct attachment *registry_find_attachment(struct registry *registry, int64_t namespace, const char *target)
{
    g_autofree char *key = attachment_key(namespace, target);
    return g_hash_table_lookup(registry->by_target, key);
}

static void index_by_container(struct registry *registry, struct attachment *attachment)
{
    if (!attachment->row->container)
        return;
    GPtrArray *same = g_hash_table_lookup(registry->by_container, attachment->row->container);
    if (!same) {
        same = g_ptr_array_new();
        g_hash_table_insert(registry->by_container, g_strdup(attachment->row->container), same);
    }
    g_ptr_array_add(same, attachment);
}

static void unindex_by_container(struct registry *registry, struct attachment *attachment)
{
    if (!attachment->row->container)
        return;
    GPtrArray *same = g_hash_table_lookup(registry->by_container, attachment->row->container);
    g_ptr_array_remove(same, attachment);
    if (same->len == 0)
        g_hash_table_remove(registry->by_container, attachment->row->container);
}

struct attachment *registry_add_attachment(struct registry *registry, struct volume *volume,
                                           struct table_attachment *row)
{
    struct attachment *attachment = g_new0(struct attachment, 1);
    attachment->row = row;
    attachment->volume = volume;
    g_ptr_array_add(volume->attachments, attachment);
    g_hash_table_insert(registry->attachments, &row->id, attachment);
    g_hash_table_insert(registry->by_target, key_of_row(row), attachment);
    index_by_container(registry, attachment);
    return attachment;
}

void registry_forget_attachment(struct registry *registry, struct attachment *attachment)
{
    g_autofree char *key = key_of_row(attachment->row);
    if (g_hash_table_lookup(registry->by_target, key) == attachment)
        g_hash_table_remove(registry->by_target, key);
    unindex_by_container(registry, attachment);
    g_hash_table_remove(registry->attachments, &attachment->row->id);
    g_ptr_array_remove(attachment->volume->attachments, attachment);
}

/* The row's target turned out to be another path; the table knows. */
void registry_move_attachment(struct registry *registry, struct attachment *attachment, const char *target)
{
    g_autofree char *key = key_of_row(attachment->row);
    if (g_hash_table_lookup(registry->by_target, key) == attachment)
        g_hash_table_remove(registry->by_target, key);
    char *copy = g_strdup(target); /* it may be the very same */
    g_free(attachment->row->target);
    attachment->row->target = copy;
    g_hash_table_insert(registry->by_target, key_of_row(attachment->row), attachment);
}

int refuse_no_volume(const char *name, GError **error)
{
    return refuse(error, REFUSAL_NOT_FOUND, "volume \"%s\": no such volume; gidfs volume ls lists them", name);
}

int registry_get_idle_volume(struct registry *registry, const char *name, struct volume **ret_volume, GError **error)
{
    for (;;) {
        struct volume *volume = registry_find_volume(registry, name);
        if (!volume)
            return refuse_no_volume(name, error);
        if (!volume->operation) {
            *ret_volume = volume;
            return 0;
        }
        g_autoptr(GError) ignored = NULL; /* it is told to who began it */
        bool created = false;
        operation_wait(registry, volume, &created, &ignored);
    }
}

/* A read that fails leaves the table of before: what it says is as good as it gets. */
const struct mount_table *registry_kernel(struct registry *registry)
{
    if (mount_monitor_drain(registry->monitor) == 0)
        return registry->kernel;
    g_autoptr(GError) error = NULL;
    struct mount_table *read = NULL;
    if (mount_table_read(0, &read, &error) < 0) {
        log_warning_limited("%s", error->message);
        return registry->kernel;
    }
    mount_table_free(registry->kernel);
    registry->kernel = read;
    return read;
}

static int load_volumes(struct registry *registry, GHashTable *by_id, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_volumes(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL); /* the rows move into the registry */
    for (guint i = 0; i < rows->len; i++) {
        struct volume *volume = registry_add_volume(registry, rows->pdata[i]);
        g_hash_table_insert(by_id, &volume->row->id, volume);
        r = gid_book_load_volume(registry->gids, volume->row, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_attachments(struct registry *registry, GHashTable *by_id, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_attachments(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL);
    for (guint i = 0; i < rows->len; i++) {
        struct table_attachment *row = rows->pdata[i];
        registry_add_attachment(registry, g_hash_table_lookup(by_id, &row->volume_id), row);
    }
    return 0;
}

static int load_containers(struct registry *registry, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_containers(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL);
    for (guint i = 0; i < rows->len; i++)
        container_add(registry, rows->pdata[i]);
    return 0;
}

static int load(struct registry *registry, GError **error)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_autoptr(GPtrArray) quarantined = NULL, freed = NULL;
    int r = load_volumes(registry, by_id, error);
    if (r == 0)
        r = load_attachments(registry, by_id, error);
    if (r == 0)
        r = load_containers(registry, error);
    if (r == 0)
        r = table_load_quarantine(registry->table, &quarantined, error);
    if (r == 0)
        r = table_load_freed(registry->table, &freed, error);
    for (guint i = 0; r == 0 && i < quarantined->len; i++)
        r = gid_book_load_quarantined(registry->gids, g_steal_pointer(&quarantined->pdata[i]), error);
    for (guint i = 0; r == 0 && i < freed->len; i++)
        gid_book_load_freed(registry->gids, GPOINTER_TO_UINT(freed->pdata[i]));
    return r;
}

static int lock_state_dir(struct registry *registry, GError **error)
{
    g_autofree char *path = g_build_filename(registry->state_dir, "lock", NULL);
    if (g_mkdir_with_parents(registry->state_dir, 0755) < 0)
        return gidfs_error_errno(error, errno, "make the state directory %s", registry->state_dir);
    registry->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (registry->lock_fd < 0)
        return gidfs_error_errno(error, errno, "open %s", path);
    if (flock(registry->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return gidfs_error(error, errno == EWOULDBLOCK ? EBUSY : errno,
                           "another gidfsd runs with the state directory %s (%s is locked); stop it first, or give "
                           "another --state-dir",
                           registry->state_dir, path);
    return 0;
}

/*
 * Layers and uppers hold set-uid programs of images, which are none for the users of this host: nobody but root enters
 * STATE/rootfs and RUN/rootfs.
 */
static int make_rootfs_store(struct registry *registry, GError **error)
{
    g_autofree char *path = g_build_filename(registry->state_dir, "rootfs", NULL);
    if (g_mkdir(path, 0700) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "make %s", path);
    return 0;
}

static int make_run_directories(struct registry *registry, const char *run_dir, GError **error)
{
    int r = mount_run_dir_prepare(run_dir, &registry->run_dir, error);
    if (r < 0)
        return r;
    registry->view_dir = g_build_filename(registry->run_dir, "views", NULL);
    const char *views = registry->view_dir;
    g_autofree char *control = g_build_filename(registry->run_dir, "control", NULL);
    registry->rootfs_dir = g_build_filename(registry->run_dir, "rootfs", NULL);
    if ((g_mkdir(views, 0755) < 0 && errno != EEXIST) || (g_mkdir(control, 0700) < 0 && errno != EEXIST) ||
        (g_mkdir(registry->rootfs_dir, 0700) < 0 && errno != EEXIST))
        return gidfs_error_errno(error, errno, "make %s, %s and %s", views, control, registry->rootfs_dir);
    return 0;
}

static struct registry *allocate_registry(const struct registry_settings *settings)
{
    struct registry *registry = g_new0(struct registry, 1);
    g_mutex_init(&registry->lock);
    g_cond_init(&registry->changed);
    registry->volumes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)free_volume);
    registry->by_source = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
                                                (GDestroyNotify)g_ptr_array_unref);
    registry->attachments = g_hash_table_new(g_int64_hash, g_int64_equal);
    registry->by_target = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    registry->containers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)container_free);
    registry->by_container = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    registry->state_dir = g_canonicalize_filename(settings->state_dir, NULL);
    registry->view_program = program_path("gidfs-view");
    registry->rootfs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)rootfs_free);
    registry->works = works_new();
    registry->menders = keepers_new_menders(registry);
    registry->lock_fd = -1;
    return registry;
}

int registry_open(const struct registry_settings *settings, struct registry **ret_registry, GError **error)
{
    g_autoptr(registry_handle) registry = allocate_registry(settings);
    g_autofree char *path = g_build_filename(registry->state_dir, "gids.db", NULL);

    int r = gid_book_new(settings->gid_ranges, settings->reuse_last, &registry->gids, error);
    if (r == 0)
        r = boot_id_read(&registry->boot_id, error);
    if (r == 0)
        r = lock_state_dir(registry, error);
    if (r == 0)
        r = table_open(path, &registry->table, error);
    if (r == 0)
        r = make_rootfs_store(registry, error);
    if (r == 0)
        r = make_run_directories(registry, settings->run_dir, error);
    if (r == 0)
        r = mount_monitor_new(&registry->monitor, error);
    if (r == 0)
        r = mount_table_read(0, &registry->kernel, error);
    if (r == 0)
        r = source_watch_new(&registry->sources, error);
    if (r == 0)
        r = process_watch_new(&registry->keepers, error);
    if (r == 0)
        r = load(registry, error);
    if (r == 0)
        r = rootfs_load(registry, error);
    if (r == 0)
        r = blocks_open(registry, settings->subid_ranges, error);
    if (r < 0)
        return r;
    registry->exclusive_warns = settings->exclusive_warns;
    *ret_registry = g_steal_pointer(&registry);
    return 0;
}

void registry_close(struct registry *registry)
{
    if (!registry)
        return;
    g_thread_pool_free(registry->menders, TRUE, TRUE);
    if (registry->starter)
        g_thread_join(registry->starter);
    g_mutex_lock(&registry->lock);
    while (registry->n_probes)
        g_cond_wait(&registry->changed, &registry->lock);
    g_mutex_unlock(&registry->lock);
    g_hash_table_unref(registry->attachments);
    g_hash_table_unref(registry->by_target);
    g_hash_table_unref(registry->by_container);
    g_hash_table_unref(registry->containers);
    g_hash_table_unref(registry->by_source);
    g_clear_pointer(&registry->sorted, g_ptr_array_unref);
    g_hash_table_unref(registry->volumes);
    g_mutex_lock(&registry->lock);
    while (registry->n_running_works)
        g_cond_wait(&registry->changed, &registry->lock);
    g_mutex_unlock(&registry->lock);
    g_hash_table_unref(registry->works);
    g_hash_table_unref(registry->rootfs);
    blocks_close(registry);
    g_clear_pointer(&registry->gids, gid_book_free);
    g_clear_pointer(&registry->table, table_close);
    g_clear_pointer(&registry->monitor, mount_monitor_free);
    g_clear_pointer(&registry->sources, source_watch_free);
    g_clear_pointer(&registry->keepers, process_watch_free);
    g_clear_pointer(&registry->kernel, mount_table_free);
    fd_close(registry->lock_fd);
    g_free(registry->state_dir);
    g_free(registry->run_dir);
    g_free(registry->view_dir);
    g_free(registry->rootfs_dir);
    g_free(registry->boot_id);
    g_free(registry->view_program);
    g_mutex_clear(&registry->lock);
    g_cond_clear(&registry->changed);
    g_free(registry);
}

int registry_reconfigure(struct registry *registry, const struct registry_settings *settings, GError **error)
{
    g_mutex_lock(&registry->lock);
    int r = gid_book_set_ranges(registry->gids, settings->gid_ranges, error);
    if (r == 0)
        r = blocks_reconfigure(registry, settings->subid_ranges, error);
    if (r == 0)
        registry->exclusive_warns = settings->exclusive_warns;
    g_mutex_unlock(&registry->lock);
    return r;
}

const char *registry_run_dir(const struct registry *registry)
{
    return registry->run_dir;
}

const char *registry_state_dir(const struct registry *registry)
{
    return registry->state_dir;
}

const char *registry_view_program(const struct registry *registry)
{
    return registry->view_program;
}

const char *registry_boot_id(const struct registry *registry)
{
    return registry->boot_id;
}
