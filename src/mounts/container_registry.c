/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers in memory, who works on them, and how they are shown.
 */
#include "base/log.h"
#include "mounts/container_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *container_apply_to_string(enum container_apply_to apply_to)
{
    static const char *const words[] = {"process", "task", "none"};
    return words[apply_to];
}

void container_free(struct container *container)
{
    table_container_free(container->row);
    g_free(container);
}

struct container *container_find(struct registry *registry, const char *id)
{
    return g_hash_table_lookup(registry->containers, id);
}

/* The key under which a rootfs is watched; no volume has a name like that. */
#define WATCH_PREFIX "container/"

void container_watch_rootfs(struct registry *registry, const struct container *container)
{
    const struct table_container *row = container->row;
    g_autofree char *key = g_strconcat(WATCH_PREFIX, row->id, NULL);
    g_autoptr(GError) error = NULL;
    if (!row->rootfs)
        source_watch_remove(registry->sources, key);
    else if (source_watch_add(registry->sources, key, row->rootfs, &error) < 0)
        log_warning("container \"%s\": the removal of its root will not be noticed: %s", row->id, error->message);
}

bool container_look_at_rootfs(struct registry *registry, const char *key)
{
    const char *id = g_str_has_prefix(key, WATCH_PREFIX) ? key + strlen(WATCH_PREFIX) : NULL;
    g_autofree char *rootfs = NULL;
    struct container_cleaned cleaned = {0};
    g_autoptr(GError) error = NULL;
    struct stat st;
    if (!id)
        return false;
    g_mutex_lock(&registry->lock);
    const struct container *container = container_find(registry, id);
    rootfs = container ? g_strdup(container->row->rootfs) : NULL;
    g_mutex_unlock(&registry->lock);
    if (!rootfs || lstat(rootfs, &st) == 0 || errno != ENOENT)
        return true;
    log_info("container \"%s\": its root %s was removed, cleaning it up", id, rootfs);
    if (container_cleanup(registry, id, &cleaned, &error) < 0)
        log_error("%s", error->message);
    container_cleaned_clear(&cleaned);
    return true;
}

struct container *container_add(struct registry *registry, struct table_container *row)
{
    struct container *container = g_new0(struct container, 1);
    container->row = row;
    g_hash_table_insert(registry->containers, row->id, container);
    container_watch_rootfs(registry, container);
    return container;
}

void container_forget(struct registry *registry, struct container *container)
{
    g_autofree char *key = g_strconcat(WATCH_PREFIX, container->row->id, NULL);
    source_watch_remove(registry->sources, key);
    g_hash_table_remove(registry->containers, container->row->id);
}

struct container *container_begin(struct registry *registry, const char *id)
{
    for (;;) {
        struct container *container = container_find(registry, id);
        if (!container)
            return NULL;
        if (!container->busy && !registry->is_recovering) {
            container->busy = true;
            registry->n_container_verbs++;
            return container;
        }
        g_cond_wait(&registry->changed, &registry->lock);
    }
}

void container_end(struct registry *registry, struct container *container)
{
    container->busy = false;
    registry->n_container_verbs--;
    g_cond_broadcast(&registry->changed);
}

