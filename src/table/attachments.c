/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of attachments. Columns are bound and read in the order of ATTACHMENT_COLUMNS in sql.c. */
#include "table/query.h"

static void bind_attachment(struct query *query, const struct table_attachment *row)
{
    query_bind_int(query, row->volume_id);
    query_bind_text(query, row->target);
    query_bind_int(query, row->namespace);
    query_bind_int(query, row->pid);
    query_bind_text(query, row->container);
    query_bind_text(query, row->inside);
    query_bind_int(query, row->position);
    query_bind_int(query, row->read_only);
    query_bind_text(query, row->propagation);
    query_bind_text(query, row_state_to_string(row->state));
    query_bind_int(query, row->mount_id);
    query_bind_text(query, row->boot_id);
    query_bind_int(query, row->created_s);
}

static void *read_attachment(struct query *query)
{
    struct table_attachment *row = g_new0(struct table_attachment, 1);
    row->id = query_int(query);
    row->volume_id = query_int(query);
    row->target = query_text(query);
    row->namespace = query_int(query);
    row->pid = query_int(query);
    row->container = query_text(query);
    row->inside = query_text(query);
    row->position = query_int(query);
    row->read_only = query_int(query);
    row->propagation = query_text(query);
    query_word(query, row_state_from_string, &row->state);
    row->mount_id = query_int(query);
    row->boot_id = query_text(query);
    row->created_s = query_int(query);
    return row;
}

int table_attachment_insert(struct table *table, struct table_attachment *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_ATTACHMENT_INSERT);
    bind_attachment(&query, row);
    int r = query_run(&query, true, error);
    if (r == 0)
        row->id = sqlite3_last_insert_rowid(table->db);
    return r;
}

int table_attachment_update(struct table *table, const struct table_attachment *row, GError **error)
{
    struct query query;
    query_start(&query, table, SQL_ATTACHMENT_UPDATE);
    bind_attachment(&query, row);
    query_bind_int(&query, row->id);
    return query_run(&query, true, error);
}

int table_attachment_delete(struct table *table, int64_t id, GError **error)
{
    return query_run_id(table, SQL_ATTACHMENT_DELETE, id, error);
}

int table_load_attachments(struct table *table, GPtrArray **ret_rows, GError **error)
{
    return query_load(table, SQL_ATTACHMENT_LOAD, read_attachment, (GDestroyNotify)table_attachment_free, ret_rows,
                      error);
}
