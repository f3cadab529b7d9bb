/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup (behaviour C7): goes through everything that the container has, collects the failures, and forgets the
 * container when there was none. Nothing is deleted: what lay below a mount point appears again untouched.
 */
#include "base/fault.h"
#include "base/log.h"
#include "mounts/container_private.h"

#include <string.h>

void container_cleaned_clear(struct container_cleaned *cleaned)
{
    g_clear_pointer(&cleaned->unmounted, g_strfreev);
    g_clear_pointer(&cleaned->released, g_strfreev);
}

/* A failure, and the target (or the volume) that it is about. */
struct failure {
    char *target;
    GError *error;
};

static void failure_free(void *data)
{
    struct failure *failure = data;
    g_free(failure->target);
    g_error_free(failure->error);
    g_free(failure);
}

GPtrArray *container_failures_new(void)
{
    return g_ptr_array_new_with_free_func(failure_free);
}

static void add_failure(GPtrArray *failures, const char *target, GError *error)
{
    struct failure *failure = g_new0(struct failure, 1);
    failure->target = g_strdup(target);
    failure->error = error;
    g_ptr_array_add(failures, failure);
}

void container_log_failures(const char *id, GPtrArray *failures)
{
    for (guint i = 0; i < failures->len; i++)
        log_warning("container \"%s\": %s", id, ((const struct failure *)failures->pdata[i])->error->message);
}

static GStrv steal_strings(GPtrArray **array)
{
    g_ptr_array_add(*array, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(array), FALSE);
}

/* One mount, detached; with the lock held before and after, not in between. */
static void take_down_mount(struct registry *registry, const char *id, int64_t attachment_id, GPtrArray *unmounted,
                            GPtrArray *failures)
{
    struct attachment *attachment = container_idle_attachment(registry, id, attachment_id);
    if (!attachment)
        return;
    g_autofree char *target = g_strdup(attachment->row->inside ? attachment->row->inside : attachment->row->target);
    GError *error = NULL;
    if (attachment_detach(registry, attachment, true, &error) < 0)
        add_failure(failures, target, error);
    else
        g_ptr_array_add(unmounted, g_steal_pointer(&target));
    FAULT_POINT("container-cleanup-unmounted");
}

static void take_down_mounts(struct registry *registry, const char *id, GPtrArray *unmounted, GPtrArray *failures)
{
    g_autoptr(GPtrArray) attachments = container_attachments(registry, id);
    g_autofree int64_t *ids = g_new(int64_t, attachments->len + 1);
    for (guint i = 0; i < attachments->len; i++)
        ids[i] = ((const struct attachment *)attachments->pdata[i])->row->id;
    for (guint i = attachments->len; i > 0; i--)
        take_down_mount(registry, id, ids[i - 1], unmounted, failures);
}

/*
 * The names of the sandbox volumes that nothing shows and that were made for this container, or for one that is gone
 * already and left its volume to those who still used it.
 */
static GPtrArray *unused_volumes(struct registry *registry, const char *id)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) volumes = registry_values(registry->volumes);
    for (guint i = 0; i < volumes->len; i++) {
        const struct volume *volume = volumes->pdata[i];
        const char *owner = volume->row->container;
        if (volume->row->kind == VOLUME_SANDBOX && owner && volume->attachments->len == 0 &&
            (strcmp(owner, id) == 0 || !container_find(registry, owner)))
            g_ptr_array_add(names, g_strdup(volume->row->name));
    }
    return names;
}

void container_release_volumes(struct registry *registry, const char *id, GPtrArray *released, GPtrArray *failures)
{
    g_autoptr(GPtrArray) names = unused_volumes(registry, id);
    for (guint i = 0; i < names->len; i++) {
        struct volume_released ignored;
        struct volume *volume = NULL;
        GError *error = NULL;
        if (registry_get_idle_volume(registry, names->pdata[i], &volume, NULL) < 0 || volume->attachments->len)
            continue; /* removed, or attached by somebody else, meanwhile */
        if (volume_release(registry, volume, true, &ignored, &error) < 0)
            add_failure(failures, names->pdata[i], error);
        else
            g_ptr_array_add(released, g_strdup(names->pdata[i]));
        FAULT_POINT("container-cleanup-released");
    }
}

