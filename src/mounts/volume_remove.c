/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_remove: the view goes, then the row, and the gid into quarantine, in one transaction. The row says "releasing"
 * before the first unmount, so that a start after a crash goes on with the release.
 */
#include "base/fault.h"
#include "base/log.h"
#include "core/path_rules.h"
#include "mounts/registry_private.h"

#include <string.h>

static int refuse_attached(struct volume *volume, GError **error)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new();
    for (guint i = 0; i < volume->attachments->len; i++)
        g_ptr_array_add(targets, ((struct attachment *)volume->attachments->pdata[i])->row->target);
    int r = refuse(error, REFUSAL_BUSY, "volume \"%s\" is busy: %u attachment%s (%s%s); detach, or use force",
                   volume->row->name, targets->len, targets->len == 1 ? "" : "s", (char *)targets->pdata[0],
                   targets->len > 1 ? ", …" : "");
    if (error) {
        GVariant *list = g_variant_new_strv((const char *const *)targets->pdata, targets->len);
        refusal_set_details(*error, g_variant_new_parsed("{'attachments': <%*>}", list));
    }
    return r;
}

/* Unmounts attachments and view, without the lock: the volume is in operation. */
static int unmount_all(struct registry *registry, struct volume *volume, bool force, GError **error)
{
    int r = 0;

    FAULT_POINT("volume-remove-releasing");
    for (guint i = volume->attachments->len; i > 0 && r == 0; i--) {
        r = attachment_unmount(volume->attachments->pdata[i - 1], force, error);
    }
    if (r == 0)
        r = view_unmount(registry, volume, force, error);
    FAULT_POINT("volume-remove-unmounted");
    return r;
}

static int delete_rows(struct table *table, void *data, GError **error)
{
    const struct volume *volume = data;
    int r = 0;
    for (guint i = 0; i < volume->attachments->len && r == 0; i++) {
        const struct attachment *attachment = volume->attachments->pdata[i];
        r = table_attachment_delete(table, attachment->row->id, error);
    }
    return r == 0 ? table_volume_delete(table, volume->row->id, error) : r;
}

/* The volume is unmounted: forgets it in the table and, that done, in memory. Ends its operation. */
static int forget(struct registry *registry, struct volume *volume, GError **error)
{
    const struct gid_release release = {
        .id = volume->row->id,
        .name = volume->row->name,
        .source = volume->row->source,
        .view_gid = volume->row->view_gid,
        .gid_given = volume->row->gid_given,
    };
    int r = gid_release_with_rows(registry, &release, delete_rows, volume, error);
    operation_end(registry, volume, error && *error ? g_error_copy(*error) : NULL);
    if (r == 0)
        registry_forget_volume(registry, volume);
    return r;
}

/* What became of a gid whose volume is gone. */
static void judge(struct registry *registry, gid_t gid, struct volume_released *ret_released)
{
    ret_released->view_gid = gid;
    if (!gid_book_in_range(registry->gids, gid))
        ret_released->fate = GID_FATE_OUT_OF_RANGE;
    else if (g_hash_table_contains(gid_book_quarantined(registry->gids), GUINT_TO_POINTER(gid)))
        ret_released->fate = GID_FATE_QUARANTINED;
    else
        ret_released->fate = GID_FATE_FREE;
}

/* Releases an idle volume; with the lock held before and after, not in between. */
int volume_release(struct registry *registry, struct volume *volume, bool force, struct volume_released *ret_released,
                   GError **error)
{
    gid_t gid = volume->row->view_gid;
    enum row_state before = volume->row->state;
    GError *problem = NULL;

    operation_begin(volume, false);
    int r = volume_set_state(registry, volume, ROW_RELEASING, &problem);
    if (r == 0) {
        g_mutex_unlock(&registry->lock);
        r = unmount_all(registry, volume, force, &problem);
        g_mutex_lock(&registry->lock);
        if (r < 0) {
            g_autoptr(GError) ignored = NULL;
            if (volume_set_state(registry, volume, before, &ignored) < 0)
                log_error("volume \"%s\": stays as releasing: %s", volume->row->name, ignored->message);
        }
    }
    if (r < 0)
        operation_end(registry, volume, g_error_copy(problem));
    else
        r = forget(registry, volume, &problem);
    if (r < 0) {
        g_propagate_error(error, problem);
        return r;
    }
    gids_review_locked(registry);
    judge(registry, gid, ret_released);
    return 0;
}

int volume_remove(struct registry *registry, const char *name, bool force, struct volume_released *ret_released,
                  GError **error)
{
    struct volume *volume = NULL;

    g_mutex_lock(&registry->lock);
    int r = registry_get_idle_volume(registry, name, &volume, error);
    if (r == 0 && volume->attachments->len && !force)
        r = refuse_attached(volume, error);
    if (r == 0)
        r = volume_release(registry, volume, force, ret_released, error);
    g_mutex_unlock(&registry->lock);
    return r;
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *names_below(struct registry *registry, const char *directory)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    struct volume *volume;

    g_mutex_lock(&registry->lock);
    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&volume))
        if (path_is_within(volume->row->source, directory))
            g_ptr_array_add(names, g_strdup(volume->row->name));
    g_mutex_unlock(&registry->lock);
    g_ptr_array_sort(names, compare_strings);
    return names;
}

int volume_remove_below(struct registry *registry, const char *directory, bool force, volume_removed_fn done,
                        void *data, GError **error)
{
    if (directory[0] != '/')
        return refuse(error, REFUSAL_BAD_REQUEST, "below \"%s\": not an absolute path", directory);
    g_autofree char *clean = g_canonicalize_filename(directory, "/");
    g_autoptr(GPtrArray) names = names_below(registry, clean);
    for (guint i = 0; i < names->len; i++) {
        struct volume_released released = {0};
        g_autoptr(GError) problem = NULL;
        int r = volume_remove(registry, names->pdata[i], force, &released, &problem);
        if (r == 0 || refusal_of(problem) != REFUSAL_NOT_FOUND) /* gone meanwhile is what was asked for */
            done(names->pdata[i], &released, problem, data);
    }
    return 0;
}

const char *gid_fate_to_string(enum gid_fate fate)
{
    static const char *const names[] = {"free", "quarantined", "out-of-range"};
    return names[fate];
}
