/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/view_options.h"

#include <stdbool.h>

/*
 * source is NULL for a layered view, which has none; with nofollow, a link in its path is -ELOOP. What must hold before
 * a view is mounted (behaviour B9). Both paths are resolved: the results are absolute, without links, and the caller's
 * to free.
 */
int checks_resolve(const char *source, bool nofollow, const char *mountpoint, char **ret_source, char **ret_mountpoint,
                   GError **error);

/* What must hold of the layers before the first of them is touched; mountpoint is what checks_resolve gave. */
int checks_layers(const struct view_options *options, const char *mountpoint, GError **error);
