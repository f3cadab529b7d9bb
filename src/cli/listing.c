/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "cli/table.h"

static const struct column *find_column(const struct listing *listing, const char *name)
{
    for (gsize i = 0; i < listing->n_columns; i++) {
        if (g_ascii_strcasecmp(listing->columns[i].name, name) == 0)
            return &listing->columns[i];
    }
    return NULL;
}

static void print_column_help(const struct listing *listing)
{
    for (gsize i = 0; i < listing->n_columns; i++)
        printf("%-14s %s\n", listing->columns[i].name, listing->columns[i].help);
}

static char *known_columns(const struct listing *listing)
{
    GString *names = g_string_new(NULL);
    for (gsize i = 0; i < listing->n_columns; i++)
        g_string_append_printf(names, "%s%s", i ? " " : "", listing->columns[i].name);
    return g_string_free(names, FALSE);
}

static enum cli_status choose_from(const struct command *command, const struct listing *listing, const char *text,
                                   struct column_choice *choice)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name; name++) {
        const struct column *column = find_column(listing, *name);
        if (!column) {
            g_autofree char *known = known_columns(listing);
            return cli_usage(command, "unknown column \"%s\"; there are: %s", *name, known);
        }
        if (choice->n == G_N_ELEMENTS(choice->chosen))
            return cli_usage(command, "more than %zu columns", G_N_ELEMENTS(choice->chosen));
        choice->chosen[choice->n++] = column;
    }
    return CLI_OK;
}

enum cli_status listing_choose(const struct command *command, const struct listing *listing, const char *text,
                               struct column_choice *ret_choice)
{
    *ret_choice = (struct column_choice){0};
    if (text && strcmp(text, "help") == 0) {
        print_column_help(listing);
        return CLI_OK;
    }
    enum cli_status status = CLI_OK;
    if (!text || *text == '+')
        status = choose_from(command, listing, listing->defaults, ret_choice);
    if (text && status == CLI_OK)
        status = choose_from(command, listing, *text == '+' ? text + 1 : text, ret_choice);
    return status;
}

/* The text of a value in a table. Numbers are not terminated in the document: scratch keeps what has to be written. */
static const char *cell_text(const json_doc *doc, guint32 node, GStringChunk *scratch)
{
    g_autoptr(GString) text = NULL;
    switch (json_doc_type(doc, node)) {
    case JSON_DOC_ABSENT:
    case JSON_DOC_NULL:
        return "";
    case JSON_DOC_BOOLEAN:
        return json_doc_true(doc, node) ? "yes" : "no";
    case JSON_DOC_STRING:
        return json_doc_string(doc, node);
    default:
        break;
    }
    text = g_string_new(NULL);
    if (json_doc_type(doc, node) != JSON_DOC_ARRAY) {
        json_doc_write(doc, node, text);
        return g_string_chunk_insert(scratch, text->str);
    }
    for (guint32 at = json_doc_first(doc, node); at != JSON_DOC_NONE; at = json_doc_next(doc, node, at))
        g_string_append_printf(text, "%s%s", text->len ? "," : "", cell_text(doc, at, scratch));
    return g_string_chunk_insert(scratch, text->str);
}

static void print_json_rows(const struct listing *listing, const struct column_choice *choice, const json_doc *doc,
                            guint32 rows)
{
    g_autoptr(GString) out = g_string_new("{");
    json_append_string(out, listing->rows);
    g_string_append(out, ":[");
    guint32 first = json_doc_first(doc, rows);
    for (guint32 row = first; row != JSON_DOC_NONE; row = json_doc_next(doc, rows, row)) {
        g_string_append(out, row == first ? "{" : ",{");
        for (gsize i = 0; i < choice->n; i++) {
            g_string_append(out, i ? "," : "");
            json_append_string(out, choice->chosen[i]->field);
            g_string_append_c(out, ':');
            json_doc_write(doc, json_doc_member(doc, row, choice->chosen[i]->field), out);
        }
        g_string_append_c(out, '}');
    }
    g_string_append(out, "]}\n");
    fwrite(out->str, 1, out->len, stdout);
}

