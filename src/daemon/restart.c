/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/restart.h"

#include <errno.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

static char **arguments;
static char *program; /* where we were started from */

void restart_setup(char **argv)
{
    arguments = argv;
    program = g_file_read_link(SELF, NULL);
}

bool restart_is_needed(void)
{
    struct stat running, installed;
    if (!program || stat(SELF, &running) < 0 || stat(program, &installed) < 0)
        return false;
    return running.st_dev != installed.st_dev || running.st_ino != installed.st_ino;
}

int restart_now(void)
{
    execv(program, arguments);
    return -errno;
}
