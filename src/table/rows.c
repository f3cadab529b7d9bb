/* SPDX-License-Identifier: Apache-2.0 */
#include "table/rows.h"

#include <errno.h>
#include <string.h>

static const char *const kind_names[] = {"persistent", "sandbox", NULL};
static const char *const chgrp_names[] = {"refuse", "ignore", NULL};
static const char *const cache_names[] = {"auto", "always", "none", NULL};
static const char *const state_names[] = {"prepared", "mounted", "releasing", "handed", NULL};

static int name_to_index(const char *what, const char *const *names, const char *text, GError **error)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    g_autofree char *known = g_strjoinv(", ", (char **)names);
    return gidfs_error(error, EINVAL, "%s %s: no such word; known are %s", what, text, known);
}

const char *volume_kind_to_string(enum volume_kind kind)
{
    return kind_names[kind];
}

int volume_kind_from_string(const char *text, enum volume_kind *ret_kind, GError **error)
{
    int index = name_to_index("kind", kind_names, text, error);
    if (index < 0)
        return index;
    *ret_kind = (enum volume_kind)index;
    return 0;
}

const char *volume_chgrp_to_string(enum volume_chgrp chgrp)
{
    return chgrp_names[chgrp];
}

int volume_chgrp_from_string(const char *text, enum volume_chgrp *ret_chgrp, GError **error)
{
    int index = name_to_index("chgrp", chgrp_names, text, error);
    if (index < 0)
        return index;
    *ret_chgrp = (enum volume_chgrp)index;
    return 0;
}

const char *volume_cache_to_string(enum volume_cache cache)
{
    return cache_names[cache];
}

int volume_cache_from_string(const char *text, enum volume_cache *ret_cache, GError **error)
{
    int index = name_to_index("cache", cache_names, text, error);
    if (index < 0)
        return index;
    *ret_cache = (enum volume_cache)index;
    return 0;
}

const char *row_state_to_string(enum row_state state)
{
    return state_names[state];
}

int row_state_from_string(const char *text, enum row_state *ret_state, GError **error)
{
    int index = name_to_index("state", state_names, text, error);
    if (index < 0)
        return index;
    *ret_state = (enum row_state)index;
    return 0;
}

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