static void print_rows(const struct listing_options *options, const struct column_choice *choice, const json_doc *doc,
                       guint32 rows)
{
    gsize n_rows = json_doc_count(doc, rows), row = 0, parent = G_MAXSIZE;
    g_autofree const char **cells = g_new(const char *, n_rows * choice->n + 1);
    g_autofree gsize *parents = options->tree ? g_new(gsize, n_rows + 1) : NULL;
    g_autoptr(GStringChunk) scratch = g_string_chunk_new(16 * 1024);
    for (guint32 at = json_doc_first(doc, rows); at != JSON_DOC_NONE; at = json_doc_next(doc, rows, at), row++) {
        for (gsize i = 0; i < choice->n; i++) {
            guint32 value = json_doc_member(doc, at, choice->chosen[i]->field);
            cells[row * choice->n + i] = cell_text(doc, value, scratch);
        }
        if (!parents)
            continue;
        gboolean child = g_strcmp0(json_doc_string(doc, json_doc_member(doc, at, "type")), "attachment") == 0;
        parents[row] = child ? parent : G_MAXSIZE;
        if (!child)
            parent = row;
    }
    struct table table = {.columns = choice, .cells = cells, .parents = parents, .n_rows = n_rows};
    table_print(&table, options);
}

json_doc *listing_read(const gidfs_result *result)
{
    json_doc *doc = NULL;
    const char *text = gidfs_result_json(result);
    g_autoptr(GError) error = NULL;
    if (json_doc_parse(text, strlen(text), &doc, &error) < 0) {
        cli_error("the service's answer makes no sense: %s", error->message);
        exit(CLI_FAILED);
    }
    return doc;
}

void listing_print(const struct listing *listing, const struct listing_options *options,
                   const struct column_choice *choice, const gidfs_result *result)
{
    if (options->json && !options->columns) {
        cli_print_json(result);
        return;
    }
    g_autoptr(json_doc) doc = listing_read(result);
    guint32 rows = json_doc_member(doc, 0, listing->rows);
    if (options->json)
        print_json_rows(listing, choice, doc, rows);
    else
        print_rows(options, choice, doc, rows);
}

enum cli_status listing_run(struct cli *cli, const struct command *command, const struct listing *listing,
                            const struct listing_options *options, const char *path)
{
    struct column_choice choice;
    g_autoptr(gidfs_result) result = NULL;
    enum cli_status status = listing_choose(command, listing, options->columns, &choice);
    if (status != CLI_OK || choice.n == 0)
        return status;
    status = cli_call(cli, "GET", path, &result);
    if (status == CLI_OK)
        listing_print(listing, options, &choice, result);
    return status;
}

enum cli_status listing_command(struct cli *cli, const struct command *command, const struct listing *listing,
                                const char *path, int argc, char **argv)
{
    g_auto(listing_options) options = {0};
    const GOptionEntry entries[] = {LISTING_ENTRIES(options), {0}};
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    return listing_run(cli, command, listing, &options, path);
}

void listing_print_object(const gidfs_result *result, gboolean as_json)
{
    if (as_json) {
        cli_print_json(result);
        return;
    }
    g_autoptr(json_doc) doc = listing_read(result);
    g_autoptr(GStringChunk) scratch = g_string_chunk_new(1024);
    for (guint32 key = json_doc_first(doc, 0); key != JSON_DOC_NONE; key = json_doc_next(doc, 0, key)) {
        g_autofree char *value = g_strdup(cell_text(doc, key + 1, scratch));
        message_make_one_line(value);
        printf("%-14s %s\n", json_doc_string(doc, key), value);
    }
}

enum cli_status listing_print_errors(const gidfs_result *result, const char *array, const char *reason)
{
    g_autoptr(json_doc) doc = listing_read(result);
    guint32 errors = json_doc_member(doc, 0, array);
    for (guint32 at = json_doc_first(doc, errors); at != JSON_DOC_NONE; at = json_doc_next(doc, errors, at)) {
        const char *name = json_doc_string(doc, json_doc_member(doc, at, "name"));
        const char *message = json_doc_string(doc, json_doc_member(doc, at, reason));
        cli_error("%s: %s", name ? name : "?", message ? message : "failed");
    }
    return json_doc_count(doc, errors) ? CLI_FAILED : CLI_OK;
}
