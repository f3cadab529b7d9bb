/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs, the operator's command: what comes before the command's name, and the table of commands. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const struct command commands[] = {
    {"volume create", "NAME SOURCE", "Give a directory a gid and a view; prints NAME GID VIEW", cmd_volume_create},
    {"volume ls", "", "List volumes", cmd_volume_ls},
    {"volume show", "NAME", "Show one volume", cmd_volume_show},
    {"volume rm", "NAME", "Take a view down and release its gid; data is never touched", cmd_volume_rm},
    {"volume abort", "NAME", "Free every process that hangs in a view", cmd_volume_abort},
    {"attach", "NAME TARGET", "Mount a volume's view on a directory", cmd_attach},
    {"detach", "TARGET", "Unmount a view from a directory", cmd_detach},
    {"ls", "", "List views and attachments", cmd_ls},
    {"gids", "", "Show how many gids there are and who holds them", cmd_gids},
    {"container prepare", "ID", "Mount a container's volumes; prints what its process needs as JSON",
     cmd_container_prepare},
    {"container update", "ID", "Give a container another list of volumes", cmd_container_update},
    {"container restart", "ID", "Make a container's mounts again", cmd_container_restart},
    {"container cleanup", "ID", "Take a container's mounts down", cmd_container_cleanup},
    {"container ls", "", "List containers", cmd_container_ls},
    {"container oci", "ID", "Print mounts, masked paths and devices for a config.json", cmd_container_oci},
    {"rootfs create", "ID", "Make a container's root of layers, the first being the lowest", cmd_rootfs_create},
    {"rootfs ls", "", "List rootfs", cmd_rootfs_ls},
    {"rootfs rm", "ID", "Remove a rootfs", cmd_rootfs_rm},
    {"rootfs flatten", "TARGET", "Write layers as one plain directory", cmd_rootfs_flatten},
    {"block create", "ID", "Allocate a block of subordinate ids", cmd_block_create},
    {"block ls", "", "List blocks of subordinate ids", cmd_block_ls},
    {"block rm", "ID", "Give a block of subordinate ids back", cmd_block_rm},
    {"recover", "", "Make table and kernel agree, and clean up after dead containers", cmd_recover},
    {"check", "", "Try what gidfs needs on this machine; works without the service", cmd_check},
    {"stats", "[NAME]", "Show the counters of views", cmd_stats},
    {"top", "", "Show the busiest views, again and again", cmd_top},
    {"status", "", "Show the service's state and warnings", cmd_status},
    {"drain", "", "Take unused views down, so that the service can be removed", cmd_drain},
    {"upgrade", "[NAME]", "Replace the programs behind views with the installed ones", cmd_upgrade},
};

/* "volume create" is one of "volume". */
static gboolean is_in_group(const struct command *command, const char *group)
{
    gsize length = strlen(group);
    return strncmp(command->words, group, length) == 0 && command->words[length] == ' ';
}

/* Those of a group, or of "" all. */
static void print_commands(const char *group)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!*group || is_in_group(&commands[i], group))
            printf("  %-18s %-12s %s\n", commands[i].words, commands[i].arguments, commands[i].summary);
    }
}

static gboolean is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void print_help(void)
{
    printf("Usage: gidfs [--socket PATH] [--timeout SECONDS] COMMAND …\n\n"
           "Views of volumes that belong to a gid.\n\n"
           "Commands (gidfs COMMAND --help tells more):\n");
    print_commands("");
    printf(
        "\nOptions:\n"
        "  --socket PATH      the service's socket ($GIDFS_SOCKET; $GIDFS_RUN_DIR/gidfs.sock; /run/gidfs/gidfs.sock)\n"
        "  --timeout SECONDS  how long to wait for an answer (60)\n"
        "  --help, --version\n\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

/* How many of the arguments are the words of the command: 0, 1 or 2. */
static int match(const struct command *command, int argc, char **argv)
{
    g_auto(GStrv) words = g_strsplit(command->words, " ", -1);
    int n = (int)g_strv_length(words);
    if (n > argc)
        return 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(words[i], argv[i]) != 0)
            return 0;
    }
    return n;
}

/* What is no command: the page of a group of them, or an error. */
static enum cli_status no_command(int argc, char **argv)
{
    g_autoptr(GString) below = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (is_in_group(&commands[i], argv[0]))
            g_string_append_printf(below, "%s%s", below->len ? ", " : "", commands[i].words + strlen(argv[0]) + 1);
    }
    if (below->len > 0 && argc > 1 && is_help(argv[1])) {
        printf("Usage: gidfs %s COMMAND …\n\nCommands (gidfs %s COMMAND --help tells more):\n", argv[0], argv[0]);
        print_commands(argv[0]);
        return CLI_OK;
    }
    if (below->len == 0)
        cli_error("unknown command \"%s\" (see gidfs --help)", argv[0]);
    else if (argc < 2)
        cli_error("%s: a word is missing behind it: %s", argv[0], below->str);
    else
        cli_error("unknown command \"%s %s\"; %s has: %s", argv[0], argv[1], argv[0], below->str);
    return CLI_USAGE;
}

static enum cli_status run_command(struct cli *cli, int argc, char **argv)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        int n_words = match(&commands[i], argc, argv);
        if (n_words > 0)
            return commands[i].run(cli, &commands[i], argc - n_words + 1, argv + n_words - 1);
    }
    return no_command(argc, argv);
}

/* "--NAME VALUE" or "--NAME=VALUE" at argv[*at]: moves *at to its last argument. */
static gboolean take_option(const char *name, int argc, char **argv, int *at, const char **ret_value)
{
    gsize length = strlen(name);
    if (strncmp(argv[*at], name, length) != 0)
        return FALSE;
    if (argv[*at][length] == '=') {
        *ret_value = argv[*at] + length + 1;
        return TRUE;
    }
    if (argv[*at][length] != '\0')
        return FALSE;
    *ret_value = *at + 1 < argc ? argv[++*at] : "";
    return TRUE;
}

static gboolean read_timeout(const char *text, int *ret_timeout_ms)
{
    guint64 seconds;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT / 1000, &seconds, NULL))
        return FALSE;
    *ret_timeout_ms = (int)seconds * 1000;
    return TRUE;
}

static enum cli_status run(struct cli *cli, int argc, char **argv)
{
    const char *timeout = NULL;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (is_help(argv[at])) {
            print_help();
            return CLI_OK;
        }
        if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "-V") == 0) {
            printf("gidfs %s\n", gidfs_version());
            return CLI_OK;
        }
        if (!take_option("--socket", argc, argv, &at, &cli->socket) &&
            !take_option("--timeout", argc, argv, &at, &timeout)) {
            cli_error("unknown option \"%s\" before the command (see gidfs --help)", argv[at]);
            return CLI_USAGE;
        }
    }
    if (cli->socket && !*cli->socket) {
        cli_error("--socket needs the path of a socket");
        return CLI_USAGE;
    }
    if (timeout && !read_timeout(timeout, &cli->timeout_ms)) {
        cli_error("--timeout needs a number of seconds, from 1 on, not \"%s\"", timeout);
        return CLI_USAGE;
    }
    if (at == argc) {
        cli_error("a command is missing (see gidfs --help)");
        return CLI_USAGE;
    }
    return run_command(cli, argc - at, argv + at);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    setlocale(LC_ALL, "");
    enum cli_status status = run(&cli, argc, argv);
    gidfs_close(cli.client);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_error("cannot write to standard output: %s", g_strerror(errno));
        return CLI_FAILED;
    }
    return status;
}