static int compare_positions(gconstpointer a, gconstpointer b)
{
    const struct table_attachment *left = (*(struct attachment *const *)a)->row;
    const struct table_attachment *right = (*(struct attachment *const *)b)->row;
    if (left->position != right->position)
        return left->position < right->position ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

GPtrArray *container_attachments(struct registry *registry, const char *id)
{
    GPtrArray *same = g_hash_table_lookup(registry->by_container, id);
    GPtrArray *sorted = g_ptr_array_new();
    for (guint i = 0; same && i < same->len; i++)
        g_ptr_array_add(sorted, same->pdata[i]);
    g_ptr_array_sort(sorted, compare_positions);
    return sorted;
}

struct attachment *container_attachment(struct registry *registry, const char *id, int64_t attachment_id)
{
    GPtrArray *same = g_hash_table_lookup(registry->by_container, id);
    for (guint i = 0; same && i < same->len; i++) {
        struct attachment *attachment = same->pdata[i];
        if (attachment->row->id == attachment_id)
            return attachment;
    }
    return NULL;
}

struct attachment *container_idle_attachment(struct registry *registry, const char *id, int64_t attachment_id)
{
    for (;;) {
        struct attachment *found = container_attachment(registry, id, attachment_id);
        if (!found || !found->volume->operation)
            return found;
        g_autoptr(GError) ignored = NULL; /* it is told to who began it */
        bool created = false;
        operation_wait(registry, found->volume, &created, &ignored);
    }
}

int container_namespace(const struct table_container *row, int64_t *ret_namespace, GError **error)
{
    return attachment_namespace(row->pid, ret_namespace, error);
}

/* Root reaches everything by itself. An executor that runs as root starts a task that does not. */
static enum container_apply_to apply_to(const struct table_container *row)
{
    if (row->user != 0 || row->root_gids)
        return CONTAINER_APPLY_PROCESS;
    return row->task_user > 0 ? CONTAINER_APPLY_TASK : CONTAINER_APPLY_NONE;
}

static int compare_gids(gconstpointer a, gconstpointer b)
{
    gid_t left = *(const gid_t *)a, right = *(const gid_t *)b;
    return (left > right) - (left < right);
}

/* The gids of what the container has, ascending and each once. */
static GArray *gids_of(GPtrArray *attachments)
{
    GArray *gids = g_array_new(FALSE, FALSE, sizeof(gid_t));
    for (guint i = 0; i < attachments->len; i++)
        g_array_append_val(gids, ((struct attachment *)attachments->pdata[i])->volume->row->view_gid);
    g_array_sort(gids, compare_gids);
    for (guint i = gids->len; i > 1; i--) {
        if (g_array_index(gids, gid_t, i - 1) == g_array_index(gids, gid_t, i - 2))
            g_array_remove_index(gids, i - 1);
    }
    return gids;
}

static const char *state_of(const struct container *container)
{
    if (container->row->state == ROW_PREPARED)
        return "preparing";
    if (container->row->state == ROW_RELEASING)
        return "cleaning";
    return container->busy ? "updating" : "prepared";
}

static void collect_info(const struct attachment_info *info, void *data)
{
    g_array_append_val((GArray *)data, *info);
}

void container_describe(struct registry *registry, struct container *container, const char *const *warnings,
                        container_visitor visit, void *data)
{
    static const char *const none[] = {NULL};
    bool is_compared = warnings == NULL;
    g_autoptr(GPtrArray) attachments = container_attachments(registry, container->row->id);
    g_autoptr(GArray) gids = gids_of(attachments);
    g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(struct attachment_info));
    for (guint i = 0; i < attachments->len; i++)
        attachment_describe(registry, attachments->pdata[i], is_compared, false, collect_info, mounts);

    struct container_info info = {
        .row = container->row,
        .state = state_of(container),
        .apply_to = apply_to(container->row),
        .view_gids = (const gid_t *)(const void *)gids->data,
        .n_view_gids = gids->len,
        .mounts = (const struct attachment_info *)(const void *)mounts->data,
        .n_mounts = mounts->len,
        .warnings = warnings ? warnings : none,
    };
    if (info.apply_to == CONTAINER_APPLY_NONE)
        info.n_view_gids = 0;
    visit(&info, data);
}

int container_visit(struct registry *registry, const char *id, container_visitor visit, void *data, GError **error)
{
    int r = 0;
    g_mutex_lock(&registry->lock);
    struct container *container = container_find(registry, id);
    if (container)
        container_describe(registry, container, NULL, visit, data);
    else
        r = refuse(error, REFUSAL_NOT_FOUND, "container \"%s\": no such container; gidfs container ls lists them", id);
    g_mutex_unlock(&registry->lock);
    return r;
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
    return strcmp((*(struct container *const *)a)->row->id, (*(struct container *const *)b)->row->id);
}

void container_visit_all(struct registry *registry, container_visitor visit, void *data)
{
    g_mutex_lock(&registry->lock);
    g_autoptr(GPtrArray) containers = registry_values(registry->containers);
    g_ptr_array_sort(containers, compare_ids);
    for (guint i = 0; i < containers->len; i++)
        container_describe(registry, containers->pdata[i], NULL, visit, data);
    g_mutex_unlock(&registry->lock);
}
