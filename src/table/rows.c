/* SPDX-License-Identifier: Apache-2.0 */
#include "table/rows.h"

#include <errno.h>
#include <string.h>

static int word_to_index(const char *what, const char *const *words, const char *text, GError **error)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    g_autofree char *known = g_strjoinv(", ", (char **)words);
    return gidfs_error(error, EINVAL, "%s %s: no such word; known are %s", what, text, known);
}

/* The two functions between an enum and its words, which are in the order of its values. */
#define DEFINE_WORDS(type, prefix, what, ...)                                                                          \
    static const char *const prefix##_words[] = {__VA_ARGS__, NULL};                                                   \
                                                                                                                       \
    const char *prefix##_to_string(type value)                                                                         \
    {                                                                                                                  \
        return prefix##_words[value];                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    int prefix##_from_string(const char *text, type *ret_value, GError **error)                                        \
    {                                                                                                                  \
        int index = word_to_index(what, prefix##_words, text, error);                                                  \
        if (index >= 0)                                                                                                \
            *ret_value = (type)index;                                                                                  \
        return MIN(index, 0);                                                                                          \
    }

DEFINE_WORDS(enum volume_kind, volume_kind, "kind", "persistent", "sandbox")
DEFINE_WORDS(enum view_chgrp, volume_chgrp, "chgrp", "refuse", "ignore")
DEFINE_WORDS(enum view_cache, volume_cache, "cache", "auto", "always", "none")
DEFINE_WORDS(enum row_state, row_state, "state", "prepared", "mounted", "releasing", "handed")

void table_volume_free(struct table_volume *row)
{
    if (!row)
        return;
    g_free(row->name);
    g_free(row->source);
    g_clear_pointer(&row->handle, g_bytes_unref);
    g_free(row->container);
    g_free(row->boot_id);
    g_free(row);
}

void table_attachment_free(struct table_attachment *row)
{
    if (!row)
        return;
    g_free(row->target);
    g_free(row->container);
    g_free(row->inside);
    g_free(row->propagation);
    g_free(row->boot_id);
    g_free(row);
}

void table_container_free(struct table_container *row)
{
    if (!row)
        return;
    g_free(row->id);
    g_free(row->rootfs);
    g_free(row->parent);
    g_free(row->boot_id);
    g_free(row);
}

void table_quarantined_free(struct table_quarantined *row)
{
    if (!row)
        return;
    g_free(row->volume);
    g_free(row->source);
    g_free(row->boot_id);
    g_free(row);
}

void table_block_free(struct table_block *row)
{
    if (!row)
        return;
    g_free(row->owner);
    g_free(row->boot_id);
    g_free(row);
}

void table_rootfs_free(struct table_rootfs *row)
{
    if (!row)
        return;
    g_free(row->id);
    g_free(row->kind);
    g_free(row->path);
    g_strfreev(row->layers);
    g_free(row->upper);
    g_free(row->work);
    g_free(row->uid_map);
    g_free(row->gid_map);
    g_free(row->policy);
    g_free(row->whiteouts);
    g_free(row->boot_id);
    g_free(row);
}
