/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts/gid_book.h"

#include "core/gid_range.h"

struct gid_book {
    struct gid_pool *pool;
    GHashTable *n_volumes;   /* gid → how many volumes have it, at least 1 */
    GHashTable *quarantined; /* gid → struct gid_quarantined */
};

static void free_quarantined(struct gid_quarantined *quarantined)
{
    table_quarantined_free(quarantined->row);
    g_free(quarantined->reason);
    g_free(quarantined);
}

int gid_book_new(const char *ranges, bool reuse_last, struct gid_book **ret_book, GError **error)
{
    g_autoptr(range_set) set = NULL;
    int r = gid_range_parse(ranges, &set, error);
    if (r < 0)
        return r;
    struct gid_book *book = g_new0(struct gid_book, 1);
    book->pool = gid_pool_new(set, reuse_last ? GID_POOL_RECENT_LAST : GID_POOL_LOWEST);
    book->n_volumes = g_hash_table_new(NULL, NULL);
    book->quarantined = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)free_quarantined);
    *ret_book = book;
    return 0;
}

void gid_book_free(struct gid_book *book)
{
    gid_pool_free(book->pool);
    g_hash_table_unref(book->n_volumes);
    g_hash_table_unref(book->quarantined);
    g_free(book);
}

int gid_book_set_ranges(struct gid_book *book, const char *ranges, GError **error)
{
    g_autoptr(range_set) set = NULL;
    int r = gid_range_parse(ranges, &set, error);
    if (r == 0)
        gid_pool_set_range(book->pool, set);
    return r;
}

char *gid_book_ranges(const struct gid_book *book)
{
    return range_set_to_string(gid_pool_range(book->pool));
}

void gid_book_count(const struct gid_book *book, struct gid_counts *ret_counts)
{
    gid_pool_count(book->pool, ret_counts);
}

bool gid_book_in_range(const struct gid_book *book, gid_t gid)
{
    return range_set_contains(gid_pool_range(book->pool), gid);
}

static guint count_of(const struct gid_book *book, gid_t gid)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(book->n_volumes, GUINT_TO_POINTER(gid)));
}

static void set_count(struct gid_book *book, gid_t gid, guint n)
{
    if (n)
        g_hash_table_insert(book->n_volumes, GUINT_TO_POINTER(gid), GUINT_TO_POINTER(n));
    else
        g_hash_table_remove(book->n_volumes, GUINT_TO_POINTER(gid));
}

static int hold_one_more(struct gid_book *book, gid_t gid, GError **error)
{
    guint n = count_of(book, gid);
    int r = n ? 0 : gid_pool_restore(book->pool, gid, 1, GID_STATE_ALLOCATED, error);
    if (r == 0)
        set_count(book, gid, n + 1);
    return r;
}

int gid_book_load_volume(struct gid_book *book, const struct table_volume *row, GError **error)
{
    return hold_one_more(book, row->view_gid, error);
}

int gid_book_load_gid(struct gid_book *book, gid_t gid, GError **error)
{
    return hold_one_more(book, gid, error);
}

static void keep_quarantined(struct gid_book *book, struct table_quarantined *row)
{
    struct gid_quarantined *quarantined = g_new0(struct gid_quarantined, 1);
    quarantined->row = row;
    g_hash_table_insert(book->quarantined, GUINT_TO_POINTER(row->gid), quarantined);
}

int gid_book_load_quarantined(struct gid_book *book, struct table_quarantined *row, GError **error)
{
    int r = gid_pool_restore(book->pool, row->gid, 1, GID_STATE_QUARANTINED, error);
    if (r < 0)
        table_quarantined_free(row);
    else
        keep_quarantined(book, row);
    return r;
}

void gid_book_load_freed(struct gid_book *book, gid_t gid)
{
    gid_pool_note_freed(book->pool, gid);
}

int gid_book_take(struct gid_book *book, gid_t *ret_gid, GError **error)
{
    gid_t gid;
    int r = gid_pool_allocate(book->pool, &gid, error);
    if (r < 0)
        return refuse_as(error, REFUSAL_EXHAUSTED);
    set_count(book, gid, 1);
    *ret_gid = gid;
    return 0;
}

int gid_book_take_given(struct gid_book *book, gid_t gid, GError **error)
{
    if (gid_check("gid", gid, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (gid_pool_state(book->pool, gid) == GID_STATE_QUARANTINED)
        return refuse(
            error, REFUSAL_BUSY,
            "gid %u: in quarantine, because something may still hold it from its last volume; gidfs gids says "
            "what",
            gid);
    return hold_one_more(book, gid, error) < 0 ? refuse_as(error, REFUSAL_BUSY) : 0;
}

void gid_book_drop(struct gid_book *book, gid_t gid)
{
    guint n = count_of(book, gid);
    g_assert(n);
    set_count(book, gid, n - 1);
    if (n > 1)
        return;
    gid_pool_release(book->pool, gid, 1);
    gid_pool_end_quarantine(book->pool, gid, 1);
}

bool gid_book_needs_quarantine(const struct gid_book *book, gid_t gid, bool is_given)
{
    if (count_of(book, gid) > 1)
        return false;
    return !is_given || gid_book_in_range(book, gid);
}

void gid_book_quarantine(struct gid_book *book, struct table_quarantined *row)
{
    g_assert(count_of(book, row->gid) == 1);
    set_count(book, row->gid, 0);
    gid_pool_release(book->pool, row->gid, 1);
    keep_quarantined(book, row);
}

void gid_book_end_quarantine(struct gid_book *book, gid_t gid)
{
    if (g_hash_table_remove(book->quarantined, GUINT_TO_POINTER(gid)))
        gid_pool_end_quarantine(book->pool, gid, 1);
}

GHashTable *gid_book_quarantined(struct gid_book *book)
{
    return book->quarantined;
}
