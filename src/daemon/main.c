/* SPDX-License-Identifier: Apache-2.0 */
/* gidfsd: the service. Reads the command line. */
#include "daemon/daemon.h"
#include "daemon/restart.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_USAGE 2

static int parse(int *argc, char ***argv, struct config_flags *flags, GError **error)
{
    gboolean show_version = FALSE;
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &flags->config_path, "Configuration file (" CONFIG_PATH ")", "FILE"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &flags->state_dir, "Where the table is (/var/lib/gidfs)", "DIR"},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &flags->run_dir, "Where socket and views are (/run/gidfs)", "DIR"},
        {"gid-range", 0, 0, G_OPTION_ARG_STRING, &flags->gid_ranges,
         "Gids for volumes, like 50000-59999,70000-70999 (50000-59999)", "RANGES"},
        {"log-level", 0, 0, G_OPTION_ARG_STRING, &flags->log_level, "error, warning, info or debug (info)", "L"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &show_version, "Print the version and exit", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, "The service of gidfs: gives volumes a gid and a view, and remembers them.\n"
                                          "It stays in the foreground. SIGTERM ends it and leaves all views up; SIGHUP "
                                          "reads the\nconfiguration again.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return -EINVAL;
    if (*argc > 1)
        return gidfs_error(error, EINVAL, "%s: no arguments are taken, only options", (*argv)[1]);
    if (show_version) {
        printf("gidfsd %s\n", GIDFS_VERSION);
        exit(EXIT_SUCCESS);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct config_flags flags; /* lives as long as the process: SIGHUP reads it again */
    g_autoptr(GError) error = NULL;

    sandbox_clean_signals();
    setlocale(LC_CTYPE, ""); /* what --help is printed in */
    log_setup("gidfsd", LOG_LEVEL_INFO);
    restart_setup(g_strdupv(argv)); /* the parser takes options out of argv */
    if (parse(&argc, &argv, &flags, &error) < 0) {
        log_error("%s; gidfsd --help lists the options", error->message);
        return EXIT_USAGE;
    }
    if (geteuid() != 0) {
        log_error("it must run as root: it mounts views");
        return EXIT_FAILURE;
    }
    return daemon_run(&flags);
}
