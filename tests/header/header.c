/* SPDX-License-Identifier: Apache-2.0 */
/* Includes nothing before the public header, and takes the address of all that it declares. */
#include "gidfs/gidfs.h"

typedef void (*function)(void);

int main(void)
{
    struct gidfs_volume_options volume = GIDFS_VOLUME_OPTIONS_INIT;
    struct gidfs_attach_options attach = GIDFS_ATTACH_OPTIONS_INIT;
    struct gidfs_container_options container = GIDFS_CONTAINER_OPTIONS_INIT;
    const function functions[] = {
        (function)gidfs_version,
        (function)gidfs_open,
        (function)gidfs_close,
        (function)gidfs_error_message,
        (function)gidfs_error_code,
        (function)gidfs_call,
        (function)gidfs_volume_create,
        (function)gidfs_volume_remove,
        (function)gidfs_attach,
        (function)gidfs_detach,
        (function)gidfs_container_prepare,
        (function)gidfs_container_update,
        (function)gidfs_container_restart,
        (function)gidfs_container_cleanup,
        (function)gidfs_recover,
        (function)gidfs_result_json,
        (function)gidfs_result_string,
        (function)gidfs_result_number,
        (function)gidfs_result_length,
        (function)gidfs_result_gids,
        (function)gidfs_result_mount,
        (function)gidfs_result_free,
    };
    size_t i;
    for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (functions[i] == NULL)
            return 1;
    }
    return volume.size == sizeof(volume) && attach.size == sizeof(attach) && container.size == sizeof(container) ? 0
                                                                                                                 : 1;
}
