/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs rootfs … and gidfs block … */
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/listing.h"

#define PROGRESS_WAIT_MS 500

static const struct column rootfs_columns[] = {
    {"ID", 0.2, COLUMN_TREE, "its id", "id"},
    {"KIND", 4, 0, "view or flat", "kind"},
    {"STATE", 8, 0, "prepared, mounted, releasing or failed", "state"},
    {"PATH", 0.3, COLUMN_SHORTENS, "where it is", "path"},
    {"LAYERS", 0.3, COLUMN_SHORTENS, "its layers, the lowest first", "layers"},
    {"UPPER", 0.2, COLUMN_SHORTENS, "where changes are kept", "upper"},
    {"READ-ONLY", 3, 0, "whether nothing can be written", "read_only"},
    {"GID", 5, COLUMN_RIGHT, "its gid", "gid"},
    {"POLICY", 6, 0, "which modes are reported", "policy"},
    {"UIDMAP", 0.1, COLUMN_SHORTENS, "its map of uids", "uidmap"},
    {"GIDMAP", 0.1, COLUMN_SHORTENS, "its map of gids", "gidmap"},
    {"WHITEOUTS", 7, 0, "the form in which deletions are written", "whiteouts"},
    {"CREATED", 20, 0, "since when", "created_at"},
    {"NOTE", 0.2, COLUMN_SHORTENS, "where table and kernel differ", "note"},
};

static const struct listing rootfs_listing = LISTING("rootfs", rootfs_columns, "ID,KIND,STATE,PATH,LAYERS,UPPER");

static const struct column block_columns[] = {
    {"ID", 0.3, COLUMN_TREE, "whose it is", "id"},
    {"START", 10, COLUMN_RIGHT, "its first id", "start"},
    {"COUNT", 6, COLUMN_RIGHT, "how many ids it has", "count"},
    {"CREATED", 20, 0, "since when", "created_at"},
};

static const struct listing block_listing = LISTING("blocks", block_columns, "ID,START,COUNT,CREATED");

static void add_layers(struct json_object *body, char **layers)
{
    g_autoptr(GPtrArray) absolute = g_ptr_array_new_with_free_func(g_free);
    for (char **layer = layers; *layer; layer++)
        g_ptr_array_add(absolute, cli_absolute(*layer));
    json_object_add_strings(body, "layers", (const char *const *)absolute->pdata, absolute->len);
}

static void add_path(struct json_object *body, const char *name, const char *path)
{
    g_autofree char *absolute = path ? cli_absolute(path) : NULL;
    json_object_add_string(body, name, absolute);
}

typedef struct {
    char **layers;
    char *uidmap, *gidmap, *gid, *policy, *whiteouts, *upper, *work;
    gboolean read_only, json;
} rootfs_options_t;

static gboolean parse_create(const struct command *command, rootfs_options_t *o, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"layer", 'l', 0, CLI_ARG_TEXTS, &o->layers, "A layer; the first is the lowest", "DIR"},
        {"read-only", 0, 0, G_OPTION_ARG_NONE, &o->read_only, "Without a writable upper layer", NULL},
        {"uidmap", 0, 0, CLI_ARG_TEXT, &o->uidmap, "Map of uids", "VIEW:DISK:COUNT[:…]"},
        {"gidmap", 0, 0, CLI_ARG_TEXT, &o->gidmap, "Map of gids", "VIEW:DISK:COUNT[:…]"},
        {"gid", 0, 0, CLI_ARG_TEXT, &o->gid, "Everything belongs to this gid", "N"},
        {"policy", 0, 0, CLI_ARG_TEXT, &o->policy, "Which modes are reported, with --gid", "POLICY"},
        {"whiteouts", 0, 0, CLI_ARG_TEXT, &o->whiteouts, "How deletions are written: overlay or aufs", "W"},
        {"upper", 0, 0, CLI_ARG_TEXT, &o->upper, "The upper layer, instead of the service's own", "DIR"},
        {"work", 0, 0, CLI_ARG_TEXT, &o->work, "The upper's work directory", "DIR"},
        {"json", 'J', 0, G_OPTION_ARG_NONE, &o->json, "Print JSON", NULL},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, argc, argv))
        return FALSE;
    if (!o->layers)
        cli_usage(command, "a rootfs needs at least one --layer");
    return o->layers != NULL;
}

