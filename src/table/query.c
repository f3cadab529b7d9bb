/* SPDX-License-Identifier: Apache-2.0 */
#include "table/query.h"

#include <errno.h>

static int errno_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ENOSPC;
    case SQLITE_READONLY:
        return EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return EACCES;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EBUSY;
    case SQLITE_NOMEM:
        return ENOMEM;
    case SQLITE_CONSTRAINT:
        return EEXIST;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EBADMSG;
    default:
        return EIO;
    }
}

static const char *remedy_of(int errnum)
{
    switch (errnum) {
    case ENOSPC:
        return "; free space on its file system and try again";
    case EROFS:
    case EACCES:
        return "; make it and its directory writable for the service and try again";
    case EBUSY:
        return "; another program keeps it locked: end that one's transaction and try again";
    case EBADMSG:
        return "; it is damaged: stop the service and repair it (sqlite3 FILE .recover, see docs/table.md), or put a "
               "backup in its place";
    default:
        return "";
    }
}

int table_error(struct table *table, int rc, const char *doing, GError **error)
{
    int errnum = errno_of(rc), kind = rc & 0xff;
    if (kind == SQLITE_IOERR || kind == SQLITE_PROTOCOL)
        table->is_broken = true;
    const char *reason = table->db ? sqlite3_errmsg(table->db) : sqlite3_errstr(rc);
    return gidfs_error(error, errnum, "table %s: %s: %s%s", table->path, doing, reason, remedy_of(errnum));
}

void query_start(struct query *query, struct table *table, enum sql sql)
{
    if (table->is_broken && !table->in_transaction)
        table_connect_again(table);
    *query = (struct query){.table = table, .next = 1};
    if (!table->prepared[sql])
        query->rc =
            sqlite3_prepare_v3(table->db, sql_text(sql), -1, SQLITE_PREPARE_PERSISTENT, &table->prepared[sql], NULL);
    query->statement = table->prepared[sql];
}

static void keep_failure(struct query *query, int rc)
{
    if (query->rc == SQLITE_OK)
        query->rc = rc;
}

void query_bind_int(struct query *query, int64_t value)
{
    if (query->rc == SQLITE_OK)
        keep_failure(query, sqlite3_bind_int64(query->statement, query->next++, value));
}

void query_bind_text(struct query *query, const char *value)
{
    if (query->rc == SQLITE_OK)
        keep_failure(query, sqlite3_bind_text(query->statement, query->next++, value, -1, SQLITE_STATIC));
}

void query_bind_bytes(struct query *query, GBytes *value)
{
    gsize size = 0;
    const void *data = g_bytes_get_data(value, &size);
    if (query->rc == SQLITE_OK)
        keep_failure(query, sqlite3_bind_blob64(query->statement, query->next++, data, size, SQLITE_STATIC));
}

static void query_reset(struct query *query)
{
    if (!query->statement)
        return;
    sqlite3_reset(query->statement);
    sqlite3_clear_bindings(query->statement);
}

int query_run(struct query *query, bool must_change, GError **error)
{
    int r = 0;

    if (query->rc == SQLITE_OK) {
        int rc = sqlite3_step(query->statement);
        keep_failure(query, rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc);
    }
    if (query->rc != SQLITE_OK)
        r = table_error(query->table, query->rc, "write", error);
    else if (must_change && sqlite3_changes(query->table->db) == 0)
        r = gidfs_error(error, ENOENT, "table %s: write: no such row", query->table->path);
    query_reset(query);
    return r;
}

int query_run_id(struct table *table, enum sql sql, int64_t id, GError **error)
{
    struct query query;
    query_start(&query, table, sql);
    query_bind_int(&query, id);
    return query_run(&query, true, error);
}

int query_run_key(struct table *table, enum sql sql, const char *key, GError **error)
{
    struct query query;
    query_start(&query, table, sql);
    query_bind_text(&query, key);
    return query_run(&query, true, error);
}

int query_step(struct query *query, GError **error)
{
    if (query->rc == SQLITE_OK) {
        int rc = sqlite3_step(query->statement);
        query->next = 0;
        if (rc == SQLITE_ROW)
            return 1;
        if (rc == SQLITE_DONE)
            return 0;
        query->rc = rc;
    }
    int r = table_error(query->table, query->rc, "read", error);
    query_end(query, NULL);
    return r;
}

int64_t query_int(struct query *query)
{
    return sqlite3_column_int64(query->statement, query->next++);
}

char *query_text(struct query *query)
{
    return g_strdup((const char *)sqlite3_column_text(query->statement, query->next++));
}

GBytes *query_bytes(struct query *query)
{
    int column = query->next++;
    const void *data = sqlite3_column_blob(query->statement, column);
    return g_bytes_new(data, (gsize)sqlite3_column_bytes(query->statement, column));
}

int query_end(struct query *query, GError **error)
{
    g_autoptr(GError) problem = g_steal_pointer(&query->error);
    query_reset(query);
    if (!problem)
        return 0;
    return gidfs_error(error, EBADMSG, "table %s: %s; correct the row with the sqlite3 shell (docs/table.md)",
                       query->table->path, problem->message);
}

int query_load(struct table *table, enum sql sql, query_read_fn read_row, GDestroyNotify free_row, GPtrArray **ret_rows,
               GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_row);
    struct query query;
    int r;

    query_start(&query, table, sql);
    while ((r = query_step(&query, error)) > 0) {
        g_ptr_array_add(rows, read_row(&query));
        if (query.error)
            break;
    }
    if (r >= 0)
        r = query_end(&query, error);
    if (r == 0)
        *ret_rows = g_steal_pointer(&rows);
    return r;
}
