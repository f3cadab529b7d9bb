/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs volume … */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"

static const struct column volume_columns[] = {
    {"NAME", 0.15, COLUMN_TREE, "the volume's name", "name"},
    {"GID", 5, COLUMN_RIGHT, "its gid", "gid"},
    {"POLICY", 6, 0, "which modes are reported", "policy"},
    {"KIND", 10, 0, "persistent or sandbox", "kind"},
    {"STATE", 8, 0, "prepared, mounted, releasing or failed", "state"},
    {"SOURCE", 0.25, COLUMN_SHORTENS, "the directory that is shown", "source"},
    {"VIEW", 0.25, COLUMN_SHORTENS, "where the view is mounted", "view"},
    {"ATTACHMENTS", 3, COLUMN_RIGHT, "how many attachments there are", "attachments"},
    {"CONTAINERS", 0.2, COLUMN_SHORTENS, "the containers that use it", "containers"},
    {"CHGRP", 6, 0, "what a change to another group gets", "chgrp"},
    {"CACHE", 6, 0, "what the kernel may keep", "cache"},
    {"READ-ONLY", 3, 0, "whether nothing can be written", "read_only"},
    {"EXCLUSIVE", 3, 0, "whether it is for one container at a time", "exclusive"},
    {"MECHANISM", 5, 0, "how it is shown: fuse", "mechanism"},
    {"REASON", 0.2, COLUMN_SHORTENS, "why this mechanism", "reason"},
    {"KEEPER", 7, COLUMN_RIGHT, "pid of the view's keeper", "keeper_pid"},
    {"WORKER", 7, COLUMN_RIGHT, "pid of the view's worker", "worker_pid"},
    {"CREATED", 20, 0, "when it was created", "created_at"},
    {"NOTE", 0.2, COLUMN_SHORTENS, "where table and kernel differ", "note"},
};

static const struct listing volume_listing =
    LISTING("volumes", volume_columns, "NAME,GID,POLICY,KIND,STATE,SOURCE,VIEW,ATTACHMENTS");

/* The options of create as they are typed. */
typedef struct {
    char *kind, *policy, *chgrp, *cache, *gid;
    gboolean read_only, exclusive, json;
} create_options;

static void create_options_clear(create_options *o)
{
    g_free(o->kind);
    g_free(o->policy);
    g_free(o->chgrp);
    g_free(o->cache);
    g_free(o->gid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(create_options, create_options_clear)

static gboolean parse_create(const struct command *command, create_options *o, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"kind", 0, 0, CLI_ARG_TEXT, &o->kind, "persistent (default) or sandbox", "KIND"},
        {"policy", 0, 0, CLI_ARG_TEXT, &o->policy, "shared (default), mesos or fsgroup", "POLICY"},
        {"chgrp", 0, 0, CLI_ARG_TEXT, &o->chgrp, "What a change to another group gets: refuse or ignore", "C"},
        {"cache", 0, 0, CLI_ARG_TEXT, &o->cache, "auto (default), always or none", "C"},
        {"gid", 0, 0, CLI_ARG_TEXT, &o->gid, "This gid, instead of the lowest free one", "N"},
        {"read-only", 0, 0, G_OPTION_ARG_NONE, &o->read_only, "Nothing can be written through the view", NULL},
        {"exclusive", 0, 0, G_OPTION_ARG_NONE, &o->exclusive, "For one container at a time", NULL},
        {"json", 'J', 0, G_OPTION_ARG_NONE, &o->json, "Print JSON", NULL},
        {0},
    };
    return cli_parse(command, entries, 2, 2, argc, argv);
}

static void print_created(const gidfs_result *volume)
{
    int64_t gid = 0;
    if (gidfs_result_number(volume, "gid", &gid) < 0)
        gid = -1;
    printf("%s %lld %s\n", gidfs_result_string(volume, "name"), (long long)gid, gidfs_result_string(volume, "view"));
}

COMMAND(cmd_volume_create)
{
    g_auto(create_options) o = {0};
    struct gidfs_volume_options options = GIDFS_VOLUME_OPTIONS_INIT;
    if (!parse_create(command, &o, &argc, &argv))
        return CLI_USAGE;
    if (o.gid && !cli_read_id(command, "gid", o.gid, &options.gid))
        return CLI_USAGE;
    if (o.gid && options.gid == 0)
        return cli_usage(command, "gid 0 belongs to root and cannot be a volume's");

    g_autofree char *source = cli_absolute(argv[1]);
    g_autoptr(gidfs_result) volume = NULL;
    options.name = argv[0];
    options.source = source;
    options.kind = o.kind;
    options.policy = o.policy;
    options.chgrp = o.chgrp;
    options.cache = o.cache;
    options.flags = (o.read_only ? GIDFS_READ_ONLY : 0) | (o.exclusive ? GIDFS_EXCLUSIVE : 0);
    enum cli_status status = cli_finish(cli, gidfs_volume_create(cli_client(cli), &options, &volume));
    if (status != CLI_OK)
        return status;
    if (o.json)
        cli_print_json(volume);
    else
        print_created(volume);
    return CLI_OK;
}

COMMAND(cmd_volume_ls)
{
    return listing_command(cli, command, &volume_listing, "/v1/volumes", argc, argv);
}

COMMAND(cmd_volume_show)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {{"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL}, {0}};
    if (!cli_parse(command, entries, 1, 1, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *path = cli_path("volumes", argv[0], "");
    g_autoptr(gidfs_result) volume = NULL;
    enum cli_status status = cli_call(cli, "GET", path, &volume);
    if (status != CLI_OK)
        return status;
    listing_print_object(volume, json);
    return CLI_OK;
}

/* One that fails doesn't stop the others: each failure is told. */
static enum cli_status remove_below(struct cli *cli, const char *below, gboolean force)
{
    g_autofree char *absolute = cli_absolute(below);
    g_autofree char *escaped = g_uri_escape_string(absolute, NULL, FALSE);
    g_autofree char *path = g_strconcat("/v1/volumes?below=", escaped, force ? "&force=true" : "", NULL);
    g_autoptr(gidfs_result) result = NULL;
    enum cli_status status = cli_call(cli, "DELETE", path, &result);
    if (status != CLI_OK)
        return status;
    return listing_print_errors(result, "errors", "message");
}

COMMAND(cmd_volume_rm)
{
    gboolean force = FALSE;
    g_autofree char *below = NULL;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Detach it first where it is attached", NULL},
        {"below", 0, 0, CLI_ARG_TEXT, &below, "All volumes whose source is this directory or below it", "DIR"},
        {0},
    };
    if (!cli_parse(command, entries, 0, 1, &argc, &argv))
        return CLI_USAGE;
    if ((below != NULL) == (argc == 1))
        return cli_usage(command, "name one volume, or a directory with --below");
    if (below)
        return remove_below(cli, below, force);
    return cli_finish(cli, gidfs_volume_remove(cli_client(cli), argv[0], force ? GIDFS_FORCE : 0));
}

COMMAND(cmd_volume_abort)
{
    if (!cli_parse(command, NULL, 1, 1, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *path = cli_path("volumes", argv[0], "/abort");
    return cli_call(cli, "POST", path, NULL);
}
