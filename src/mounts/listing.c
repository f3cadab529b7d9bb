/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of volumes and attachments (behaviour C11): the registry's rows, compared with the kernel's mount
 * table. No view is touched, so that one that hangs holds no listing up. The mount table is read again only when the
 * kernel says that it has changed, which is asked once for each listing; looking up a mount in it is one hash.
 *
 * What a verb has just mounted is not compared: the whole table would be read for each mount that is made.
 */
#include "mounts/registry_private.h"

#include <string.h>
#include <sys/stat.h>

GPtrArray *registry_values(GHashTable *table)
{
    GPtrArray *values = g_ptr_array_sized_new(g_hash_table_size(table));
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(values, value);
    return values;
}

/* In another namespace only its process is looked at: its mount table would have to be read. */
static void describe_elsewhere(const struct table_attachment *row, struct attachment_info *info)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/ns/mnt", row->pid);
    struct stat st;

    if (stat(path, &st) == 0 && (int64_t)st.st_ino == row->namespace)
        return;
    info->state = "gone";
    info->note = "the process in whose mount namespace it was is gone";
}

static void describe_attachment(struct registry *registry, const struct attachment *attachment, bool is_compared,
                                struct attachment_info *ret_info)
{
    const struct table_attachment *row = attachment->row;

    *ret_info = (struct attachment_info){
        .row = row,
        .volume = attachment->volume->row,
        .view = attachment->volume->view,
        .state = row_state_to_string(row->state),
    };
    if (row->state != ROW_MOUNTED || !is_compared)
        return;
    if (row->namespace) {
        describe_elsewhere(row, ret_info);
        return;
    }
    const struct mount_entry *entry = mount_table_find_target(registry->kernel, row->target);
    if (entry && (row->mount_id == 0 || entry->id == row->mount_id))
        return;
    if (mount_table_find_id(registry->kernel, (int)row->mount_id)) {
        ret_info->note = "something else is mounted over it";
    } else {
        ret_info->state = "gone";
        ret_info->note = "unmounted by somebody else";
    }
}

void attachment_describe(struct registry *registry, const struct attachment *attachment, bool is_compared, bool reused,
                         attachment_visitor visit, void *data)
{
    struct attachment_info info;
    if (is_compared)
        registry_kernel(registry);
    describe_attachment(registry, attachment, is_compared, &info);
    info.reused = reused;
    visit(&info, data);
}

/* The state and note of a volume's view. */
static void describe_view(struct registry *registry, const struct volume *volume, bool is_compared,
                          struct volume_info *info)
{
    bool in_kernel = !is_compared || mount_table_find_target(registry->kernel, volume->view);

    info->state = row_state_to_string(volume->row->state);
    if (!gid_book_in_range(registry->gids, volume->row->view_gid) && !volume->row->gid_given)
        info->note = "its gid is out of the configured range";
    if (volume->operation)
        return;
    if (volume->problem) {
        info->state = "failed";
        info->note = volume->problem;
    } else if (volume->row->state == ROW_MOUNTED && !in_kernel) {
        info->state = "missing";
        info->note = "the view was unmounted by somebody else; volume create mounts it again";
    } else if (volume->dead) {
        info->state = "dead";
        info->note = "the view's processes are gone; it is being mounted again";
    }
}

enum {
    WITH_KERNEL = 1 << 0, /* compared with the mount table, which is up to date */
    WITH_WORKER = 1 << 1, /* a file to read: too much for each of a list */
    IS_REUSED = 1 << 2,
};

static void describe(struct registry *registry, struct volume *volume, unsigned int how, volume_visitor visit,
                     void *data)
{
    struct volume_info info = {.row = volume->row,
                               .view = volume->view,
                               .control = volume->control,
                               .n_attachments = volume->attachments->len,
                               .mechanism = "fuse",
                               .reason = "an id map neither gives all files one group nor changes modes",
                               .keeper_pid = g_atomic_int_get(&volume->keeper_pid),
                               .reused = how & IS_REUSED};
    if (how & WITH_WORKER && info.keeper_pid)
        info.worker_pid = process_first_child(info.keeper_pid);
    g_autofree struct attachment_info *attachments = g_new0(struct attachment_info, volume->attachments->len);

    for (guint i = 0; i < volume->attachments->len; i++)
        describe_attachment(registry, volume->attachments->pdata[i], how & WITH_KERNEL, &attachments[i]);
    info.attachments = attachments;
    describe_view(registry, volume, how & WITH_KERNEL, &info);
    visit(&info, data);
}

void volume_describe(struct registry *registry, struct volume *volume, bool reused, volume_visitor visit, void *data)
{
    describe(registry, volume, WITH_WORKER | (reused ? IS_REUSED : 0), visit, data);
}

int volume_visit(struct registry *registry, const char *name, volume_visitor visit, void *data, GError **error)
{
    int r = 0;
    g_mutex_lock(&registry->lock);
    struct volume *volume = registry_find_volume(registry, name);
    if (volume) {
        registry_kernel(registry);
        describe(registry, volume, WITH_KERNEL | WITH_WORKER, visit, data);
    } else {
        r = refuse_no_volume(name, error);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}

void registry_count(struct registry *registry, struct registry_counts *ret_counts)
{
    g_mutex_lock(&registry->lock);
    *ret_counts = (struct registry_counts){
        .n_volumes = g_hash_table_size(registry->volumes),
        .n_attachments = g_hash_table_size(registry->attachments),
        .n_rootfs = g_hash_table_size(registry->rootfs),
        .n_containers = g_hash_table_size(registry->containers),
    };
    g_mutex_unlock(&registry->lock);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    const struct volume *left = *(struct volume *const *)a, *right = *(struct volume *const *)b;
    return strcmp(left->row->name, right->row->name);
}

const GPtrArray *registry_volumes_by_name(struct registry *registry)
{
    if (!registry->sorted) {
        registry->sorted = registry_values(registry->volumes);
        g_ptr_array_sort(registry->sorted, compare_names);
    }
    return registry->sorted;
}

void volume_visit_all(struct registry *registry, volume_visitor visit, void *data)
{
    g_mutex_lock(&registry->lock);
    registry_kernel(registry);
    const GPtrArray *volumes = registry_volumes_by_name(registry);
    for (guint i = 0; i < volumes->len; i++)
        describe(registry, volumes->pdata[i], WITH_KERNEL, visit, data);
    g_mutex_unlock(&registry->lock);
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
    const struct attachment *left = *(struct attachment *const *)a, *right = *(struct attachment *const *)b;
    return (left->row->id > right->row->id) - (left->row->id < right->row->id);
}

static bool is_wanted(const struct attachment *attachment, const char *volume, const char *container)
{
    return (!volume || strcmp(attachment->volume->row->name, volume) == 0) &&
           (!container || g_strcmp0(attachment->row->container, container) == 0);
}

void attachment_visit_all(struct registry *registry, const char *volume, const char *container,
                          attachment_visitor visit, void *data)
{
    g_mutex_lock(&registry->lock);
    g_autoptr(GPtrArray) attachments = registry_values(registry->attachments);
    g_ptr_array_sort(attachments, compare_ids);
    for (guint i = 0; i < attachments->len; i++)
        if (is_wanted(attachments->pdata[i], volume, container))
            attachment_describe(registry, attachments->pdata[i], true, false, visit, data);
    g_mutex_unlock(&registry->lock);
}
