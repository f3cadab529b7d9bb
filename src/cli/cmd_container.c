/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs container … */

#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/volume_spec.h"

static const struct column container_columns[] = {
    {"ID", 0.2, COLUMN_TREE, "the container's id", "id"},
    {"STATE", 9, 0, "preparing, prepared, updating or cleaning", "state"},
    {"GIDS", 0.2, COLUMN_SHORTENS, "the gids that its process needs", "supplementary_gids"},
    {"APPLY-TO", 8, 0, "who needs them: process, task or none", "apply_to"},
    {"USER", 6, COLUMN_RIGHT, "uid of its process", "user"},
    {"TASK-USER", 6, COLUMN_RIGHT, "uid of its task, where an executor runs first", "task_user"},
    {"PID", 7, COLUMN_RIGHT, "its process", "pid"},
    {"ROOTFS", 0.3, COLUMN_SHORTENS, "its root on the host", "rootfs"},
    {"PARENT", 0.1, COLUMN_SHORTENS, "the container it is nested in", "parent"},
    {"CREATED", 20, 0, "since when", "created_at"},
    {"MOUNTS", 0.3, COLUMN_SHORTENS, "its mounts, as JSON", "mounts"},
};

static const struct listing container_listing =
    LISTING("containers", container_columns, "ID,STATE,GIDS,APPLY-TO,USER,PID,ROOTFS,CREATED");

/* What was typed, and the library's options that are made of it. */
struct container_options {
    char **volumes;
    char *rootfs, *pid, *user, *task_user, *parent;
    gboolean root_gids, json;
    GArray *specs; /* of struct volume_spec */
    GArray *parts; /* of struct gidfs_container_volume, pointing into specs */
    struct gidfs_container_options library;
};

static void options_init(struct container_options *o)
{
    *o = (struct container_options){.library = GIDFS_CONTAINER_OPTIONS_INIT};
    o->specs = g_array_new(FALSE, TRUE, sizeof(struct volume_spec));
    o->parts = g_array_new(FALSE, TRUE, sizeof(struct gidfs_container_volume));
    g_array_set_clear_func(o->specs, (GDestroyNotify)volume_spec_clear);
}

static void options_clear(struct container_options *o)
{
    g_strfreev(o->volumes);
    g_free(o->rootfs);
    g_free(o->pid);
    g_free(o->user);
    g_free(o->task_user);
    g_free(o->parent);
    g_array_unref(o->specs);
    g_array_unref(o->parts);
}

static gboolean read_volumes(const struct command *command, struct container_options *o)
{
    for (char **text = o->volumes; text && *text; text++) {
        struct volume_spec spec;
        g_autoptr(GError) error = NULL;
        if (volume_spec_parse(*text, &spec, &error) < 0) {
            cli_usage(command, "%s", error->message);
            return FALSE;
        }
        if (spec.source) {
            g_autofree char *typed = g_steal_pointer(&spec.source);
            spec.source = cli_absolute(typed);
        }
        const struct gidfs_container_volume part = {
            .name = spec.name,
            .source = spec.source,
            .target = spec.target,
            .propagation = spec.propagation,
            .flags = spec.read_only ? GIDFS_READ_ONLY : 0,
        };
        g_array_append_val(o->specs, spec);
        g_array_append_val(o->parts, part);
    }
    o->library.volumes = (const struct gidfs_container_volume *)(void *)o->parts->data;
    o->library.n_volumes = o->parts->len;
    return TRUE;
}

static gboolean read_users(const struct command *command, struct container_options *o)
{
    if (o->user && !cli_read_id(command, "user", o->user, &o->library.user))
        return FALSE;
    if (o->task_user && !cli_read_id(command, "task user", o->task_user, &o->library.task_user))
        return FALSE;
    o->library.flags = (o->user ? GIDFS_WITH_USER : 0) | (o->task_user ? GIDFS_WITH_TASKUSER : 0) |
                       (o->root_gids ? GIDFS_ROOT_GIDS : 0);
    return cli_read_pid(command, o->pid, &o->library.pid);
}

/* The options that a verb does not have are no words of its command line. */
enum verb_options {
    HAS_VOLUMES = 1 << 0,
    HAS_PLACE = 1 << 1,
    HAS_PREPARE = 1 << 2,
};

