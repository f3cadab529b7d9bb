/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/*
 * Lists of objects as tables and as JSON, from one description of the columns.
 */
enum {
    COLUMN_RIGHT = 1 << 0,    /* numbers */
    COLUMN_TREE = 1 << 1,     /* carries the branches of --tree */
    COLUMN_SHORTENS = 1 << 2, /* may lose its end to fit the terminal */
};

struct column {
    const char *name; /* "NAME" */
    double width;     /* the share of the terminal that it hopes for, or a number of characters from 1 on */
    unsigned flags;   /* COLUMN_… */
    const char *help;
    const char *field; /* the member of a row */
};

struct listing {
    const char *rows; /* the member of the answer that holds the rows */
    const struct column *columns;
    gsize n_columns;
    const char *defaults; /* "NAME,GID" */
};

/* The initializer of one; columns is an array. */
#define LISTING(rows_, columns_, defaults_)                                                                            \
    {                                                                                                                  \
        .rows = (rows_), .columns = (columns_), .n_columns = G_N_ELEMENTS(columns_), .defaults = (defaults_)           \
    }

/* The options that every list has. */
typedef struct listing_options {
    char *columns; /* owned */
    gboolean json;
    gboolean raw;
    gboolean no_headings;
    gboolean tree;
} listing_options;

static inline void listing_options_clear(listing_options *options)
{
    g_clear_pointer(&options->columns, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(listing_options, listing_options_clear)

#define LISTING_ENTRIES(options)                                                                                       \
    {"output", 'o', 0, CLI_ARG_TEXT, &(options).columns, "Columns to print (+COL adds; help lists them)", "COL,…"},    \
        {"json", 'J', 0, G_OPTION_ARG_NONE, &(options).json, "Print JSON", NULL},                                      \
        {"raw", 'r', 0, G_OPTION_ARG_NONE, &(options).raw, "Print values with one space between them", NULL},          \
    {                                                                                                                  \
        "noheadings", 'n', 0, G_OPTION_ARG_NONE, &(options).no_headings, "Print no line of headings", NULL             \
    }

/* Which columns to print, in order. */
struct column_choice {
    const struct column *chosen[64];
    gsize n;
};

/*
 * Reads -o (NULL: the defaults). "help" prints the columns and is CLI_OK with an empty choice; an unknown column is
 * told, with the known ones, and is CLI_USAGE.
 */
enum cli_status listing_choose(const struct command *command, const struct listing *listing, const char *text,
                               struct column_choice *ret_choice);

/*
 * Prints the answer as the options say: JSON as it came where no columns were asked for, else rows of the chosen ones.
 * In a tree, rows of type "attachment" hang below the last row that is none.
 */
void listing_print(const struct listing *listing, const struct listing_options *options,
                   const struct column_choice *choice, const gidfs_result *result);

/* Chooses, requests and prints. */
enum cli_status listing_run(struct cli *cli, const struct command *command, const struct listing *listing,
                            const struct listing_options *options, const char *path);

/* The whole of a command that lists and takes no arguments of its own. */
enum cli_status listing_command(struct cli *cli, const struct command *command, const struct listing *listing,
                                const char *path, int argc, char **argv);

/* The document of an answer, the caller's. Ends the program, with a message, where it is no JSON. */
json_doc *listing_read(const gidfs_result *result);

/* One object: as JSON, or a line for each member. */
void listing_print_object(const gidfs_result *result, gboolean as_json);

/*
 * Where an answer lists what failed: each one's "name" and the member that says why, on standard error. CLI_FAILED if
 * there was any.
 */
enum cli_status listing_print_errors(const gidfs_result *result, const char *array, const char *reason);
