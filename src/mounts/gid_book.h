/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/gid_pool.h"
#include "mounts/refusal.h"
#include "table/rows.h"

/*
 * Who holds which gid: the pool (core/gid_pool.h), with the volumes that it does not know. A gid from the pool has one
 * volume; a gid that callers gave may have several. The registry's lock guards it; the table is the registry's affair.
 */
struct gid_book;

/* Reads the ranges (behaviour A1). */
int gid_book_new(const char *ranges, bool reuse_last, struct gid_book **ret_book, GError **error);
void gid_book_free(struct gid_book *book);
int gid_book_set_ranges(struct gid_book *book, const char *ranges, GError **error);
char *gid_book_ranges(const struct gid_book *book); /* the caller's */
void gid_book_count(const struct gid_book *book, struct gid_counts *ret_counts);
bool gid_book_in_range(const struct gid_book *book, gid_t gid);

/* What the table knows at a start. The row of the second becomes the book's, or is freed. */
int gid_book_load_volume(struct gid_book *book, const struct table_volume *row, GError **error);
int gid_book_load_gid(struct gid_book *book, gid_t gid, GError **error); /* of a rootfs */
int gid_book_load_quarantined(struct gid_book *book, struct table_quarantined *row, GError **error);
void gid_book_load_freed(struct gid_book *book, gid_t gid); /* after all others, the one that was freed last at last */

/* A gid from the pool, or the given one, for one more volume. Refusals: exhausted, bad-request, busy. */
int gid_book_take(struct gid_book *book, gid_t *ret_gid, GError **error);
int gid_book_take_given(struct gid_book *book, gid_t gid, GError **error);

/* One volume less. The last one's gid is free at once: for a volume that nobody has seen. */
void gid_book_drop(struct gid_book *book, gid_t gid);

/* Whether a gid must go through quarantine when one of its volumes, which it was given to by a caller or not, goes:
 * that is the last one, and the pool may give it again. */
bool gid_book_needs_quarantine(const struct gid_book *book, gid_t gid, bool is_given);

/* Its last volume is gone, and it is in quarantine from now on. The row becomes the book's. */
void gid_book_quarantine(struct gid_book *book, struct table_quarantined *row);
void gid_book_end_quarantine(struct gid_book *book, gid_t gid);

struct gid_quarantined {
    struct table_quarantined *row;
    char *reason; /* what keeps it there as of the last review, or NULL */
};

/* gid → struct gid_quarantined; the book's own. */
GHashTable *gid_book_quarantined(struct gid_book *book);
