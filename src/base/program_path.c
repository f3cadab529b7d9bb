/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program_path.h"

#include <glib.h>
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
    return access(path, X_OK) == 0 ? g_canonicalize_filename(path, NULL) : NULL;
}

char *program_path_near(const char *dir, const char *name)
{
    /* from bin or sbin, and from libexec/gidfs */
    static const char *const places[] = {".", "../libexec/gidfs", "../bin", "../sbin", "../../bin", "../../sbin"};
    char *found = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(places) && !found; i++) {
        g_autofree char *place = g_build_filename(dir, places[i], NULL);
        found = if_executable(place, name);
    }
    return found;
}

char *program_path(const char *name)
{
    const char *asked = from_environment(name);
    if (asked)
        return g_strdup(asked);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = self ? g_path_get_dirname(self) : NULL;
    char *found = here ? program_path_near(here, name) : NULL;
    if (!found)
        found = if_executable(GIDFS_LIBEXECDIR, name);
    return found ? found : g_build_filename(GIDFS_BINDIR, name, NULL);
}
