/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gids as the operator sees them, and the way out of quarantine (behaviour A10).
 *
 * A released gid may still be held by a mount of the view in some namespace, by an open file in it, or by a process in
 * the group. The first two keep the view's superblock, and with it the keeper process: as long as that listens on the
 * control socket, the view is held. Processes are looked for in /proc. After a reboot nothing can be left.
 */
#include "base/log.h"
#include "mounts/registry_private.h"
#include "mounts/rootfs_private.h"
#include "sys/proc_groups.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* What the review knows of one gid, a copy: it looks without the lock. */
struct candidate {
    gid_t gid;
    int64_t volume_id;
    char *view;
    char *control;
    bool other_boot;
    char *reason; /* what keeps it, or NULL */
};

static void free_candidate(struct candidate *candidate)
{
    g_free(candidate->view);
    g_free(candidate->control);
    g_free(candidate->reason);
    g_free(candidate);
}

static GHashTable *collect_candidates(struct registry *registry)
{
    GHashTable *candidates = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)free_candidate);
    GHashTableIter iter;
    struct gid_quarantined *quarantined;

    g_hash_table_iter_init(&iter, gid_book_quarantined(registry->gids));
    while (g_hash_table_iter_next(&iter, NULL, (void **)&quarantined)) {
        const struct table_quarantined *row = quarantined->row;
        struct candidate *candidate = g_new0(struct candidate, 1);
        candidate->gid = row->gid;
        candidate->volume_id = row->volume_id;
        candidate->view = g_strdup_printf("%s/views/%s", registry->run_dir, row->volume);
        candidate->control = g_strdup_printf("%s/control/%" G_GINT64_FORMAT ".sock", registry->run_dir, row->volume_id);
        candidate->other_boot = g_strcmp0(row->boot_id, registry->boot_id) != 0;
        g_hash_table_insert(candidates, GUINT_TO_POINTER(row->gid), candidate);
    }
    return candidates;
}

static void found_process(gid_t gid, pid_t pid, void *data)
{
    struct candidate *candidate = g_hash_table_lookup(data, GUINT_TO_POINTER(gid));
    if (!candidate->reason)
        candidate->reason = g_strdup_printf("process %d runs in this group", pid);
}

static void look_at_view(struct candidate *candidate)
{
    pid_t pid;
    int r = unix_peer_pid(candidate->control, &pid);
    if (r == 0 || r == -EAGAIN)
        candidate->reason = g_strdup_printf("a mount of %s, or a file open in it, is left", candidate->view);
}

/* Finds out what keeps each candidate. If /proc cannot be read all stay. */
static int look(GHashTable *candidates)
{
    g_autoptr(GError) error = NULL;
    GHashTableIter iter;
    struct candidate *candidate;

    int r = proc_groups_scan(candidates, found_process, candidates, &error);
    if (r < 0) {
        log_warning("quarantined gids are not looked at: %s", error->message);
        return r;
    }
    g_hash_table_iter_init(&iter, candidates);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&candidate)) {
        if (candidate->other_boot)
            g_clear_pointer(&candidate->reason, g_free);
        else if (!candidate->reason)
            look_at_view(candidate);
    }
    return 0;
}

/* Applies what was found; what is in quarantine may have changed meanwhile. True if the gid is free now. */
static bool apply(struct registry *registry, struct candidate *candidate)
{
    g_autoptr(GError) error = NULL;
    struct gid_quarantined *quarantined =
        g_hash_table_lookup(gid_book_quarantined(registry->gids), GUINT_TO_POINTER(candidate->gid));
    if (!quarantined || quarantined->row->volume_id != candidate->volume_id)
        return false;
    g_free(quarantined->reason);
    quarantined->reason = g_steal_pointer(&candidate->reason);
    if (quarantined->reason)
        return false;
    if (table_quarantine_delete(registry->table, candidate->gid, &error) < 0) {
        log_warning("gid %u stays in quarantine: %s", candidate->gid, error->message);
        return false;
    }
    g_unlink(candidate->control);
    gid_book_end_quarantine(registry->gids, candidate->gid);
    return true;
}

/* Looks at all of them, once; with the lock held, not in between. */
static unsigned int review(struct registry *registry)
{
    unsigned int n_freed = 0;
    GHashTableIter iter;
    struct candidate *candidate;

    g_autoptr(GHashTable) candidates = collect_candidates(registry);
    g_mutex_unlock(&registry->lock);
    int r = look(candidates);
    g_mutex_lock(&registry->lock);
    g_hash_table_iter_init(&iter, candidates);
    while (r == 0 && g_hash_table_iter_next(&iter, NULL, (void **)&candidate))
        n_freed += apply(registry, candidate);
    return n_freed;
}

/*
 * All of /proc is read for it, so that those who ask at the same time share one: the first that began after they asked.
 */
