/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/listing.h"

/* Rows of text under columns. Cells are never NULL. */
struct table {
    const struct column_choice *columns;
    const char **cells; /* n_rows × columns->n, owned by who made the table */
    gsize *parents;     /* for each row the number of the row it hangs below, or G_MAXSIZE; NULL without a tree */
    gsize n_rows;
};

/*
 * Prints it on standard output. On a terminal, raw and as a tree by libsmartcols; else aligned by ourselves, because
 * smartcols measures every character several times and needs 180 ms for ten thousand rows.
 */
void table_print(const struct table *table, const struct listing_options *options);

/* How many columns a terminal needs for text; *ret_unprintable says that it holds control characters. */
gsize table_text_width(const char *text, gboolean *ret_unprintable);
