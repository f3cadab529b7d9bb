/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

#include "base/json.h"
#include "base/json_object.h"
#include "gidfs/gidfs.h"

/*
 * What the commands of gidfs share. A command is a function that gets its own arguments and returns an exit status; it
 * says what is wrong on standard error, in one line.
 */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
};

struct cli {
    const char *socket; /* NULL: as the library finds it */
    int timeout_ms;     /* 0: the library's default */
    gidfs_client *client;
};

struct command {
    const char *words;     /* "volume create" */
    const char *arguments; /* "NAME SOURCE" */
    const char *summary;
    enum cli_status (*run)(struct cli *cli, const struct command *command, int argc, char **argv);
};

/*
 * The value of an option, and of one that may be repeated, as it was typed. GLib's own kind for text (ARG_STRING)
 * turns it into UTF-8 from the locale's encoding, and so takes nothing but ASCII where LANG is not set: in services
 * and hooks.
 */
#define CLI_ARG_TEXT G_OPTION_ARG_FILENAME
#define CLI_ARG_TEXTS G_OPTION_ARG_FILENAME_ARRAY

/* One line on standard error: "gidfs: " and the message. */
void cli_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/*
 * Reads the options and checks the number of what is left (max_args -1: any number). On success *argv[0] is the first
 * argument, and neither an argument nor a CLI_ARG_TEXT is empty. --help prints the command's page and ends the process.
 * FALSE after a usage error, which has been told.
 */
gboolean cli_parse(const struct command *command, const GOptionEntry *entries, int min_args, int max_args, int *argc,
                   char ***argv);

/* Usage errors that only a command can see; prints the message with the way to its help, and returns CLI_USAGE. */
enum cli_status cli_usage(const struct command *command, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A handle, made at its first use. */
gidfs_client *cli_client(struct cli *cli);

/* Turns what a function of the library returned into a status, telling its error. */
enum cli_status cli_finish(struct cli *cli, int result);

/* A request of the API; ret_result may be NULL. The second ends and sends the object. */
enum cli_status cli_call(struct cli *cli, const char *method, const char *path, gidfs_result **ret_result);
enum cli_status cli_post(struct cli *cli, const char *path, struct json_object *object, gidfs_result **ret_result);

/* "/v1/KIND/NAME" and the suffix, with the name percent-encoded. The caller frees it. */
char *cli_path(const char *kind, const char *name, const char *suffix);

/* A path as the service needs it: absolute. The caller frees it. */
char *cli_absolute(const char *path);

/* A uid, gid or count: a usage error for anything else. */
gboolean cli_read_id(const struct command *command, const char *what, const char *text, guint32 *ret_id);

/* A pid, 0 for NULL. */
gboolean cli_read_pid(const struct command *command, const char *text, gint32 *ret_pid);

/* The answer on one line of standard output. */
void cli_print_json(const gidfs_result *result);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(gidfs_result, gidfs_result_free)
