/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/*
 * How mounts made below a mount spread to its copies in other namespaces (behaviour C6), in the words of mount(8) and
 * of the OCI runtime specification. A plain value; KEEP leaves what the kernel gives a bind mount.
 */
enum mount_propagation_type {
    MOUNT_PROPAGATION_KEEP,
    MOUNT_PROPAGATION_PRIVATE,
    MOUNT_PROPAGATION_SHARED,
    MOUNT_PROPAGATION_SLAVE,
    MOUNT_PROPAGATION_UNBINDABLE,
};

struct mount_propagation {
    enum mount_propagation_type type;
    bool recursive; /* the words with an r before them: the mounts below too */
};

/*
 * Reads private, shared, slave, unbindable or one of them with an r before it. -EINVAL with a message that lists the
 * known words. NULL and "" are KEEP.
 */
int mount_propagation_parse(const char *word, struct mount_propagation *ret_propagation, GError **error);
