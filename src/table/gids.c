/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of quarantined gids and of blocks of subordinate ids. */
#include "table/query.h"

int table_quarantine_insert(struct table *table, const struct table_quarantined *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_QUARANTINE_INSERT);
    query_bind_int(&query, row->gid);
    query_bind_int(&query, row->volume_id);
    query_bind_text(&query, row->volume);
    query_bind_text(&query, row->source);
    query_bind_int(&query, row->since_s);
    query_bind_text(&query, row->boot_id);
    return query_run(&query, true, error);
}

int table_quarantine_delete(struct table *table, gid_t gid, GError **error)
{
    return query_run_id(table, SQL_QUARANTINE_DELETE, gid, error);
}

static void *read_quarantined(struct query *query)
{
    struct table_quarantined *row = g_new0(struct table_quarantined, 1);
    row->gid = (gid_t)query_int(query);
    row->volume_id = query_int(query);
    row->volume = query_text(query);
    row->source = query_text(query);
    row->since_s = query_int(query);
    row->boot_id = query_text(query);
    return row;
}

int table_load_quarantine(struct table *table, GPtrArray **ret_rows, GError **error)
{
    return query_load(table, SQL_QUARANTINE_LOAD, read_quarantined, (GDestroyNotify)table_quarantined_free, ret_rows,
                      error);
}

static void *read_freed(struct query *query)
{
    return GUINT_TO_POINTER((guint)query_int(query));
}

int table_load_freed(struct table *table, GPtrArray **ret_gids, GError **error)
{
    return query_load(table, SQL_FREED_LOAD, read_freed, NULL, ret_gids, error);
}

int table_block_insert(struct table *table, const struct table_block *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_BLOCK_INSERT);
    query_bind_text(&query, row->owner);
    query_bind_int(&query, row->first);
    query_bind_int(&query, row->count);
    query_bind_text(&query, row->boot_id);
    query_bind_int(&query, row->created_s);
    return query_run(&query, true, error);
}

int table_block_delete(struct table *table, const char *owner, GError **error)
{
    return query_run_key(table, SQL_BLOCK_DELETE, owner, error);
}

static void *read_block(struct query *query)
{
    struct table_block *row = g_new0(struct table_block, 1);
    row->owner = query_text(query);
    row->first = query_int(query);
    row->count = query_int(query);
    row->boot_id = query_text(query);
    row->created_s = query_int(query);
    return row;
}

int table_load_blocks(struct table *table, GPtrArray **ret_rows, GError **error)
{
    return query_load(table, SQL_BLOCK_LOAD, read_block, (GDestroyNotify)table_block_free, ret_rows, error);
}
