/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/*
 * Paths and names as text. Pure: links are not followed, so what these say of two paths holds for what realpath(3)
 * gave, or for paths as somebody wrote them down (the table, the kernel's mount table).
 */

/*
 * The absolute path without repeated and trailing slashes and "." components, in *ret_path (caller frees). -EINVAL for
 * a relative or empty path, and for one with a ".." component: without looking, nobody knows where it leads. what
 * starts the message.
 */
int path_normalize(const char *what, const char *path, char **ret_path, GError **error);

enum path_relation {
    PATH_APART,
    PATH_SAME,
    PATH_INSIDE,   /* the first lies below the second */
    PATH_CONTAINS, /* the second lies below the first */
};

/* How two absolute paths stand to each other, component by component: /a/bc is not inside /a/b (A9). */
enum path_relation path_relate(const char *a, const char *b);

/* Whether path is dir or lies below it. */
bool path_is_within(const char *path, const char *dir);

/* The deepest of the NULL-terminated dirs that path is within; NULL if there is none. */
const char *path_deepest_container(const char *path, const char *const *dirs);

/*
 * Whether a view of source may be mounted at mount_point (B9): not if the mount point is the source or lies in it,
 * since the view would contain itself; nor if source or mount_point is within one of the NULL-terminated views (mount
 * points of live views), except that a mount point may be that of a view itself, which is then stacked upon. Real
 * paths. -EINVAL, or -EBUSY for another view, with a message.
 */
int path_check_view(const char *source, const char *mount_point, const char *const *views, GError **error);

/*
 * Whether the layers of a layered view go together, as for the kernel's overlayfs: upper and work apart, and the upper
 * none of the NULL-terminated lowers; and whether it may be mounted there (B9). All paths are absolute and without
 * links. -EINVAL with a message.
 */
int path_check_upper(const char *upper, const char *work, const char *const *lowers, const char *mount_point,
                     GError **error);

/*
 * Names that become file names and columns: letters, digits and _ . - (container ids: : and @ too), starting with a
 * letter or digit. Volume names have at most VOLUME_NAME_MAX bytes, container ids CONTAINER_ID_MAX. -EINVAL with a
 * message.
 */
#define VOLUME_NAME_MAX  128
#define CONTAINER_ID_MAX 255
int volume_name_check(const char *name, GError **error);
int container_id_check(const char *id, GError **error);