unsigned int gids_review_locked(struct registry *registry)
{
    struct gid_reviews *reviews = &registry->reviews;
    unsigned int wanted = reviews->n_begun + 1;

    if (g_hash_table_size(gid_book_quarantined(registry->gids)) == 0)
        return 0;
    while (reviews->n_done < reviews->n_begun && reviews->n_begun < wanted)
        g_cond_wait(&registry->changed, &registry->lock);
    if (reviews->n_begun < wanted) {
        reviews->n_begun++;
        reviews->n_freed = review(registry);
        reviews->n_done++;
        g_cond_broadcast(&registry->changed);
    }
    while (reviews->n_done < wanted)
        g_cond_wait(&registry->changed, &registry->lock);
    return reviews->n_freed;
}

void gid_review_quarantine(struct registry *registry)
{
    g_mutex_lock(&registry->lock);
    gids_review_locked(registry);
    g_mutex_unlock(&registry->lock);
}

static int compare_holders(const void *a, const void *b)
{
    const struct gid_holder *left = a, *right = b;
    return (left->view_gid > right->view_gid) - (left->view_gid < right->view_gid);
}

/* All holders, in order of gid; their strings are the registry's. */
static GArray *collect_holders(struct registry *registry)
{
    GArray *holders = g_array_new(FALSE, TRUE, sizeof(struct gid_holder));
    GHashTableIter iter;
    struct volume *volume;
    const struct rootfs *rootfs;
    struct gid_quarantined *quarantined;

    g_hash_table_iter_init(&iter, registry->volumes);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&volume)) {
        const struct table_volume *row = volume->row;
        struct gid_holder holder = {row->view_gid, false, false, row->name, row->source, row->created_s, NULL};
        g_array_append_val(holders, holder);
    }
    g_hash_table_iter_init(&iter, registry->rootfs);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&rootfs)) {
        const struct table_rootfs *row = rootfs->row;
        struct gid_holder holder = {row->view_gid, false, false, row->id, row->path, row->created_s, NULL};
        if (row->view_gid)
            g_array_append_val(holders, holder);
    }
    g_hash_table_iter_init(&iter, gid_book_quarantined(registry->gids));
    while (g_hash_table_iter_next(&iter, NULL, (void **)&quarantined)) {
        const struct table_quarantined *row = quarantined->row;
        struct gid_holder holder = {row->gid, true, false, row->volume, row->source, row->since_s, quarantined->reason};
        g_array_append_val(holders, holder);
    }
    for (guint i = 0; i < holders->len; i++) {
        struct gid_holder *holder = &g_array_index(holders, struct gid_holder, i);
        holder->in_range = gid_book_in_range(registry->gids, holder->view_gid);
    }
    g_array_sort(holders, compare_holders);
    return holders;
}

void gid_visit_all(struct registry *registry, struct gid_counts *ret_counts, char **ret_ranges, gid_visitor visit,
                   void *data)
{
    g_mutex_lock(&registry->lock);
    gids_review_locked(registry);
    gid_book_count(registry->gids, ret_counts);
    if (ret_ranges)
        *ret_ranges = gid_book_ranges(registry->gids);
    if (visit) {
        g_autoptr(GArray) holders = collect_holders(registry);
        for (guint i = 0; i < holders->len; i++)
            visit(&g_array_index(holders, struct gid_holder, i), data);
    }
    g_mutex_unlock(&registry->lock);
}

static int compare_ages(const void *a, const void *b)
{
    const struct gid_holder *left = a, *right = b;
    return (left->since_s > right->since_s) - (left->since_s < right->since_s);
}

#define N_OLDEST 5

GVariant *gids_exhausted_details(struct registry *registry)
{
    struct gid_counts counts;
    g_autoptr(GArray) holders = collect_holders(registry);
    GVariantBuilder oldest;

    gid_book_count(registry->gids, &counts);
    g_array_sort(holders, compare_ages);
    g_variant_builder_init(&oldest, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < MIN(holders->len, N_OLDEST); i++) {
        const struct gid_holder *holder = &g_array_index(holders, struct gid_holder, i);
        g_autoptr(GDateTime) since = g_date_time_new_from_unix_utc(holder->since_s);
        g_autofree char *text = g_date_time_format_iso8601(since);
        g_variant_builder_add_value(
            &oldest, g_variant_new_parsed("{'gid': <%u>, 'state': <%s>, 'volume': <%s>, 'source': <%s>, 'since': <%s>}",
                                          holder->view_gid, holder->quarantined ? "quarantined" : "allocated",
                                          holder->volume, holder->source, text));
    }
    return g_variant_new_parsed("{'total': <%t>, 'allocated': <%t>, 'quarantined': <%t>, 'oldest': <%*>}", counts.total,
                                counts.allocated, counts.quarantined, g_variant_builder_end(&oldest));
}