/* All failures as one refusal: the first as the message, all of them as details. */
static int report(const char *id, GPtrArray *failures, GError **error)
{
    const GError *first = ((const struct failure *)failures->pdata[0])->error;
    enum refusal code = refusal_of(first) == REFUSAL_BUSY ? REFUSAL_BUSY : REFUSAL_INTERNAL;
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < failures->len; i++) {
        const struct failure *one = failures->pdata[i];
        g_variant_builder_add_parsed(&list, "{'target': <%s>, 'errno': <%i>, 'message': <%s>}", one->target,
                                     refusal_errno(one->error), one->error->message);
    }
    GVariant *details = g_variant_new_parsed("{'errors': <%*>}", g_variant_builder_end(&list));
    int r = refuse(error, code, "container \"%s\": %u failure%s: %s; clean it up again later", id, failures->len,
                   failures->len == 1 ? "" : "s", first->message);
    if (error)
        refusal_set_details(*error, details);
    else
        g_variant_unref(g_variant_ref_sink(details));
    return r;
}

int container_take_down(struct registry *registry, struct container *container, struct container_cleaned *ret_cleaned,
                        GError **error)
{
    g_autoptr(GPtrArray) unmounted = g_ptr_array_new(), released = g_ptr_array_new();
    g_autoptr(GPtrArray) failures = container_failures_new();
    g_autofree char *id = g_strdup(container->row->id);

    int r = container_set_state(registry, container, ROW_RELEASING, error);
    FAULT_POINT("container-cleanup-row");
    if (r == 0) {
        take_down_mounts(registry, id, unmounted, failures);
        container_release_volumes(registry, id, released, failures);
        r = failures->len ? report(id, failures, error) : table_container_delete(registry->table, id, error);
    }
    container_end(registry, container);
    if (r == 0)
        container_forget(registry, container);
    ret_cleaned->known = true;
    ret_cleaned->unmounted = steal_strings(&unmounted);
    ret_cleaned->released = steal_strings(&released);
    return r;
}

static int refuse_children(struct registry *registry, const char *id, GError **error)
{
    g_autoptr(GPtrArray) containers = registry_values(registry->containers), children = g_ptr_array_new();
    for (guint i = 0; i < containers->len; i++) {
        const struct table_container *row = ((const struct container *)containers->pdata[i])->row;
        if (g_strcmp0(row->parent, id) == 0)
            g_ptr_array_add(children, row->id);
    }
    if (children->len == 0)
        return 0;
    int r = refuse(error, REFUSAL_NOT_EMPTY, "container \"%s\": %u container%s nested in it (%s%s); clean up first", id,
                   children->len, children->len == 1 ? " is" : "s are", (const char *)children->pdata[0],
                   children->len > 1 ? ", …" : "");
    if (error) {
        GVariant *list = g_variant_new_strv((const char *const *)children->pdata, children->len);
        refusal_set_details(*error, g_variant_new_parsed("{'children': <%*>}", list));
    }
    return r;
}

/* What attach made for a container that was never prepared. */
static int take_down_unknown(struct registry *registry, const char *id, struct container_cleaned *ret_cleaned,
                             GError **error)
{
    g_autoptr(GPtrArray) unmounted = g_ptr_array_new(), released = g_ptr_array_new();
    g_autoptr(GPtrArray) failures = container_failures_new();
    take_down_mounts(registry, id, unmounted, failures);
    ret_cleaned->known = unmounted->len > 0 || failures->len > 0;
    ret_cleaned->unmounted = steal_strings(&unmounted);
    ret_cleaned->released = steal_strings(&released);
    return failures->len ? report(id, failures, error) : 0;
}

int container_cleanup(struct registry *registry, const char *id, struct container_cleaned *ret_cleaned, GError **error)
{
    *ret_cleaned = (struct container_cleaned){0};
    g_mutex_lock(&registry->lock);
    struct container *container = container_begin(registry, id);
    int r = container ? refuse_children(registry, id, error) : take_down_unknown(registry, id, ret_cleaned, error);
    if (container && r < 0)
        container_end(registry, container);
    else if (container)
        r = container_take_down(registry, container, ret_cleaned, error);
    g_mutex_unlock(&registry->lock);
    return r;
}
