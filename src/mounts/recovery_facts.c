/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the registry and the kernel to the plain values that the plan is made of.
 *
 * Whether a source is gone, and whether anybody serves a view, takes time to find out and may hang with the file system
 * in question. It is probed beforehand, by threads, one operation on a volume each, and remembered in the volume.
 */
#include "mounts/container_private.h"
#include "mounts/recovery_private.h"
#include "mounts/rootfs_private.h"
#include "sys/ns_enter.h"

#include <errno.h>
#include <sys/stat.h>

#define PROBERS 4 /* a probe waits more than it computes */

/* What the threads of one round share. Those that are late outlive the wait for them. */
struct probing {
    struct registry *registry;
    unsigned int n_left;
    unsigned int n_refs;
};

/* The probe of one volume or container, by name: it may be gone when its turn comes. */
struct probe {
    char *volume;
    char *container;
};

static void probing_unref(struct probing *probing)
{
    if (--probing->n_refs == 0)
        g_free(probing);
}

static struct volume *find_idle(struct registry *registry, const char *name)
{
    struct volume *volume = registry_find_volume(registry, name);
    return volume && !volume->operation ? volume : NULL;
}

static void probe_volume(struct registry *registry, const char *name)
{
    struct volume *volume = find_idle(registry, name);
    if (!volume)
        return;
    volume->source_gone = source_find(registry, volume) == FILE_ID_GONE;
    volume = find_idle(registry, name);
    if (!volume)
        return;
    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    bool is_alive = view_is_alive(registry, volume);
    bool is_shown = is_alive && file_id_is_shown(volume->view, volume->row->source);
    g_mutex_lock(&registry->lock);
    volume->dead = !is_alive;
    volume->source_shown = is_shown;
    operation_end(registry, volume, NULL);
}

static void probe_container(struct registry *registry, const char *id)
{
    struct container *container = container_find(registry, id);
    g_autofree char *rootfs = container ? g_strdup(container->row->rootfs) : NULL;
    struct stat st;
    if (!rootfs)
        return;
    g_mutex_unlock(&registry->lock);
    bool is_gone = lstat(rootfs, &st) < 0 && errno == ENOENT;
    g_mutex_lock(&registry->lock);
    container = container_find(registry, id);
    if (container && g_strcmp0(container->row->rootfs, rootfs) == 0)
        container->rootfs_gone = is_gone;
}

/* A thread of the pool. */
static void probe_one(void *data, void *user_data)
{
    struct probing *probing = user_data;
    struct registry *registry = probing->registry;
    struct probe *probe = data;
    g_mutex_lock(&registry->lock);
    if (probe->volume)
        probe_volume(registry, probe->volume);
    else
        probe_container(registry, probe->container);
    probing->n_left--;
    registry->n_probes--;
    probing_unref(probing);
    g_cond_broadcast(&registry->changed);
    g_mutex_unlock(&registry->lock);
    g_free(probe->volume);
    g_free(probe->container);
    g_free(probe);
}

static void push_probe(GThreadPool *pool, const char *volume, const char *container)
{
    struct probe *probe = g_new0(struct probe, 1);
    *probe = (struct probe){g_strdup(volume), g_strdup(container)};
    g_thread_pool_push(pool, probe, NULL);
}

void recovery_probe(struct registry *registry, unsigned int patience_ms)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)patience_ms * 1000;
    unsigned int n = g_hash_table_size(registry->volumes) + g_hash_table_size(registry->containers);
    struct probing *probing = g_new0(struct probing, 1);
    *probing = (struct probing){.registry = registry, .n_left = n, .n_refs = n + 1};
    registry->n_probes += n;
    GThreadPool *pool = g_thread_pool_new(probe_one, probing, PROBERS, FALSE, NULL);
    GHashTableIter iter;
    char *name;

    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, (void **)&name, NULL))
        push_probe(pool, name, NULL);
    g_hash_table_iter_init(&iter, registry->containers);
    while (g_hash_table_iter_next(&iter, (void **)&name, NULL))
        push_probe(pool, NULL, name);
    while (probing->n_left && g_cond_wait_until(&registry->changed, &registry->lock, end_us))
        ;
    g_thread_pool_free(pool, FALSE, FALSE); /* when its threads are done */
    probing_unref(probing);
}

