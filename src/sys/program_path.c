/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/program_path.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

/* "gidfs-nsmount" is GIDFS_NSMOUNT_PROGRAM in the environment. */
static const char *from_environment(const char *name)
{
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_autofree char *variable = g_strconcat(g_strdelimit(upper, "-.", '_'), "_PROGRAM", NULL);
    const char *value = g_getenv(variable);
    return value && *value ? value : NULL;
}

static char *if_executable(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    return access(path, X_OK) == 0 ? g_steal_pointer(&path) : NULL;
}

char *program_path(const char *name)
{
    const char *asked = from_environment(name);
    if (asked)
        return g_strdup(asked);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = self ? g_path_get_dirname(self) : NULL;
    char *beside = here ? if_executable(here, name) : NULL;
    if (beside)
        return beside;
    char *helper = if_executable(GIDFS_LIBEXECDIR, name);
    return helper ? helper : g_build_filename(GIDFS_BINDIR, name, NULL);
}
