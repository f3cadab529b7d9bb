/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_propagation.h"

#include <errno.h>
#include <string.h>

/* Two words a type: plain, and recursive with an r before it. */
static const char *const words[][2] = {
    [MOUNT_PROPAGATION_KEEP] = {"", ""},
    [MOUNT_PROPAGATION_PRIVATE] = {"private", "rprivate"},
    [MOUNT_PROPAGATION_SHARED] = {"shared", "rshared"},
    [MOUNT_PROPAGATION_SLAVE] = {"slave", "rslave"},
    [MOUNT_PROPAGATION_UNBINDABLE] = {"unbindable", "runbindable"},
};

int mount_propagation_parse(const char *word, struct mount_propagation *ret_propagation, GError **error)
{
    for (size_t type = 0; type < G_N_ELEMENTS(words); type++) {
        for (size_t recursive = 0; recursive < 2; recursive++) {
            if (strcmp(word ? word : "", words[type][recursive]) != 0)
                continue;
            *ret_propagation = (struct mount_propagation){(enum mount_propagation_type)type, recursive && type};
            return 0;
        }
    }
    return gidfs_error(error, EINVAL,
                       "propagation %s: no such word; known are private, rprivate, shared, rshared, slave, rslave, "
                       "unbindable and runbindable",
                       word);
}