static void add_entries(GArray *entries, struct container_options *o, unsigned has)
{
    const GOptionEntry volumes[] = {
        {"volume", 'v', 0, CLI_ARG_TEXTS, &o->volumes, "A volume, or a directory that becomes one",
         "NAME|SOURCE:TARGET[:ro]"},
    };
    const GOptionEntry place[] = {
        {"rootfs", 0, 0, CLI_ARG_TEXT, &o->rootfs, "The container's root on the host", "DIR"},
        {"pid", 0, 0, CLI_ARG_TEXT, &o->pid, "The container's process", "PID"},
        {"user", 0, 0, CLI_ARG_TEXT, &o->user, "Uid of its process", "UID"},
        {"task-user", 0, 0, CLI_ARG_TEXT, &o->task_user, "Uid of its task, where an executor runs first", "UID"},
    };
    const GOptionEntry prepare[] = {
        {"root-gids", 0, 0, G_OPTION_ARG_NONE, &o->root_gids, "Gids also for a process of root", NULL},
        {"parent", 0, 0, CLI_ARG_TEXT, &o->parent, "The container it is nested in", "ID"},
    };
    const GOptionEntry json = {"json", 'J', 0, G_OPTION_ARG_NONE, &o->json, "Print JSON, as it does anyway", NULL};
    if (has & HAS_VOLUMES)
        g_array_append_vals(entries, volumes, G_N_ELEMENTS(volumes));
    if (has & HAS_PLACE)
        g_array_append_vals(entries, place, G_N_ELEMENTS(place));
    if (has & HAS_PREPARE)
        g_array_append_vals(entries, prepare, G_N_ELEMENTS(prepare));
    g_array_append_val(entries, json);
}

typedef int (*library_call)(gidfs_client *client, const struct gidfs_container_options *options,
                            gidfs_result **ret_container);

static enum cli_status run_verb(struct cli *cli, const struct command *command, unsigned has, library_call call,
                                int argc, char **argv)
{
    struct container_options o;
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    g_autoptr(gidfs_result) container = NULL;
    options_init(&o);
    add_entries(entries, &o, has);
    enum cli_status status = CLI_USAGE;
    if (cli_parse(command, (const GOptionEntry *)(void *)entries->data, 1, 1, &argc, &argv) &&
        read_volumes(command, &o) && read_users(command, &o)) {
        g_autofree char *rootfs = o.rootfs ? cli_absolute(o.rootfs) : NULL;
        o.library.id = argv[0];
        o.library.rootfs = rootfs;
        o.library.parent = o.parent;
        status = cli_finish(cli, call(cli_client(cli), &o.library, &container));
    }
    if (status == CLI_OK)
        cli_print_json(container);
    options_clear(&o);
    return status;
}

COMMAND(cmd_container_prepare)
{
    unsigned has = HAS_VOLUMES | HAS_PLACE | HAS_PREPARE;
    return run_verb(cli, command, has, gidfs_container_prepare, argc, argv);
}

COMMAND(cmd_container_update)
{
    return run_verb(cli, command, HAS_VOLUMES, gidfs_container_update, argc, argv);
}

COMMAND(cmd_container_restart)
{
    return run_verb(cli, command, HAS_PLACE, gidfs_container_restart, argc, argv);
}

COMMAND(cmd_container_cleanup)
{
    if (!cli_parse(command, NULL, 1, 1, &argc, &argv))
        return CLI_USAGE;
    return cli_finish(cli, gidfs_container_cleanup(cli_client(cli), argv[0]));
}

COMMAND(cmd_container_ls)
{
    return listing_command(cli, command, &container_listing, "/v1/containers", argc, argv);
}

COMMAND(cmd_container_oci)
{
    gboolean host_pid = FALSE;
    const GOptionEntry entries[] = {
        {"host-pid", 0, 0, G_OPTION_ARG_NONE, &host_pid, "Its pid namespace is the host's: nothing is masked", NULL},
        {0},
    };
    if (!cli_parse(command, entries, 1, 1, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *path = cli_path("containers", argv[0], host_pid ? "/oci?host_pid=true" : "/oci");
    g_autoptr(gidfs_result) oci = NULL;
    enum cli_status status = cli_call(cli, "GET", path, &oci);
    if (status == CLI_OK)
        cli_print_json(oci);
    return status;
}
