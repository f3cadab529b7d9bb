/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs top: the counters of views again and again, the busiest first. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/table.h"

static const struct column columns[] = {
    {"NAME", 0.2, COLUMN_SHORTENS, "the view's name", "name"},
    {"GID", 5, COLUMN_RIGHT, "its gid", "gid"},
    {"REQ/S", 7, COLUMN_RIGHT, "requests a second since the look before", NULL},
    {"REQUESTS", 9, COLUMN_RIGHT, "requests that the worker answered", "total_requests"},
    {"QUEUE", 5, COLUMN_RIGHT, "requests that it works on", "queue"},
    {"INODES", 8, COLUMN_RIGHT, "inodes that the kernel knows", "inodes"},
    {"FDS", 6, COLUMN_RIGHT, "descriptors that the view holds", "open_fds"},
    {"RSS", 10, COLUMN_RIGHT, "memory of the worker in bytes", "rss_bytes"},
};
#define N_COLUMNS G_N_ELEMENTS(columns)
#define RATE      2 /* the column that is computed here */

struct look {
    gint64 at_us;
    GHashTable *totals; /* name → gint64 number of requests, of the look before; NULL at first */
};

struct row {
    gint64 rate;
    char *cells[N_COLUMNS];
};

static void row_free(void *data)
{
    struct row *row = data;
    for (gsize i = 0; i < N_COLUMNS; i++)
        g_free(row->cells[i]);
    g_free(row);
}

static gint busiest_first(gconstpointer a, gconstpointer b)
{
    const struct row *left = *(const struct row *const *)a, *right = *(const struct row *const *)b;
    if (left->rate != right->rate)
        return left->rate < right->rate ? 1 : -1;
    return strcmp(left->cells[0], right->cells[0]);
}

static char *value_text(const json_doc *doc, guint32 view, const char *field)
{
    guint32 value = field ? json_doc_member(doc, view, field) : JSON_DOC_NONE;
    const char *string = json_doc_string(doc, value);
    gint64 number;
    if (string)
        return g_strdup(string);
    return json_doc_int64(doc, value, &number) == 0 ? g_strdup_printf("%" G_GINT64_FORMAT, number) : g_strdup("");
}

/* What a view did since the last look; it may have been replaced meanwhile, and counts from 0 again. */
static gint64 rate_of(const struct look *before, const char *name, gint64 total, gint64 now_us)
{
    gint64 *then = before->totals ? g_hash_table_lookup(before->totals, name) : NULL;
    gint64 elapsed_us = MAX(1, now_us - before->at_us);
    return then && total >= *then ? (total - *then) * G_USEC_PER_SEC / elapsed_us : 0;
}

static struct row *row_of(const json_doc *doc, guint32 view, struct look *before, GHashTable *totals, gint64 now_us)
{
    struct row *row = g_new0(struct row, 1);
    gint64 total = 0;
    for (gsize i = 0; i < N_COLUMNS; i++)
        row->cells[i] = value_text(doc, view, columns[i].field);
    if (json_doc_int64(doc, json_doc_member(doc, view, "total_requests"), &total) == 0)
        g_hash_table_insert(totals, g_strdup(row->cells[0]), g_memdup2(&total, sizeof(total)));
    row->rate = rate_of(before, row->cells[0], total, now_us);
    g_free(row->cells[RATE]);
    row->cells[RATE] = before->totals ? g_strdup_printf("%" G_GINT64_FORMAT, row->rate) : g_strdup("");
    return row;
}

static void print_rows(GPtrArray *rows)
{
    struct column_choice choice = {.n = N_COLUMNS};
    g_autofree const char **cells = g_new(const char *, rows->len *N_COLUMNS + 1);
    for (gsize i = 0; i < N_COLUMNS; i++)
        choice.chosen[i] = &columns[i];
    for (guint i = 0; i < rows->len; i++)
        memcpy(&cells[i * N_COLUMNS], ((struct row *)rows->pdata[i])->cells, sizeof(char *) * N_COLUMNS);
    struct table table = {.columns = &choice, .cells = cells, .n_rows = rows->len};
    table_print(&table, &(struct listing_options){0});
}

static enum cli_status look_once(struct cli *cli, struct look *look)
{
    g_autoptr(gidfs_result) stats = NULL;
    g_autoptr(json_doc) doc = NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
    GHashTable *totals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    enum cli_status status = cli_call(cli, "GET", "/v1/stats", &stats);
    gint64 now_us = g_get_monotonic_time();
    if (status == CLI_OK) {
        doc = listing_read(stats);
        guint32 views = json_doc_member(doc, 0, "views");
        for (guint32 at = json_doc_first(doc, views); at != JSON_DOC_NONE; at = json_doc_next(doc, views, at))
            g_ptr_array_add(rows, row_of(doc, at, look, totals, now_us));
        g_ptr_array_sort(rows, busiest_first);
        if (isatty(STDOUT_FILENO))
            printf("\033[H\033[J");
        print_rows(rows);
    }
    g_clear_pointer(&look->totals, g_hash_table_unref);
    *look = (struct look){.at_us = now_us, .totals = totals};
    return status;
}

COMMAND(cmd_top)
{
    gint delay_s = 2, rounds = 0;
    const GOptionEntry entries[] = {
        {"delay", 'd', 0, G_OPTION_ARG_INT, &delay_s, "Seconds between two looks (2)", "SECONDS"},
        {"iterations", 'n', 0, G_OPTION_ARG_INT, &rounds, "How many looks (1 where the output is no terminal)", "N"},
        {0},
    };
    struct look look = {0};
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    if (delay_s < 1 || delay_s > 3600 || rounds < 0)
        return cli_usage(command, "--delay takes 1 to 3600 seconds, --iterations a number from 0 on");
    if (rounds == 0 && !isatty(STDOUT_FILENO))
        rounds = 1;
    enum cli_status status = look_once(cli, &look);
    for (gint round = 1; status == CLI_OK && round != rounds; round++) {
        fflush(stdout);
        g_usleep((gulong)delay_s * G_USEC_PER_SEC);
        status = look_once(cli, &look);
    }
    g_clear_pointer(&look.totals, g_hash_table_unref);
    return status;
}
