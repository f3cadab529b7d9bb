/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of rootfs, each with its layers in a table of their own: a path may hold any character but NUL. */
#include "table/query.h"

static int insert_row(struct table *table, const struct table_rootfs *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_ROOTFS_INSERT);
    query_bind_text(&query, row->id);
    query_bind_text(&query, row->kind);
    query_bind_text(&query, row->path);
    query_bind_text(&query, row->upper);
    query_bind_text(&query, row->work);
    query_bind_text(&query, row->uid_map);
    query_bind_text(&query, row->gid_map);
    query_bind_text(&query, row->policy);
    query_bind_text(&query, row->whiteouts);
    query_bind_int(&query, row->view_gid);
    query_bind_int(&query, row->read_only);
    query_bind_text(&query, row_state_to_string(row->state));
    query_bind_text(&query, row->boot_id);
    query_bind_int(&query, row->created_s);
    return query_run(&query, true, error);
}

static int insert_layer(struct table *table, const char *id, int64_t position, const char *path, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_LAYER_INSERT);
    query_bind_text(&query, id);
    query_bind_int(&query, position);
    query_bind_text(&query, path);
    return query_run(&query, true, error);
}

int table_rootfs_insert(struct table *table, const struct table_rootfs *row, GError **error)
{
    int r = table_begin(table, error);
    if (r < 0)
        return r;
    r = insert_row(table, row, error);
    for (int64_t i = 0; r == 0 && row->layers[i]; i++)
        r = insert_layer(table, row->id, i, row->layers[i], error);
    if (r == 0)
        return table_commit(table, error);
    table_rollback(table);
    return r;
}

int table_rootfs_set_state(struct table *table, const char *id, enum row_state state, const char *boot_id,
                           GError **error)
{
    struct query query;
    query_start(&query, table, SQL_ROOTFS_SET_STATE);
    query_bind_text(&query, row_state_to_string(state));
    query_bind_text(&query, boot_id);
    query_bind_text(&query, id);
    return query_run(&query, true, error);
}

int table_rootfs_delete(struct table *table, const char *id, GError **error)
{
    return query_run_key(table, SQL_ROOTFS_DELETE, id, error);
}

static void *read_rootfs(struct query *query)
{
    struct table_rootfs *row = g_new0(struct table_rootfs, 1);
    row->id = query_text(query);
    row->kind = query_text(query);
    row->path = query_text(query);
    row->upper = query_text(query);
    row->work = query_text(query);
    row->uid_map = query_text(query);
    row->gid_map = query_text(query);
    row->policy = query_text(query);
    row->whiteouts = query_text(query);
    row->view_gid = (gid_t)query_int(query);
    row->read_only = query_int(query);
    query_word(query, row_state_from_string, &row->state);
    row->boot_id = query_text(query);
    row->created_s = query_int(query);
    return row;
}

static int load_layers(struct table *table, struct table_rootfs *row, GError **error)
{
    g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(g_free);
    struct query query;
    query_start(&query, table, SQL_LAYER_LOAD);
    query_bind_text(&query, row->id);
    int r;
    while ((r = query_step(&query, error)) > 0)
        g_ptr_array_add(layers, query_text(&query));
    if (r < 0)
        return r;
    g_ptr_array_add(layers, NULL);
    row->layers = (GStrv)g_ptr_array_steal(layers, NULL);
    return query_end(&query, error);
}

int table_load_rootfs(struct table *table, GPtrArray **ret_rows, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = query_load(table, SQL_ROOTFS_LOAD, read_rootfs, (GDestroyNotify)table_rootfs_free, &rows, error);
    for (guint i = 0; r == 0 && i < rows->len; i++)
        r = load_layers(table, rows->pdata[i], error);
    if (r == 0)
        *ret_rows = g_steal_pointer(&rows);
    return r;
}
