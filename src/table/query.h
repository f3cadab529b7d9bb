/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "table/sql.h"
#include "table/table.h"

#include <sqlite3.h>

/*
 * Private to the table: one use of a prepared statement. Parameters are bound and columns are read in the order of the
 * SQL, so a row's function reads like the row. A failure is kept in the query until query_run, query_step or query_end
 * report it.
 */
struct table {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *prepared[N_SQL];
    bool in_transaction;
    bool is_broken; /* the connection may think that it holds locks which it doesn't, or the other way round */
};

struct query {
    struct table *table;
    sqlite3_stmt *statement;
    int next;      /* parameter or column */
    int rc;        /* first failure, SQLITE_OK so far */
    GError *error; /* of a column that makes no sense */
};

/* The negative errno of what SQLite says, with a message that names the file and the remedy. */
int table_error(struct table *table, int rc, const char *doing, GError **error);

/*
 * After a failed lock or unlock SQLite goes on as if nothing had been, for ever: a new connection starts without locks.
 * Not while rows are read. What can't be opened fails the queries that follow.
 */
void table_connect_again(struct table *table);

void query_start(struct query *query, struct table *table, enum sql sql);
void query_bind_int(struct query *query, int64_t value);
void query_bind_text(struct query *query, const char *value); /* NULL is NULL; must live until the query ends */
void query_bind_bytes(struct query *query, GBytes *value);

/* Runs a write. With must_change, -ENOENT if it met no row. */
int query_run(struct query *query, bool must_change, GError **error);

/* A write whose only parameter is the key of a row, which must be there. */
int query_run_id(struct table *table, enum sql sql, int64_t id, GError **error);
int query_run_key(struct table *table, enum sql sql, const char *key, GError **error);

/* One more row of a read: 1, 0 at the end, or a negative errno. */
int query_step(struct query *query, GError **error);
int64_t query_int(struct query *query);
char *query_text(struct query *query);
GBytes *query_bytes(struct query *query);

/* Reads a text column through a _from_string function of an enum. */
#define query_word(query, from_string, ret_value)                                                                      \
    do {                                                                                                               \
        g_autofree char *word_ = query_text(query);                                                                    \
        if (!(query)->error)                                                                                           \
            from_string(word_ ? word_ : "", ret_value, &(query)->error);                                               \
    } while (0)

/* Ends a read, also in its midst; returns -EBADMSG if a column made no sense. */
int query_end(struct query *query, GError **error);

typedef void *(*query_read_fn)(struct query *query);

/* All rows of a read without parameters, each made by read_row and freed by free_row. */
int query_load(struct table *table, enum sql sql, query_read_fn read_row, GDestroyNotify free_row, GPtrArray **ret_rows,
               GError **error);
