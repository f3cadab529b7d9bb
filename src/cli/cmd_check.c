/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs check: runs gidfs-check, which tries things that this program has no business with. */
#include <errno.h>
#include <unistd.h>

#include "base/program_path.h"
#include "cli/commands.h"

COMMAND(cmd_check)
{
    gboolean json = FALSE;
    g_autofree char *dir = NULL;
    const GOptionEntry entries[] = {
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"dir", 0, 0, CLI_ARG_TEXT, &dir, "Try things on this directory's file system (/var/tmp)", "DIR"},
        {0},
    };
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    g_autofree char *program = program_path("gidfs-check");
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
