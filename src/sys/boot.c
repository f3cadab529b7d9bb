/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/boot.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

int boot_id_read(char **ret_id, GError **error)
{
    g_autoptr(GError) problem = NULL;
    char *text = NULL;
    if (!g_file_get_contents(BOOT_ID_PATH, &text, NULL, &problem))
        return gidfs_error(error, EIO, "%s; is /proc mounted?", problem->message);
    *ret_id = g_strstrip(text);
    return 0;
}
