/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/range_set.h"

#include <stdint.h>

/* Which numbers may be the gid of a volume (behaviour A1). Pure. */

/* The largest gid there is; one more is (gid_t)-1, which means "leave it" to chown. */
#define GID_MAX ((uint32_t)4294967294)

/*
 * 0 if gid may belong to a volume; -EINVAL with a message that starts with what (the option or key that it stands in)
 * for 0 (root's group), 65534 (nogroup, the kernel's overflow id) and beyond GID_MAX.
 */
int gid_check(const char *what, uint64_t gid, GError **error);

/* Reads text as such a gid; -EINVAL with a message that starts with what. */
int gid_parse(const char *what, const char *text, uint32_t *ret_gid, GError **error);

/*
 * Reads the configured range, "50000-59999,70000-70999" or Mesos's form. The errors are those of range_set_parse, with
 * the bounds of gid_t, and -EINVAL for a range that holds a gid which gid_check refuses; the message has the same range
 * without it.
 */
int gid_range_parse(const char *text, struct range_set **ret_range, GError **error);