static void rootfs_options_clear(rootfs_options_t *o)
{
    g_strfreev(o->layers);
    g_free(o->uidmap);
    g_free(o->gidmap);
    g_free(o->gid);
    g_free(o->policy);
    g_free(o->whiteouts);
    g_free(o->upper);
    g_free(o->work);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(rootfs_options_t, rootfs_options_clear)

COMMAND(cmd_rootfs_create)
{
    g_auto(rootfs_options_t) o = {0};
    guint32 gid = 0;
    if (!parse_create(command, &o, &argc, &argv) || (o.gid && !cli_read_id(command, "gid", o.gid, &gid)))
        return CLI_USAGE;
    struct json_object body = json_object_begin();
    json_object_add_string(&body, "id", argv[0]);
    add_layers(&body, o.layers);
    json_object_add_true(&body, "read_only", o.read_only);
    json_object_add_string(&body, "uidmap", o.uidmap);
    json_object_add_string(&body, "gidmap", o.gidmap);
    if (o.gid)
        json_object_add_int(&body, "gid", gid);
    json_object_add_string(&body, "policy", o.policy);
    json_object_add_string(&body, "whiteouts", o.whiteouts);
    add_path(&body, "upper", o.upper);
    add_path(&body, "work", o.work);

    g_autoptr(gidfs_result) rootfs = NULL;
    enum cli_status status = cli_post(cli, "/v1/rootfs", &body, &rootfs);
    if (status != CLI_OK)
        return status;
    if (o.json)
        cli_print_json(rootfs);
    else
        printf("%s %s\n", gidfs_result_string(rootfs, "id"), gidfs_result_string(rootfs, "path"));
    return CLI_OK;
}

COMMAND(cmd_rootfs_ls)
{
    return listing_command(cli, command, &rootfs_listing, "/v1/rootfs", argc, argv);
}

COMMAND(cmd_rootfs_rm)
{
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Although it is in use", NULL},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *path = cli_path("rootfs", argv[0], force ? "?force=true" : "");
    return cli_call(cli, "DELETE", path, NULL);
}

static void print_progress(const gidfs_result *operation)
{
    int64_t done = 0, total = 0, bytes = 0;
    if (!isatty(STDERR_FILENO) || gidfs_result_number(operation, "done_entries", &done) < 0)
        return;
    if (gidfs_result_number(operation, "done_bytes", &bytes) < 0)
        bytes = 0;
    if (gidfs_result_number(operation, "total_entries", &total) == 0 && total > 0) {
        int filled = (int)(done * 40 / total);
        fprintf(stderr, "\r[%.*s%.*s] %lld of %lld, %lld MiB\033[K", filled, "########################################",
                40 - filled, "                                        ", (long long)done, (long long)total,
                (long long)(bytes >> 20));
    } else {
        fprintf(stderr, "\r%lld entries, %lld MiB\033[K", (long long)done, (long long)(bytes >> 20));
    }
}

/* Waits for a long operation, showing how far it is. */
static enum cli_status follow(struct cli *cli, const char *id)
{
    g_autofree char *suffix = g_strdup_printf("?wait_ms=%d", PROGRESS_WAIT_MS);
    g_autofree char *path = cli_path("operations", id, suffix);
    for (;;) {
        g_autoptr(gidfs_result) operation = NULL;
        enum cli_status status = cli_call(cli, "GET", path, &operation);
        if (status != CLI_OK)
            return status;
        const char *state = gidfs_result_string(operation, "state");
        print_progress(operation);
        if (g_strcmp0(state, "running") == 0)
            continue;
        if (isatty(STDERR_FILENO))
            fputc('\n', stderr);
        if (g_strcmp0(state, "done") == 0)
            return CLI_OK;
        const char *message = gidfs_result_string(operation, "error.message");
        cli_error("%s", message ? message : "the operation failed without a reason");
        return CLI_FAILED;
    }
}

COMMAND(cmd_rootfs_flatten)
{
    g_auto(GStrv) layers = NULL;
    g_autofree char *id = NULL;
    const GOptionEntry entries[] = {
        {"layer", 'l', 0, CLI_ARG_TEXTS, &layers, "A layer; the first is the lowest", "DIR"},
        {"id", 0, 0, CLI_ARG_TEXT, &id, "The id it gets (default: made from the target)", "ID"},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, &argc, &argv))
        return CLI_USAGE;
    if (!layers)
        return cli_usage(command, "there is nothing to flatten without a --layer");
    struct json_object body = json_object_begin();
    json_object_add_string(&body, "id", id);
    add_layers(&body, layers);
    add_path(&body, "target", argv[0]);
    g_autoptr(gidfs_result) started = NULL;
    enum cli_status status = cli_post(cli, "/v1/rootfs/flatten", &body, &started);
    const char *operation = status == CLI_OK ? gidfs_result_string(started, "operation") : NULL;
    return operation ? follow(cli, operation) : status;
}

COMMAND(cmd_block_create)
{
    g_autofree char *count_text = NULL;
    gboolean json = FALSE;
    guint32 count = 0;
    const GOptionEntry entries[] = {
        {"count", 0, 0, CLI_ARG_TEXT, &count_text, "How many ids (65536)", "N"},
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, &argc, &argv) ||
        (count_text && !cli_read_id(command, "count", count_text, &count)))
        return CLI_USAGE;
    struct json_object body = json_object_begin();
    json_object_add_string(&body, "id", argv[0]);
    if (count_text)
        json_object_add_int(&body, "count", count);
    g_autoptr(gidfs_result) block = NULL;
    enum cli_status status = cli_post(cli, "/v1/blocks", &body, &block);
    int64_t start, got;
    if (status != CLI_OK)
        return status;
    if (json)
        cli_print_json(block);
    else if (gidfs_result_number(block, "start", &start) == 0 && gidfs_result_number(block, "count", &got) == 0)
        printf("%s %lld %lld\n", argv[0], (long long)start, (long long)got);
    return CLI_OK;
}

COMMAND(cmd_block_ls)
{
    return listing_command(cli, command, &block_listing, "/v1/blocks", argc, argv);
}

COMMAND(cmd_block_rm)
{
    if (!cli_parse(command, NULL, 1, 1, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *path = cli_path("blocks", argv[0], "");
    return cli_call(cli, "DELETE", path, NULL);
}
