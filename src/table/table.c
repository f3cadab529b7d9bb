/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, checking and closing the table, and its transactions.
 *
 * What is not surely ours is never written to: the header is looked at with plain reads before SQLite sees the file,
 * and SQLite's own check runs before the first write. A new table is made beside its place and renamed into it, so that
 * a crash cannot leave the empty file that the next start would have to refuse (behaviour A7).
 *
 * The journal is a write-ahead log with synchronous=FULL: a commit that returned survives a power loss, and the sqlite3
 * shell can read while the service runs.
 */
#include "table/table.h"

#include "base/fd.h"
#include "table/query.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MS 5000

static int execute(struct table *table, const char *sql, const char *doing, GError **error)
{
    int rc = sqlite3_exec(table->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : table_error(table, rc, doing, error);
}

static int query_pragma(struct table *table, const char *sql, int64_t *ret_value, GError **error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(table->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : table_error(table, rc, "read", error);
}

/* Opens the SQLite connection. A failure leaves table->db for table_error to read and table_close to close. */
static int connect_to(struct table *table, const char *path, int flags, GError **error)
{
    int rc = sqlite3_open_v2(path, &table->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK)
        return table_error(table, rc, "open", error);
    sqlite3_busy_timeout(table->db, BUSY_TIMEOUT_MS);
    return execute(table, "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;", "open", error);
}

static void disconnect(struct table *table)
{
    for (int i = 0; i < N_SQL; i++)
        sqlite3_finalize(table->prepared[i]);
    memset(table->prepared, 0, sizeof(table->prepared));
    sqlite3_close(table->db);
    table->db = NULL;
}

void table_connect_again(struct table *table)
{
    for (int i = 0; i < N_SQL; i++)
        if (table->prepared[i] && sqlite3_stmt_busy(table->prepared[i]))
            return;
    disconnect(table);
    table->is_broken = connect_to(table, table->path, SQLITE_OPEN_READWRITE, NULL) < 0;
}

static int sync_directory_of(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    auto_fd int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return gidfs_error_errno(error, errno, "sync the directory %s", directory);
    return 0;
}

static int run_schema_steps(struct table *table, int64_t version, GError **error)
{
    for (; version < SQL_SCHEMA_VERSION; version++) {
        g_autofree char *sql = g_strdup_printf("BEGIN IMMEDIATE; %s PRAGMA user_version=%d; COMMIT;",
                                               sql_schema_step((int)version), (int)version + 1);
        int r = execute(table, sql, "make the schema", error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A new table in a file of its own, in the rollback journal's form: one file, whole once it is closed. */
static int fill_new_file(const char *path, GError **error)
{
    g_autoptr(table_file) table = g_new0(struct table, 1);
    table->path = g_strdup(path);
    int r = connect_to(table, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error);
    if (r < 0)
        return r;
    g_autofree char *mark = g_strdup_printf("PRAGMA application_id=%d;", SQL_APPLICATION_ID);
    r = execute(table, mark, "make the table", error);
    return r < 0 ? r : run_schema_steps(table, 0, error);
}

static int create_file(const char *path, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".new", NULL);
    if (unlink(temporary) < 0 && errno != ENOENT)
        return gidfs_error_errno(error, errno, "table %s: remove the leftover %s", path, temporary);
    int r = fill_new_file(temporary, error);
    if (r == 0 && (chmod(temporary, 0644) < 0 || rename(temporary, path) < 0))
        r = gidfs_error_errno(error, errno, "table %s: create", path);
    if (r < 0) {
        unlink(temporary);
        return r;
    }
    return sync_directory_of(path, error);
}

/* Looks at the first bytes without SQLite: 1 if there is no file, 0 if it may be ours. */
static int check_header(const char *path, GError **error)
{
    static const char magic[16] = "SQLite format 3";
    char header[100];

    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 1 : gidfs_error_errno(error, errno, "table %s: open", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return gidfs_error_errno(error, errno, "table %s: stat", path);
    if (!S_ISREG(st.st_mode))
        return gidfs_error(error, EBADMSG, "table %s: it is no regular file; move it away and start again", path);
    ssize_t size = pread(fd, header, sizeof(header), 0);
    if (size < 0)
        return gidfs_error_errno(error, errno, "table %s: read", path);
    if (size == 0)
        return gidfs_error(
            error, EBADMSG,
            "table %s: the file is empty, as a power loss can leave it; put a backup in its place, or move "
            "it away (mv %s %s.empty) to start with no allocations at all",
            path, path, path);
    if (size < (ssize_t)sizeof(header) || memcmp(header, magic, sizeof(magic)) != 0)
        return gidfs_error(
            error, EBADMSG,
            "table %s: the file is damaged or not an SQLite table; put a backup in its place, or move it "
            "away (mv %s %s.bad) to start with no allocations at all",
            path, path, path);
    return 0;
}

static int check_owner_and_version(struct table *table, int64_t *ret_version, GError **error)
{
    int64_t application = 0;
    int r = query_pragma(table, "PRAGMA application_id", &application, error);
    if (r == 0)
        r = query_pragma(table, "PRAGMA user_version", ret_version, error);
    if (r < 0)
        return r;
    if (application != SQL_APPLICATION_ID || *ret_version < 1)
        return gidfs_error(error, EBADMSG,
                           "table %s: the file belongs to another program (application_id %" G_GINT64_FORMAT
                           "); move it away, or give another --state-dir",
                           table->path, application);
    if (*ret_version > SQL_SCHEMA_VERSION)
        return gidfs_error(error, ENOTSUP,
                           "table %s: a newer gidfs wrote it (schema %" G_GINT64_FORMAT
                           ", this one knows %d); install that version again, or put a backup in its place",
                           table->path, *ret_version, SQL_SCHEMA_VERSION);
    return 0;
}

/* The first complaint of an SQLite check, or NULL when it is content. */
static char *first_complaint(struct table *table, const char *sql, int column)
{
    sqlite3_stmt *statement = NULL;
    char *complaint = NULL;
    int rc = sqlite3_prepare_v2(table->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        complaint = g_strdup((const char *)sqlite3_column_text(statement, column));
    else if (rc != SQLITE_DONE)
        complaint = g_strdup(sqlite3_errmsg(table->db));
    sqlite3_finalize(statement);
    return complaint;
}

static int check_integrity(struct table *table, GError **error)
{
    g_autofree char *complaint = first_complaint(table, "PRAGMA integrity_check(1)", 0);
    if (g_strcmp0(complaint, "ok") == 0) {
        g_free(complaint);
        complaint = first_complaint(table, "PRAGMA foreign_key_check", 0);
        if (!complaint)
            return 0;
        char *whole = g_strconcat("a row refers to one that is missing in or from ", complaint, NULL);
        g_free(complaint);
        complaint = whole;
    }
    g_strdelimit(complaint, "\n", ' ');
    return gidfs_error(error, EBADMSG,
                       "table %s: damaged: %s; repair it (sqlite3 %s .recover | sqlite3 repaired.db, then put "
                       "repaired.db in its place), or put a backup in its place",
                       table->path, complaint, table->path);
}

/* A write that changes nothing: a table that cannot be written is refused now and not at the first allocation. */
static int check_writable(struct table *table, int64_t version, GError **error)
{
    g_autofree char *sql = g_strdup_printf("PRAGMA user_version=%d;", (int)version);
    if (sqlite3_db_readonly(table->db, "main") == 1)
        return gidfs_error(error, EROFS,
                           "table %s: it cannot be written; make it and its directory writable for the service",
                           table->path);
    int r = execute(table, "PRAGMA journal_mode=WAL;", "switch to the write-ahead log", error);
    return r < 0 ? r : execute(table, sql, "try a write", error);
}

int table_open(const char *path, struct table **ret_table, GError **error)
{
    int64_t version = 0;
    int r = check_header(path, error);
    if (r == 1)
        r = create_file(path, error);
    if (r < 0)
        return r;

    g_autoptr(table_file) table = g_new0(struct table, 1);
    table->path = g_strdup(path);
    r = connect_to(table, path, SQLITE_OPEN_READWRITE, error);
    if (r == 0)
        r = check_owner_and_version(table, &version, error);
    if (r == 0)
        r = check_integrity(table, error);
    if (r == 0)
        r = check_writable(table, version, error);
    if (r == 0)
        r = run_schema_steps(table, version, error);
    if (r == 0)
        *ret_table = g_steal_pointer(&table);
    return r;
}

void table_close(struct table *table)
{
    if (!table)
        return;
    disconnect(table);
    g_free(table->path);
    g_free(table);
}

void table_limit_pages(struct table *table, unsigned int n_pages)
{
    g_autofree char *sql = g_strdup_printf("PRAGMA max_page_count=%u;", n_pages);
    sqlite3_exec(table->db, sql, NULL, NULL, NULL);
}

static int run_plain(struct table *table, enum sql sql, GError **error)
{
    struct query query;
    query_start(&query, table, sql);
    return query_run(&query, false, error);
}

int table_begin(struct table *table, GError **error)
{
    g_assert(!table->in_transaction);
    int r = run_plain(table, SQL_BEGIN, error);
    table->in_transaction = r == 0;
    return r;
}

int table_commit(struct table *table, GError **error)
{
    g_assert(table->in_transaction);
    int r = run_plain(table, SQL_COMMIT, error);
    if (r < 0)
        table_rollback(table);
    table->in_transaction = false;
    return r;
}

/* Some failures (a full disk) have rolled back already; SQLite's autocommit flag tells. */
void table_rollback(struct table *table)
{
    if (!sqlite3_get_autocommit(table->db))
        run_plain(table, SQL_ROLLBACK, NULL);
    table->in_transaction = false;
}
