/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the list of a request to volumes that exist.
 */
#include "core/path_rules.h"
#include "mounts/container_private.h"
#include "sys/mount_propagation.h"

#include <string.h>

static void wanted_free(void *data)
{
    struct wanted *wanted = data;
    g_free(wanted->volume);
    g_free(wanted->inside);
    g_free(wanted->propagation);
    g_free(wanted);
}

static struct wanted *add_wanted(GPtrArray *list, const char *volume, const char *inside, const char *propagation,
                                 bool read_only)
{
    struct wanted *wanted = g_new0(struct wanted, 1);
    *wanted = (struct wanted){
        .volume = g_strdup(volume),
        .inside = g_strdup(inside),
        .propagation = propagation && *propagation ? g_strdup(propagation) : NULL,
        .read_only = read_only,
    };
    g_ptr_array_add(list, wanted);
    return wanted;
}

static int check_one(const struct container_volume *volume, GHashTable *targets, GError **error)
{
    struct mount_propagation propagation;
    g_autofree char *target = NULL;

    if (!volume->name && !volume->source)
        return refuse(error, REFUSAL_BAD_REQUEST, "target %s: give the name of a volume or a source",
                      volume->target ? volume->target : "");
    if (!volume->target || path_normalize("target", volume->target, &target, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (strcmp(target, "/") == 0)
        return refuse(error, REFUSAL_BAD_REQUEST, "target /: the root of a container is no place for a volume");
    if (mount_propagation_parse(volume->propagation, &propagation, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (!g_hash_table_add(targets, g_steal_pointer(&target)))
        return refuse(error, REFUSAL_BAD_REQUEST, "target %s: given twice", volume->target);
    return 0;
}

int wanted_check(const struct container_volume *volumes, size_t n_volumes, GError **error)
{
    g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int r = 0;
    for (size_t i = 0; i < n_volumes && r == 0; i++)
        r = check_one(&volumes[i], targets, error);
    return r;
}

static void take_name(const struct volume_info *info, void *data)
{
    *(char **)data = g_strdup(info->row->name);
}

/* An existing volume of the source is taken as it is; a new one ends with the container. */
static int volume_of_source(struct registry *registry, const char *id, const struct container_volume *volume,
                            char **ret_name, GError **error)
{
    g_autofree char *made_up = g_strdup_printf("sb-%08x%04x", g_random_int(), g_random_int() & 0xffff);
    struct volume_request request = VOLUME_REQUEST_EMPTY;
    request.name = volume->name ? volume->name : made_up;
    request.source = volume->source;
    request.container = id;
    request.new_kind = VOLUME_SANDBOX;
    request.policy = volume->policy;
    return volume_create(registry, &request, take_name, ret_name, error);
}

static int volume_of(struct registry *registry, const char *id, const struct container_volume *volume, char **ret_name,
                     GError **error)
{
    if (volume->source)
        return volume_of_source(registry, id, volume, ret_name, error);
    g_mutex_lock(&registry->lock);
    bool known = registry_find_volume(registry, volume->name) != NULL;
    g_mutex_unlock(&registry->lock);
    if (!known)
        return refuse_no_volume(volume->name, error);
    *ret_name = g_strdup(volume->name);
    return 0;
}

int wanted_resolve(struct registry *registry, const char *id, const struct container_volume *volumes, size_t n_volumes,
                   GPtrArray **ret_wanted, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(wanted_free);
    for (size_t i = 0; i < n_volumes; i++) {
        g_autofree char *name = NULL, *target = NULL;
        int r = volume_of(registry, id, &volumes[i], &name, error);
        if (r == 0)
            r = path_normalize("target", volumes[i].target, &target, error);
        if (r < 0)
            return r;
        add_wanted(list, name, target, volumes[i].propagation, volumes[i].read_only);
    }
    *ret_wanted = g_steal_pointer(&list);
    return 0;
}

GPtrArray *wanted_of(struct registry *registry, const char *id)
{
    g_autoptr(GPtrArray) attachments = container_attachments(registry, id);
    GPtrArray *list = g_ptr_array_new_with_free_func(wanted_free);
    for (guint i = 0; i < attachments->len; i++) {
        const struct attachment *attachment = attachments->pdata[i];
        const struct table_attachment *row = attachment->row;
        if (row->inside)
            add_wanted(list, attachment->volume->row->name, row->inside, row->propagation, row->read_only);
    }
    return list;
}
