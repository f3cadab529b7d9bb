/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "core/number.h"

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    message_print("gidfs", message);
}

enum cli_status cli_usage(const struct command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    cli_error("%s: %s (see gidfs %s --help)", command->words, message, command->words);
    return CLI_USAGE;
}

static gboolean is_given_empty(const GOptionEntry *entry)
{
    if (entry->arg == CLI_ARG_TEXT) {
        const char *value = *(char **)entry->arg_data;
        return value && !*value;
    }
    char **values = entry->arg == CLI_ARG_TEXTS ? *(char ***)entry->arg_data : NULL;
    return values && g_strv_contains((const char *const *)values, "");
}

/* Emptiness is a variable that a script forgot to set; as a path it would mean the current directory. */
static gboolean check_empty(const struct command *command, const GOptionEntry *entries, int argc, char **argv)
{
    for (const GOptionEntry *entry = entries; entry && entry->long_name; entry++) {
        if (is_given_empty(entry)) {
            cli_usage(command, "--%s has an empty value", entry->long_name);
            return FALSE;
        }
    }
    for (int i = 0; i < argc; i++) {
        if (!*argv[i]) {
            cli_usage(command, "argument %d is empty; expected: %s", i + 1, command->arguments);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean cli_parse(const struct command *command, const GOptionEntry *entries, int min_args, int max_args, int *argc,
                   char ***argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_strconcat("gidfs ", command->words, NULL);
    g_autoptr(GOptionContext) context = g_option_context_new(command->arguments);
    g_option_context_set_summary(context, command->summary);
    if (entries)
        g_option_context_add_main_entries(context, entries, NULL);
    g_set_prgname(program);
    gboolean parsed = g_option_context_parse(context, argc, argv, &error);
    if (!parsed) {
        cli_usage(command, "%s", error->message);
        return FALSE;
    }

    /* what is behind "--" comes with it */
    if (*argc > 1 && strcmp((*argv)[1], "--") == 0) {
        (*argv)++;
        (*argc)--;
    }
    (*argv)++;
    (*argc)--;
    if (*argc < min_args || (max_args >= 0 && *argc > max_args)) {
        cli_usage(command, "%s; expected: %s", *argc < min_args ? "too few arguments" : "too many arguments",
                  *command->arguments ? command->arguments : "none");
        return FALSE;
    }
    return check_empty(command, entries, *argc, *argv);
}

gidfs_client *cli_client(struct cli *cli)
{
    if (!cli->client && gidfs_open(cli->socket, cli->timeout_ms, &cli->client) < 0)
        g_error("cannot make a handle");
    return cli->client;
}

enum cli_status cli_finish(struct cli *cli, int result)
{
    if (result >= 0)
        return CLI_OK;
    cli_error("%s", gidfs_error_message(cli->client));
    return CLI_FAILED;
}

enum cli_status cli_call(struct cli *cli, const char *method, const char *path, gidfs_result **ret_result)
{
    return cli_finish(cli, gidfs_call(cli_client(cli), method, path, NULL, ret_result));
}

enum cli_status cli_post(struct cli *cli, const char *path, struct json_object *object, gidfs_result **ret_result)
{
    g_autofree char *body = NULL;
    g_autoptr(GError) error = NULL;
    if (json_object_end(object, &body, &error) < 0) {
        cli_error("%s", error->message);
        return CLI_FAILED;
    }
    return cli_finish(cli, gidfs_call(cli_client(cli), "POST", path, body, ret_result));
}

char *cli_path(const char *kind, const char *name, const char *suffix)
{
    g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);
    return g_strdup_printf("/v1/%s/%s%s", kind, escaped, suffix);
}

char *cli_absolute(const char *path)
{
    return g_path_is_absolute(path) ? g_strdup(path) : g_canonicalize_filename(path, NULL);
}

gboolean cli_read_id(const struct command *command, const char *what, const char *text, guint32 *ret_id)
{
    guint64 number;
    if (number_parse(text, strlen(text), G_MAXUINT32 - 1, &number) < 0) {
        cli_usage(command, "%s \"%s\" is not a number from 0 to %u", what, text, G_MAXUINT32 - 1);
        return FALSE;
    }
    *ret_id = (guint32)number;
    return TRUE;
}

gboolean cli_read_pid(const struct command *command, const char *text, gint32 *ret_pid)
{
    guint64 number = 0;
    if (text && (number_parse(text, strlen(text), G_MAXINT32, &number) < 0 || number == 0)) {
        cli_usage(command, "\"%s\" is not the id of a process", text);
        return FALSE;
    }
    *ret_pid = (gint32)number;
    return TRUE;
}

void cli_print_json(const gidfs_result *result)
{
    const char *json = gidfs_result_json(result);
    gsize length = strlen(json);
    while (length > 0 && json[length - 1] == '\n')
        length--;
    printf("%.*s\n", (int)length, json);
}
