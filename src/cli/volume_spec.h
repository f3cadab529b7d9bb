/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

/*
 * "NAME:TARGET" or "SOURCE:TARGET", each with ":ro", ":rw" or words of propagation behind it ("data:/data:ro,slave").
 * A source is told from a name by its slash; it may hold colons, a target may not.
 */
struct volume_spec {
    char *name;        /* NULL with source */
    char *source;      /* as it was typed; NULL with name */
    char *target;      /* absolute */
    char *propagation; /* NULL: not said */
    gboolean read_only;
};

/* -EINVAL with a message for anything else. ret_spec is freed with volume_spec_clear(). */
int volume_spec_parse(const char *text, struct volume_spec *ret_spec, GError **error);
void volume_spec_clear(struct volume_spec *spec);
