/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs attach, detach and ls. */

#include "cli/commands.h"
#include "cli/listing.h"

static const struct column infos[] = {
    {"NAME", 0.15, COLUMN_TREE, "the volume's or rootfs's name", "name"},
    {"GID", 5, COLUMN_RIGHT, "its gid", "gid"},
    {"POLICY", 6, 0, "which modes are reported", "policy"},
    {"STATE", 8, 0, "prepared, mounted, releasing, failed, missing, dead; gone or handed (to the runtime)", "state"},
    {"SOURCE", 0.2, COLUMN_SHORTENS, "the directory that is shown", "source"},
    {"VIEW", 0.2, COLUMN_SHORTENS, "where the view is mounted", "view"},
    {"TARGET", 0.2, COLUMN_SHORTENS, "where it is attached", "target"},
    {"CONTAINER", 0.1, COLUMN_SHORTENS, "for which container", "container"},
    {"TYPE", 10, 0, "volume, attachment or rootfs", "type"},
    {"KIND", 10, 0, "persistent or sandbox", "kind"},
    {"CHGRP", 6, 0, "what a change to another group gets", "chgrp"},
    {"CACHE", 6, 0, "what the kernel may keep", "cache"},
    {"READ-ONLY", 3, 0, "whether nothing can be written", "read_only"},
    {"EXCLUSIVE", 3, 0, "whether it is for one container at a time", "exclusive"},
    {"PROPAGATION", 8, 0, "of an attachment's mount", "propagation"},
    {"MECHANISM", 5, 0, "how it is shown: fuse, or copy", "mechanism"},
    {"REASON", 0.2, COLUMN_SHORTENS, "why this mechanism", "reason"},
    {"ATTACHMENTS", 3, COLUMN_RIGHT, "how many attachments there are", "attachments"},
    {"PID", 7, COLUMN_RIGHT, "the process in whose namespace it is attached", "pid"},
    {"KEEPER", 7, COLUMN_RIGHT, "pid of the view's keeper", "keeper_pid"},
    {"WORKER", 7, COLUMN_RIGHT, "pid of the view's worker", "worker_pid"},
    {"CREATED", 20, 0, "since when", "created_at"},
    {"NOTE", 0.2, COLUMN_SHORTENS, "where table and kernel differ", "note"},
};

static const struct listing ls_listing = LISTING("rows", infos, "NAME,GID,POLICY,STATE,SOURCE,VIEW,TARGET,CONTAINER");

/* Asks for no more than is printed: with ten thousand rows that is most of the time. */
static char *ls_path(const struct listing_options *options, const struct column_choice *choice)
{
    if (options->json && !options->columns)
        return g_strdup("/v1/ls");
    g_autoptr(GString) path = g_string_new("/v1/ls?fields=");
    g_string_append(path, options->tree ? "type," : "");
    for (gsize i = 0; i < choice->n; i++)
        g_string_append_printf(path, "%s%s", i ? "," : "", choice->chosen[i]->field);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

COMMAND(cmd_ls)
{
    g_auto(listing_options) options = {0};
    const GOptionEntry entries[] = {
        LISTING_ENTRIES(options),
        {"tree", 't', 0, G_OPTION_ARG_NONE, &options.tree, "Show attachments below their volume", NULL},
        {0},
    };
    struct column_choice choice;
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    if (options.tree + options.json + options.raw > 1)
        return cli_usage(command, "--tree, --json and --raw exclude each other");
    enum cli_status status = listing_choose(command, &ls_listing, options.columns, &choice);
    if (status != CLI_OK || choice.n == 0)
        return status;

    g_autofree char *path = ls_path(&options, &choice);
    g_autoptr(gidfs_result) result = NULL;
    status = cli_call(cli, "GET", path, &result);
    if (status == CLI_OK)
        listing_print(&ls_listing, &options, &choice, result);
    return status;
}

COMMAND(cmd_attach)
{
    g_autofree char *container = NULL, *pid = NULL, *propagation = NULL;
    gboolean read_only = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"read-only", 0, 0, G_OPTION_ARG_NONE, &read_only, "Nothing can be written there", NULL},
        {"container", 0, 0, CLI_ARG_TEXT, &container, "For this container", "ID"},
        {"pid", 0, 0, CLI_ARG_TEXT, &pid, "In this process's mount namespace", "PID"},
        {"propagation", 0, 0, CLI_ARG_TEXT, &propagation,
         "private (default), shared, slave, unbindable, or with an r before it", "WORD"},
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print the attachment as JSON", NULL},
        {0},
    };
    struct gidfs_attach_options options = GIDFS_ATTACH_OPTIONS_INIT;
    if (!cli_parse(command, entries, 2, 2, &argc, &argv) || !cli_read_pid(command, pid, &options.pid))
        return CLI_USAGE;
    g_autofree char *target = cli_absolute(argv[1]);
    g_autoptr(gidfs_result) attachment = NULL;
    options.volume = argv[0];
    options.target = target;
    options.container = container;
    options.propagation = propagation;
    options.flags = read_only ? GIDFS_READ_ONLY : 0;
    enum cli_status status = cli_finish(cli, gidfs_attach(cli_client(cli), &options, &attachment));
    if (status == CLI_OK && json)
        cli_print_json(attachment);
    return status;
}

COMMAND(cmd_detach)
{
    g_autofree char *pid_text = NULL;
    gboolean force = FALSE;
    gint32 pid = 0;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Although it is in use (lazily)", NULL},
        {"pid", 0, 0, CLI_ARG_TEXT, &pid_text, "In this process's mount namespace", "PID"},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, &argc, &argv) || !cli_read_pid(command, pid_text, &pid))
        return CLI_USAGE;
    g_autofree char *target = cli_absolute(argv[0]);
    return cli_finish(cli, gidfs_detach(cli_client(cli), target, pid, force ? GIDFS_FORCE : 0));
}
