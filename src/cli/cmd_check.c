/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs check: runs gidfs-check, which tries things that this program has no business with. */
#include <errno.h>
#include <unistd.h>

#include "cli/commands.h"

/* $GIDFS_CHECK_PROGRAM, beside this program (a build directory), or where it is installed. */
static char *find_program(void)
{
    const char *named = g_getenv("GIDFS_CHECK_PROGRAM");
    if (named && *named)
        return g_strdup(named);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *beside = dir ? g_build_filename(dir, "gidfs-check", NULL) : NULL;
    if (beside && access(beside, X_OK) == 0)
        return g_steal_pointer(&beside);
    return g_build_filename(GIDFS_LIBEXECDIR, "gidfs-check", NULL);
}

COMMAND(cmd_check)
{
    gboolean json = FALSE;
    g_autofree char *dir = NULL;
    const GOptionEntry entries[] = {
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Try things on this directory's file system (/var/tmp)", "DIR"},
        {0},
    };
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *program = find_program();
    const char *arguments[5] = {program};
    int n = 1;
    if (json)
        arguments[n++] = "--json";
    if (dir) {
        arguments[n++] = "--dir";
        arguments[n++] = dir;
    }
    execv(program, (char **)arguments);
    cli_error("cannot run %s: %s", program, g_strerror(errno));
    return CLI_FAILED;
}
