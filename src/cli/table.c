/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES (64 * 1024)

static int smartcols_flags(const struct column *column, gboolean tree)
{
    int flags = 0;
    if (column->flags & COLUMN_RIGHT)
        flags |= SCOLS_FL_RIGHT;
    if (column->flags & COLUMN_SHORTENS)
        flags |= SCOLS_FL_TRUNC;
    if (tree && column->flags & COLUMN_TREE)
        flags |= SCOLS_FL_TREE;
    return flags;
}

static void fill_smartcols(struct libscols_table *out, const struct table *table)
{
    g_autofree struct libscols_line **lines = g_new0(struct libscols_line *, MAX(table->n_rows, 1));
    for (gsize row = 0; row < table->n_rows; row++) {
        gsize parent = table->parents ? table->parents[row] : G_MAXSIZE;
        lines[row] = scols_table_new_line(out, parent == G_MAXSIZE ? NULL : lines[parent]);
        for (gsize i = 0; i < table->columns->n; i++) {
            if (!lines[row] || scols_line_set_data(lines[row], i, table->cells[row * table->columns->n + i]) < 0)
                g_error("out of memory");
        }
    }
}

static void print_smartcols(const struct table *table, const struct listing_options *options)
{
    struct libscols_table *out = scols_new_table();
    if (!out)
        g_error("out of memory");
    scols_table_enable_raw(out, options->raw);
    scols_table_enable_noheadings(out, options->no_headings);
    for (gsize i = 0; i < table->columns->n; i++) {
        const struct column *column = table->columns->chosen[i];
        if (!scols_table_new_column(out, column->name, column->width, smartcols_flags(column, table->parents != NULL)))
            g_error("out of memory");
    }
    fill_smartcols(out, table);
    scols_print_table(out);
    scols_unref_table(out);
}

gsize table_text_width(const char *text, gboolean *ret_unprintable)
{
    gsize width = 0;
    *ret_unprintable = FALSE;
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        const char *plain = at;
        while ((guchar)*at >= 0x20 && (guchar)*at < 0x7f)
            at++;
        width += (gsize)(at - plain);
        if (!*at)
            break;
        gunichar c = g_utf8_get_char(at);
        if (g_unichar_iscntrl(c))
            *ret_unprintable = TRUE;
        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

/* The same text with control characters as \xNN, which no terminal obeys. */
static char *printable(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (g_unichar_iscntrl(c))
            g_string_append_printf(out, "\\x%02x", c);
        else
            g_string_append_unichar(out, c);
    }
    return g_string_free(out, FALSE);
}

static void append_cell(GString *out, const char *text, gsize width, gsize column_width, const struct column *column,
                        gboolean last)
{
    static const char spaces[] = "                                                                ";
    gsize padding = column_width - MIN(width, column_width);
    if (!(column->flags & COLUMN_RIGHT))
        g_string_append(out, text);
    if (!last || column->flags & COLUMN_RIGHT) {
        for (gsize left = padding; left > 0; left -= MIN(left, sizeof(spaces) - 1))
            g_string_append_len(out, spaces, (gssize)MIN(left, sizeof(spaces) - 1));
    }
    if (column->flags & COLUMN_RIGHT)
        g_string_append(out, text);
    g_string_append_c(out, last ? '\n' : ' ');
}

static void write_out(GString *out)
{
    fwrite(out->str, 1, out->len, stdout);
    g_string_truncate(out, 0);
}

static void print_aligned(const struct table *table, const struct listing_options *options)
{
    gsize n = table->columns->n, n_cells = n * table->n_rows;
    gsize column_widths[G_N_ELEMENTS(table->columns->chosen)] = {0};
    g_autofree gsize *widths = g_new(gsize, n_cells + 1);
    g_autoptr(GPtrArray) rewritten = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < n && !options->no_headings; i++)
        column_widths[i] = strlen(table->columns->chosen[i]->name);
    for (gsize i = 0; i < n_cells; i++) {
        gboolean unprintable;
        widths[i] = table_text_width(table->cells[i], &unprintable);
        if (unprintable) {
            g_ptr_array_add(rewritten, printable(table->cells[i]));
            table->cells[i] = g_ptr_array_index(rewritten, rewritten->len - 1);
            widths[i] = table_text_width(table->cells[i], &unprintable);
        }
        column_widths[i % n] = MAX(column_widths[i % n], widths[i]);
    }

    g_autoptr(GString) out = g_string_sized_new(2 * CHUNK_BYTES);
    for (gsize i = 0; i < n && !options->no_headings; i++) {
        const struct column *column = table->columns->chosen[i];
        append_cell(out, column->name, strlen(column->name), column_widths[i], column, i == n - 1);
    }
    for (gsize i = 0; i < n_cells; i++) {
        append_cell(out, table->cells[i], widths[i], column_widths[i % n], table->columns->chosen[i % n],
                    i % n == n - 1);
        if (out->len >= CHUNK_BYTES)
            write_out(out);
    }
    write_out(out);
}

void table_print(const struct table *table, const struct listing_options *options)
{
    if (table->n_rows == 0)
        return;
    if (options->raw || options->tree || isatty(STDOUT_FILENO))
        print_smartcols(table, options);
    else
        print_aligned(table, options);
}