static enum recovery_state state_of(enum row_state state)
{
    static const enum recovery_state states[] = {
        [ROW_PREPARED] = RECOVERY_PREPARED,
        [ROW_MOUNTED] = RECOVERY_MOUNTED,
        [ROW_RELEASING] = RECOVERY_RELEASING,
        [ROW_HANDED] = RECOVERY_HANDED,
    };
    return states[state];
}

static bool is_same_boot(const struct registry *registry, const char *boot_id)
{
    return g_strcmp0(registry->boot_id, boot_id) == 0;
}

static void collect_volume(struct registry *registry, const struct volume *volume, GArray *array)
{
    const struct table_volume *row = volume->row;
    const struct recovery_volume fact = {
        .id = row->id,
        .name = row->name,
        .source = row->source,
        .view = volume->view,
        .container = row->container,
        .state = state_of(row->state),
        .sandbox = row->kind == VOLUME_SANDBOX,
        .source_gone = volume->source_gone,
        .source_shown = volume->source_shown,
        .view_dead = volume->dead,
        .busy = volume->operation != NULL,
        .same_boot = is_same_boot(registry, row->boot_id),
    };
    g_array_append_val(array, fact);
}

static void collect_attachment(struct registry *registry, const struct table_attachment *row, GHashTable *namespaces,
                               GArray *array)
{
    const struct recovery_attachment fact = {
        .id = row->id,
        .volume_id = row->volume_id,
        .target = row->target,
        .namespace = (uint64_t)row->namespace,
        .namespace_gone = row->namespace && !g_hash_table_contains(namespaces, &row->namespace),
        .container = row->container,
        .state = state_of(row->state),
        .mount_id = (int)row->mount_id,
        .same_boot = is_same_boot(registry, row->boot_id),
    };
    g_array_append_val(array, fact);
}

static void collect_container(struct registry *registry, const struct container *container, GArray *array)
{
    const struct table_container *row = container->row;
    const struct recovery_container fact = {
        .id = row->id,
        .parent = row->parent,
        .state = state_of(row->state),
        .rootfs_gone = container->rootfs_gone,
        .same_boot = is_same_boot(registry, row->boot_id),
    };
    g_array_append_val(array, fact);
}

/* Asking the control socket waits for nobody. */
static void collect_rootfs(struct registry *registry, struct rootfs *rootfs, GArray *array)
{
    const struct table_rootfs *row = rootfs->row;
    bool is_flat = rootfs_is_flat(rootfs);
    if (!is_flat && !rootfs->busy)
        rootfs->dead = !rootfs_is_alive(registry, rootfs);
    const struct recovery_rootfs fact = {
        .id = row->id,
        .path = row->path,
        .state = state_of(row->state),
        .flat = is_flat,
        .view_dead = rootfs->dead,
        .busy = rootfs->busy,
    };
    g_array_append_val(array, fact);
}

static void collect_mounts(const struct mount_table *table, int64_t namespace, GArray *array)
{
    for (size_t i = 0; i < mount_table_size(table); i++) {
        const struct mount_entry *entry = mount_table_get(table, i);
        const struct recovery_mount fact = {
            .id = entry->id,
            .namespace = (uint64_t) namespace,
            .dev = entry->dev,
            .target = entry->target,
            .source = entry->source,
            .fstype = entry->fstype,
            .covered = entry->covered,
        };
        g_array_append_val(array, fact);
    }
}

