/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of containers. Columns are bound and read in the order of CONTAINER_COLUMNS in sql.c, the id last. */
#include "table/query.h"

static void bind_container(struct query *query, const struct table_container *row)
{
    query_bind_text(query, row->rootfs);
    query_bind_int(query, row->pid);
    query_bind_int(query, row->user);
    query_bind_int(query, row->task_user);
    query_bind_int(query, row->root_gids);
    query_bind_text(query, row->parent);
    query_bind_text(query, row_state_to_string(row->state));
    query_bind_int(query, row->generation);
    query_bind_text(query, row->boot_id);
    query_bind_int(query, row->created_s);
    query_bind_text(query, row->id);
}

static void *read_container(struct query *query)
{
    struct table_container *row = g_new0(struct table_container, 1);
    row->rootfs = query_text(query);
    row->pid = query_int(query);
    row->user = query_int(query);
    row->task_user = query_int(query);
    row->root_gids = query_int(query);
    row->parent = query_text(query);
    query_word(query, row_state_from_string, &row->state);
    row->generation = query_int(query);
    row->boot_id = query_text(query);
    row->created_s = query_int(query);
    row->id = query_text(query);
    return row;
}

int table_container_insert(struct table *table, const struct table_container *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_CONTAINER_INSERT);
    bind_container(&query, row);
    return query_run(&query, true, error);
}

int table_container_update(struct table *table, const struct table_container *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_CONTAINER_UPDATE);
    bind_container(&query, row);
    return query_run(&query, true, error);
}

int table_container_delete(struct table *table, const char *id, GError **error)
{
    return query_run_key(table, SQL_CONTAINER_DELETE, id, error);
}

int table_load_containers(struct table *table, GPtrArray **ret_rows, GError **error)
{
    return query_load(table, SQL_CONTAINER_LOAD, read_container, (GDestroyNotify)table_container_free, ret_rows, error);
}
