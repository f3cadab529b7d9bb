/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/*
 * source is NULL for a layered view, which has none; with nofollow, a link in its path is -ELOOP. What must hold before
 * a view is mounted (behaviour B9). Both paths are resolved: the results are absolute, without links, and the caller's
 * to free.
 */
int checks_resolve(const char *source, bool nofollow, const char *mountpoint, char **ret_source, char **ret_mountpoint,
                   GError **error);
