/* SPDX-License-Identifier: Apache-2.0 */
/* How a gid is let go: by volumes and by root directories alike. */
#include "mounts/registry_private.h"

static struct table_quarantined *make_quarantined(const struct registry *registry, const struct gid_release *release)
{
    struct table_quarantined *row = g_new0(struct table_quarantined, 1);
    row->gid = release->view_gid;
    row->volume_id = release->id;
    row->volume = g_strdup(release->name);
    row->source = g_strdup(release->source);
    row->since_s = g_get_real_time() / G_USEC_PER_SEC;
    row->boot_id = g_strdup(registry->boot_id);
    return row;
}

int gid_release_with_rows(struct registry *registry, const struct gid_release *release,
                          int (*delete_rows)(struct table *table, void *data, GError **error), void *data,
                          GError **error)
{
    gid_t gid = release->view_gid;
    struct table_quarantined *quarantined = NULL;
    int r = table_begin(registry->table, error);
    if (r < 0)
        return r;
    if (gid && gid_book_needs_quarantine(registry->gids, gid, release->gid_given))
        quarantined = make_quarantined(registry, release);
    r = delete_rows(registry->table, data, error);
    if (r == 0 && quarantined)
        r = table_quarantine_insert(registry->table, quarantined, error);
    if (r == 0)
        r = table_commit(registry->table, error);
    else
        table_rollback(registry->table);
    if (r < 0)
        table_quarantined_free(quarantined);
    else if (quarantined)
        gid_book_quarantine(registry->gids, quarantined);
    else if (gid)
        gid_book_drop(registry->gids, gid);
    return r;
}
