/* SPDX-License-Identifier: Apache-2.0 */
/* The care of the service: gidfs recover, stats, status, drain, upgrade. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"

static const struct column plan_columns[] = {
    {"ACTION", 8, 0, "adopt, mount, unmount, release, cleanup, forget or leave", "action"},
    {"WHAT", 10, 0, "volume, view, attachment, container, rootfs or mount", "what"},
    {"NAME", 0.2, COLUMN_TREE, "its name or id", "name"},
    {"TARGET", 0.3, COLUMN_SHORTENS, "where it is", "target"},
    {"DONE", 3, 0, "whether it was done", "done"},
    {"REASON", 0.3, COLUMN_SHORTENS, "why", "reason"},
    {"ERROR", 0.3, COLUMN_SHORTENS, "what went wrong", "error"},
};

static const struct listing plan_listing = LISTING("plan", plan_columns, "ACTION,WHAT,NAME,TARGET,DONE,REASON,ERROR");

static const struct column stats_columns[] = {
    {"NAME", 0.2, COLUMN_TREE, "the view's name", "name"},
    {"GID", 5, COLUMN_RIGHT, "its gid", "gid"},
    {"REQUESTS", 8, COLUMN_RIGHT, "requests that the worker answered", "total_requests"},
    {"INODES", 7, COLUMN_RIGHT, "inodes that the kernel knows", "inodes"},
    {"FDS", 5, COLUMN_RIGHT, "descriptors that the view holds", "open_fds"},
    {"RSS", 9, COLUMN_RIGHT, "memory of the worker in bytes", "rss_bytes"},
    {"RESTARTS", 4, COLUMN_RIGHT, "how often the worker had to be replaced", "worker_restarts"},
    {"QUEUE", 4, COLUMN_RIGHT, "requests that it works on", "queue"},
    {"PASSTHROUGH", 3, 0, "whether data goes through the kernel alone", "passthrough"},
    {"CACHE", 6, 0, "what the kernel may keep", "cache"},
    {"WATCH", 11, 0, "how changes behind the view are noticed", "watch"},
};

static const struct listing stats_listing =
    LISTING("views", stats_columns, "NAME,GID,REQUESTS,INODES,FDS,RSS,RESTARTS,QUEUE,PASSTHROUGH");

static const struct column upgrade_columns[] = {
    {"NAME", 0.2, COLUMN_TREE, "the view's name", "name"},
    {"FROM", 8, 0, "the version that served it", "from"},
    {"TO", 8, 0, "the version that serves it now", "to"},
    {"PAUSE-MS", 8, COLUMN_RIGHT, "how long requests had to wait", "pause_ms"},
};

static const struct listing upgrade_listing = LISTING("upgraded", upgrade_columns, "NAME,FROM,TO,PAUSE-MS");

static enum cli_status plan_status(const gidfs_result *plan)
{
    enum cli_status status = CLI_OK;
    gsize n = gidfs_result_length(plan, "plan");
    for (gsize i = 0; i < n; i++) {
        g_autofree char *error = g_strdup_printf("plan.%zu.error", i);
        if (gidfs_result_string(plan, error))
            status = CLI_FAILED;
    }
    return status;
}

COMMAND(cmd_recover)
{
    g_auto(GStrv) live = NULL;
    gboolean dry_run = FALSE, none_live = FALSE;
    g_auto(listing_options) options = {0};
    const GOptionEntry entries[] = {
        {"live", 0, 0, CLI_ARG_TEXTS, &live, "A container that still runs; all others are cleaned up", "ID"},
        {"none-live", 0, 0, G_OPTION_ARG_NONE, &none_live, "No container runs: clean up after all", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "Only print the plan", NULL},
        LISTING_ENTRIES(options),
        {0},
    };
    struct column_choice choice;
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    if (live && none_live)
        return cli_usage(command, "--live and --none-live exclude each other");
    enum cli_status status = listing_choose(command, &plan_listing, options.columns, &choice);
    if (status != CLI_OK || choice.n == 0)
        return status;

    struct json_object body = json_object_begin();
    json_object_add_true(&body, "dry_run", dry_run);
    if (live || none_live)
        json_object_add_strings(&body, "live", (const char *const *)live, live ? g_strv_length(live) : 0);
    g_autoptr(gidfs_result) plan = NULL;
    status = cli_post(cli, "/v1/recover", &body, &plan);
    if (status != CLI_OK)
        return status;
    listing_print(&plan_listing, &options, &choice, plan);
    return plan_status(plan);
}

COMMAND(cmd_stats)
{
    g_auto(listing_options) options = {0};
    const GOptionEntry entries[] = {LISTING_ENTRIES(options), {0}};
    if (!cli_parse(command, entries, 0, 1, &argc, &argv))
        return CLI_USAGE;
    if (argc == 0)
        return listing_run(cli, command, &stats_listing, &options, "/v1/stats");

    g_autofree char *path = cli_path("stats", argv[0], "");
    g_autoptr(gidfs_result) stats = NULL;
    if (options.columns || options.raw)
        return cli_usage(command, "-o and --raw are for the list of all views");
    enum cli_status status = cli_call(cli, "GET", path, &stats);
    if (status != CLI_OK)
        return status;
    listing_print_object(stats, options.json);
    return CLI_OK;
}

COMMAND(cmd_status)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {{"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL}, {0}};
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    g_autoptr(gidfs_result) service = NULL;
    enum cli_status status = cli_call(cli, "GET", "/v1/service", &service);
    if (status != CLI_OK)
        return status;
    listing_print_object(service, json);
    return CLI_OK;
}

COMMAND(cmd_drain)
{
    gboolean force = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Views that are attached, too", NULL},
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {0},
    };
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    struct json_object body = json_object_begin();
    json_object_add_true(&body, "force", force);
    g_autoptr(gidfs_result) drained = NULL;
    enum cli_status status = cli_post(cli, "/v1/drain", &body, &drained);
    if (status != CLI_OK)
        return status;
    if (json) {
        cli_print_json(drained);
        return gidfs_result_length(drained, "left") ? CLI_FAILED : CLI_OK;
    }
    gsize n = gidfs_result_length(drained, "unmounted");
    for (gsize i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("unmounted.%zu", i);
        printf("unmounted %s\n", gidfs_result_string(drained, path));
    }
    return listing_print_errors(drained, "left", "reason");
}

COMMAND(cmd_upgrade)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {{"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL}, {0}};
    if (!cli_parse(command, entries, 0, 1, &argc, &argv))
        return CLI_USAGE;
    struct json_object body = json_object_begin();
    json_object_add_string(&body, "name", argc ? argv[0] : NULL);
    g_autoptr(gidfs_result) upgraded = NULL;
    enum cli_status status = cli_post(cli, "/v1/upgrade", &body, &upgraded);
    if (status != CLI_OK)
        return status;
    if (json) {
        cli_print_json(upgraded);
        return gidfs_result_length(upgraded, "errors") ? CLI_FAILED : CLI_OK;
    }
    struct column_choice choice;
    listing_choose(command, &upgrade_listing, NULL, &choice);
    listing_print(&upgrade_listing, &(listing_options){0}, &choice, upgraded);
    printf("service %s\n", gidfs_result_string(upgraded, "service"));
    return listing_print_errors(upgraded, "errors", "message");
}
