/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of volumes. Columns are bound and read in the order of VOLUME_COLUMNS in sql.c. */
#include "table/query.h"

static void bind_volume(struct query *query, const struct table_volume *row)
{
    query_bind_text(query, row->name);
    query_bind_text(query, row->source);
    query_bind_int(query, (int64_t)row->device);
    query_bind_bytes(query, row->handle);
    query_bind_text(query, volume_kind_to_string(row->kind));
    query_bind_text(query, mode_policy_to_string(row->policy));
    query_bind_text(query, volume_chgrp_to_string(row->chgrp));
    query_bind_text(query, volume_cache_to_string(row->cache));
    query_bind_int(query, row->read_only);
    query_bind_int(query, row->exclusive);
    query_bind_int(query, row->view_gid);
    query_bind_int(query, row->gid_given);
    query_bind_text(query, row_state_to_string(row->state));
    query_bind_int(query, row->generation);
    query_bind_text(query, row->container);
    query_bind_text(query, row->boot_id);
    query_bind_int(query, row->created_s);
}

static void *read_volume(struct query *query)
{
    struct table_volume *row = g_new0(struct table_volume, 1);
    row->id = query_int(query);
    row->name = query_text(query);
    row->source = query_text(query);
    row->device = (uint64_t)query_int(query);
    row->handle = query_bytes(query);
    query_word(query, volume_kind_from_string, &row->kind);
    query_word(query, mode_policy_from_string, &row->policy);
    query_word(query, volume_chgrp_from_string, &row->chgrp);
    query_word(query, volume_cache_from_string, &row->cache);
    row->read_only = query_int(query);
    row->exclusive = query_int(query);
    row->view_gid = (gid_t)query_int(query);
    row->gid_given = query_int(query);
    query_word(query, row_state_from_string, &row->state);
    row->generation = query_int(query);
    row->container = query_text(query);
    row->boot_id = query_text(query);
    row->created_s = query_int(query);
    return row;
}

int table_volume_insert(struct table *table, struct table_volume *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_VOLUME_INSERT);
    bind_volume(&query, row);
    int r = query_run(&query, true, error);
    if (r == 0)
        row->id = sqlite3_last_insert_rowid(table->db);
    return r;
}

int table_volume_update(struct table *table, const struct table_volume *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_VOLUME_UPDATE);
    bind_volume(&query, row);
    query_bind_int(&query, row->id);
    return query_run(&query, true, error);
}

int table_volume_delete(struct table *table, int64_t id, GError **error)
{
    return query_run_id(table, SQL_VOLUME_DELETE, id, error);
}

int table_load_volumes(struct table *table, GPtrArray **ret_rows, GError **error)
{
    return query_load(table, SQL_VOLUME_LOAD, read_volume, (GDestroyNotify)table_volume_free, ret_rows, error);
}