/* The mount table of the namespace that an attachment is in, once, if a process still is in that namespace. */
static void collect_namespace(const struct table_attachment *row, GHashTable *namespaces,
                              struct recovery_findings *findings)
{
    struct mount_table *table = NULL;
    pid_t pid;
    if (!row->namespace || g_hash_table_contains(namespaces, &row->namespace))
        return;
    if (ns_find_process((uint64_t)row->namespace, (pid_t)row->pid, &pid) < 0 || mount_table_read(pid, &table, NULL) < 0)
        return;
    g_ptr_array_add(findings->tables, table);
    g_hash_table_add(namespaces, (void *)&row->namespace);
    collect_mounts(table, row->namespace, findings->mounts);
}

static void collect_rows(struct registry *registry, struct recovery_findings *findings)
{
    g_autoptr(GHashTable) namespaces = g_hash_table_new(g_int64_hash, g_int64_equal);
    const GPtrArray *volumes = registry_volumes_by_name(registry);
    g_autoptr(GPtrArray) containers = registry_values(registry->containers);
    for (guint i = 0; i < volumes->len; i++) {
        const struct volume *volume = volumes->pdata[i];
        collect_volume(registry, volume, findings->volumes);
        for (guint j = 0; j < volume->attachments->len; j++)
            collect_namespace(((const struct attachment *)volume->attachments->pdata[j])->row, namespaces, findings);
        for (guint j = 0; j < volume->attachments->len; j++)
            collect_attachment(registry, ((const struct attachment *)volume->attachments->pdata[j])->row, namespaces,
                               findings->attachments);
    }
    for (guint i = 0; i < containers->len; i++)
        collect_container(registry, containers->pdata[i], findings->containers);
    g_autoptr(GPtrArray) rootfs = registry_values(registry->rootfs);
    for (guint i = 0; i < rootfs->len; i++)
        collect_rootfs(registry, rootfs->pdata[i], findings->rootfs);
}

int recovery_collect(struct registry *registry, const char *const *live, struct recovery_findings *ret_findings,
                     GError **error)
{
    struct mount_table *own = NULL;
    int r = mount_table_read(0, &own, error);
    if (r < 0)
        return r;
    struct recovery_findings *f = ret_findings;
    *f = (struct recovery_findings){
        .volumes = g_array_new(FALSE, FALSE, sizeof(struct recovery_volume)),
        .attachments = g_array_new(FALSE, FALSE, sizeof(struct recovery_attachment)),
        .containers = g_array_new(FALSE, FALSE, sizeof(struct recovery_container)),
        .rootfs = g_array_new(FALSE, FALSE, sizeof(struct recovery_rootfs)),
        .mounts = g_array_new(FALSE, FALSE, sizeof(struct recovery_mount)),
        .tables = g_ptr_array_new_with_free_func((GDestroyNotify)mount_table_free),
    };
    g_ptr_array_add(f->tables, own);
    collect_mounts(own, 0, f->mounts);
    collect_rows(registry, f);
    f->facts = (struct recovery_facts){
        .view_dir = registry->view_dir,
        .rootfs_dir = registry->rootfs_dir,
        .rootfs = (const struct recovery_rootfs *)(const void *)f->rootfs->data,
        .n_rootfs = f->rootfs->len,
        .volumes = (const struct recovery_volume *)(const void *)f->volumes->data,
        .n_volumes = f->volumes->len,
        .attachments = (const struct recovery_attachment *)(const void *)f->attachments->data,
        .n_attachments = f->attachments->len,
        .containers = (const struct recovery_container *)(const void *)f->containers->data,
        .n_containers = f->containers->len,
        .mounts = (const struct recovery_mount *)(const void *)f->mounts->data,
        .n_mounts = f->mounts->len,
        .live = live,
    };
    return 0;
}

void recovery_findings_clear(struct recovery_findings *findings)
{
    g_array_unref(findings->volumes);
    g_array_unref(findings->attachments);
    g_array_unref(findings->containers);
    g_array_unref(findings->rootfs);
    g_array_unref(findings->mounts);
    g_ptr_array_unref(findings->tables);
}
