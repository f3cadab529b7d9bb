/* SPDX-License-Identifier: Apache-2.0 */
/* The table as a file: made, kept over a reopen, and refused untouched when it is not surely ours (behaviour A7). */
#include "base/fd.h"
#include "gidfs_test.h"
#include "table/table.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    char *directory;
    char *path;
};

static int setup(void **state)
{
    struct fixture *fixture = g_new0(struct fixture, 1);
    fixture->directory = g_dir_make_tmp("gidfs-table-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->directory, "gids.db", NULL);
    *state = fixture;
    return fixture->directory ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    GDir *directory = g_dir_open(fixture->directory, 0, NULL);
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        g_autofree char *path = g_build_filename(fixture->directory, name, NULL);
        g_unlink(path);
    }
    g_dir_close(directory);
    g_rmdir(fixture->directory);
    g_free(fixture->directory);
    g_free(fixture->path);
    g_free(fixture);
    return 0;
}

static struct table *open_table(struct fixture *fixture)
{
    struct table *table = NULL;
    g_autoptr(GError) error = NULL;
    if (table_open(fixture->path, &table, &error) < 0)
        fail_msg("%s", error->message);
    return table;
}

static struct table_volume *make_volume(const char *name, gid_t gid)
{
    struct table_volume *row = g_new0(struct table_volume, 1);
    row->name = g_strdup(name);
    row->source = g_strdup_printf("/srv/%s", name);
    row->device = UINT64_MAX - 1; /* device numbers use all bits */
    row->handle = g_bytes_new(name, strlen(name) + 1);
    row->policy = MODE_POLICY_MESOS;
    row->kind = VOLUME_SANDBOX;
    row->chgrp = VIEW_CHGRP_IGNORE;
    row->cache = VIEW_CACHE_NONE;
    row->exclusive = true;
    row->view_gid = gid;
    row->state = ROW_PREPARED;
    row->generation = 7;
    row->boot_id = g_strdup("boot-1");
    row->created_s = 1700000000;
    return row;
}

static void insert_volume(struct table *table, const char *name, gid_t gid)
{
    g_autoptr(table_volume) row = make_volume(name, gid);
    assert_int_equal(table_volume_insert(table, row, NULL), 0);
}

static GPtrArray *load_volumes(struct table *table)
{
    GPtrArray *rows = NULL;
    assert_int_equal(table_load_volumes(table, &rows, NULL), 0);
    return rows;
}

static void test_volume_survives_reopen(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    g_autoptr(table_volume) row = make_volume("data", 50000);
    assert_int_equal(table_volume_insert(table, row, NULL), 0);
    assert_int_not_equal(row->id, 0);
    row->state = ROW_MOUNTED;
    row->container = g_strdup("web");
    assert_int_equal(table_volume_update(table, row, NULL), 0);
    table_close(g_steal_pointer(&table));

    table = open_table(*state);
    g_autoptr(GPtrArray) rows = load_volumes(table);
    assert_int_equal(rows->len, 1);
    struct table_volume *read = rows->pdata[0];
    assert_int_equal(read->id, row->id);
    assert_string_equal(read->name, "data");
    assert_string_equal(read->source, "/srv/data");
    assert_true(read->device == UINT64_MAX - 1);
    assert_true(g_bytes_equal(read->handle, row->handle));
    assert_int_equal(read->kind, VOLUME_SANDBOX);
    assert_int_equal(read->policy, MODE_POLICY_MESOS);
    assert_int_equal(read->chgrp, VIEW_CHGRP_IGNORE);
    assert_int_equal(read->cache, VIEW_CACHE_NONE);
    assert_false(read->read_only);
    assert_true(read->exclusive);
    assert_int_equal(read->view_gid, 50000);
    assert_false(read->gid_given);
    assert_int_equal(read->state, ROW_MOUNTED);
    assert_int_equal(read->generation, 7);
    assert_string_equal(read->container, "web");
    assert_string_equal(read->boot_id, "boot-1");
    assert_int_equal(read->created_s, 1700000000);
}

static void test_keys_are_kept(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    insert_volume(table, "a", 50000);

    g_autoptr(table_volume) same_name = make_volume("a", 50001);
    g_bytes_unref(same_name->handle);
    same_name->handle = g_bytes_new("x", 1);
    assert_int_equal(table_volume_insert(table, same_name, NULL), -EEXIST);

    g_autoptr(table_volume) same_gid = make_volume("b", 50000);
    assert_int_equal(table_volume_insert(table, same_gid, NULL), -EEXIST);
    same_gid->gid_given = true; /* a given gid may be shared */
    assert_int_equal(table_volume_insert(table, same_gid, NULL), 0);

    g_autoptr(table_volume) same_source = make_volume("c", 50002);
    g_bytes_unref(same_source->handle);
    same_source->handle = g_bytes_new("a", 2);
    assert_int_equal(table_volume_insert(table, same_source, NULL), -EEXIST);
    same_source->gid_given = true; /* one source, several gids */
    assert_int_equal(table_volume_insert(table, same_source, NULL), 0);

    assert_int_equal(table_volume_delete(table, 4711, NULL), -ENOENT);
    assert_int_equal(table_volume_update(table,
                                         &(struct table_volume){.id = 4711,
                                                                .name = "z",
                                                                .source = "/z",
                                                                .handle = same_source->handle,
                                                                .policy = MODE_POLICY_SHARED,
                                                                .view_gid = 9,
                                                                .boot_id = "b"},
                                         NULL),
                     -ENOENT);
}

static void test_attachments_hold_their_volume(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    g_autoptr(table_volume) volume = make_volume("a", 50000);
    assert_int_equal(table_volume_insert(table, volume, NULL), 0);
    struct table_attachment row = {.volume_id = volume->id,
                                   .target = (char *)"/mnt/a",
                                   .namespace = 4026531840,
                                   .pid = 12,
                                   .inside = (char *)"/data",
                                   .position = 3,
                                   .read_only = true,
                                   .propagation = (char *)"slave",
                                   .state = ROW_HANDED,
                                   .mount_id = 99,
                                   .boot_id = (char *)"boot-1",
                                   .created_s = 5};
    assert_int_equal(table_attachment_insert(table, &row, NULL), 0);
    assert_int_equal(table_volume_delete(table, volume->id, NULL), -EEXIST);

    g_autoptr(GPtrArray) rows = NULL;
    assert_int_equal(table_load_attachments(table, &rows, NULL), 0);
    assert_int_equal(rows->len, 1);
    struct table_attachment *read = rows->pdata[0];
    assert_string_equal(read->target, "/mnt/a");
    assert_int_equal(read->namespace, 4026531840);
    assert_null(read->container);
    assert_string_equal(read->inside, "/data");
    assert_string_equal(read->propagation, "slave");
    assert_int_equal(read->state, ROW_HANDED);
    assert_int_equal(read->position, 3);
    assert_int_equal(read->mount_id, 99);

    assert_int_equal(table_attachment_delete(table, row.id, NULL), 0);
    assert_int_equal(table_volume_delete(table, volume->id, NULL), 0);
    row.volume_id = 4711;
    assert_int_equal(table_attachment_insert(table, &row, NULL), -EEXIST);
}

static void test_other_rows(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    struct table_container container = {.id = (char *)"web",
                                        .user = -1,
                                        .task_user = 1001,
                                        .parent = (char *)"pod",
                                        .state = ROW_MOUNTED,
                                        .boot_id = (char *)"b"};
    struct table_quarantined quarantined = {50001, 3, (char *)"old", (char *)"/srv/old", 12, (char *)"b"};
    struct table_block block = {(char *)"web", 100000, 65536, (char *)"b", 9};
    char *layers[] = {(char *)"/l/a:b\n", (char *)"/l/c", NULL};
    struct table_rootfs rootfs = {.id = (char *)"web",
                                  .kind = (char *)"view",
                                  .path = (char *)"/run/r",
                                  .layers = layers,
                                  .state = ROW_PREPARED,
                                  .boot_id = (char *)"b"};
    assert_int_equal(table_container_insert(table, &container, NULL), 0);
    assert_int_equal(table_container_insert(table, &container, NULL), -EEXIST);
    container.pid = 77;
    assert_int_equal(table_container_update(table, &container, NULL), 0);
    assert_int_equal(table_quarantine_insert(table, &quarantined, NULL), 0);
    assert_int_equal(table_block_insert(table, &block, NULL), 0);
    assert_int_equal(table_rootfs_insert(table, &rootfs, NULL), 0);
    assert_int_equal(table_rootfs_insert(table, &rootfs, NULL), -EEXIST);
    assert_int_equal(table_rootfs_set_state(table, "web", ROW_MOUNTED, "c", NULL), 0);

    g_autoptr(GPtrArray) containers = NULL, gids = NULL, blocks = NULL, trees = NULL;
    assert_int_equal(table_load_containers(table, &containers, NULL), 0);
    assert_int_equal(table_load_quarantine(table, &gids, NULL), 0);
    assert_int_equal(table_load_blocks(table, &blocks, NULL), 0);
    assert_int_equal(table_load_rootfs(table, &trees, NULL), 0);
    struct table_container *read_container = containers->pdata[0];
    assert_string_equal(read_container->id, "web");
    assert_int_equal(read_container->pid, 77);
    assert_int_equal(read_container->user, -1);
    assert_string_equal(read_container->parent, "pod");
    assert_int_equal(((struct table_quarantined *)gids->pdata[0])->gid, 50001);
    assert_int_equal(((struct table_block *)blocks->pdata[0])->count, 65536);
    struct table_rootfs *read_rootfs = trees->pdata[0];
    assert_int_equal(g_strv_length(read_rootfs->layers), 2);
    assert_string_equal(read_rootfs->layers[0], "/l/a:b\n");
    assert_int_equal(read_rootfs->state, ROW_MOUNTED);
    assert_string_equal(read_rootfs->boot_id, "c");

    assert_int_equal(table_container_delete(table, "web", NULL), 0);
    assert_int_equal(table_quarantine_delete(table, 50001, NULL), 0);
    assert_int_equal(table_block_delete(table, "web", NULL), 0);
    assert_int_equal(table_rootfs_delete(table, "web", NULL), 0);
    assert_int_equal(table_rootfs_delete(table, "web", NULL), -ENOENT);
}

static void quarantine_and_free(struct table *table, gid_t gid)
{
    struct table_quarantined row = {gid, 3, (char *)"old", (char *)"/srv/old", 12, (char *)"b"};
    assert_int_equal(table_quarantine_insert(table, &row, NULL), 0);
    assert_int_equal(table_quarantine_delete(table, gid, NULL), 0);
}

static void assert_freed(struct table *table, const gid_t *expected, guint n_expected)
{
    g_autoptr(GPtrArray) gids = NULL;
    assert_int_equal(table_load_freed(table, &gids, NULL), 0);
    assert_int_equal(gids->len, n_expected);
    for (guint i = 0; i < n_expected; i++)
        assert_int_equal(GPOINTER_TO_UINT(gids->pdata[i]), expected[i]);
}

static void test_order_of_frees(void **state)
{
    struct table *table = open_table(*state);
    quarantine_and_free(table, 50002);
    quarantine_and_free(table, 50001);
    quarantine_and_free(table, 50003);
    quarantine_and_free(table, 50002);
    assert_int_equal(table_begin(table, NULL), 0);
    quarantine_and_free(table, 50004);
    table_rollback(table);
    table_close(table);

    table = open_table(*state);
    assert_freed(table, (const gid_t[]){50001, 50003, 50002}, 3);
    table_close(table);
}

static void test_transactions(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    assert_int_equal(table_begin(table, NULL), 0);
    insert_volume(table, "a", 50000);
    table_rollback(table);
    g_autoptr(GPtrArray) none = load_volumes(table);
    assert_int_equal(none->len, 0);
    assert_int_equal(table_begin(table, NULL), 0);
    insert_volume(table, "a", 50000);
    insert_volume(table, "b", 50001);
    assert_int_equal(table_commit(table, NULL), 0);
    g_autoptr(GPtrArray) both = load_volumes(table);
    assert_int_equal(both->len, 2);
}

/* A full disk: the write fails with ENOSPC, what was acknowledged stays, and writing works again when there is room. */
static void test_full_disk(void **state)
{
    g_autoptr(table_file) table = open_table(*state);
    g_autoptr(GError) error = NULL;
    table_limit_pages(table, 1);
    int n_written = 0, r = 0;
    while (r == 0 && n_written < 10000) {
        g_autofree char *name = g_strdup_printf("volume-%d", n_written);
        g_autoptr(table_volume) row = make_volume(name, (gid_t)(50000 + n_written));
        r = table_volume_insert(table, row, &error);
        n_written += r == 0;
    }
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(error->message, ((struct fixture *)*state)->path));
    assert_non_null(strstr(error->message, "free space"));
    assert_int_equal(table_begin(table, NULL), 0);
    g_autoptr(table_volume) more = make_volume("more", 49999);
    assert_int_equal(table_volume_insert(table, more, NULL), -ENOSPC);
    table_rollback(table);

    g_autoptr(GPtrArray) rows = load_volumes(table);
    assert_int_equal(rows->len, n_written);
    table_limit_pages(table, 100000);
    assert_int_equal(table_volume_insert(table, more, NULL), 0);
}

/* Refused with errnum and a message that has each word, and the file is the same before and after. */
static void assert_refused(struct fixture *fixture, int errnum, const char *word)
{
    struct table *table = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;
    gsize size_before = 0, size_after = 0;
    assert_true(g_file_get_contents(fixture->path, &before, &size_before, NULL));
    assert_int_equal(table_open(fixture->path, &table, &error), -errnum);
    assert_null(table);
    if (!strstr(error->message, word) || !strstr(error->message, fixture->path))
        fail_msg("\"%s\" does not speak of %s", error->message, word);
    assert_true(g_file_get_contents(fixture->path, &after, &size_after, NULL));
    assert_int_equal(size_before, size_after);
    assert_memory_equal(before, after, size_before);
}

static void execute_outside(struct fixture *fixture, const char *sql)
{
    struct table *table = open_table(fixture);
    table_close(table);
    g_autofree char *quoted = g_shell_quote(sql);
    g_autofree char *command = g_strdup_printf("sqlite3 %s %s", fixture->path, quoted);
    int status = -1;
    if (!g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) || status != 0)
        skip();
}

/* Puts a file of another directory, cut off at size bytes, in this fixture's place for it. */
static void place_copy(struct fixture *fixture, const char *suffix, const char *content, gsize size)
{
    g_autofree char *path = g_strconcat(fixture->path, suffix, NULL);
    assert_true(g_file_set_contents(path, content, (gssize)size, NULL));
}

/*
 * A power loss in the midst of a write leaves the log cut off or torn anywhere behind what was synced. Wherever that
 * is, the table opens, and holds the rows that were written first, whole.
 */
static void test_torn_log(void **state)
{
    struct fixture *fixture = *state;
    const int n_written = 5;
    g_autofree char *wal = g_strconcat(fixture->path, "-wal", NULL), *shm = g_strconcat(fixture->path, "-shm", NULL);
    g_autofree char *file = NULL, *log = NULL;
    gsize file_size = 0, log_size = 0;
    guint n_before = 0;

    struct table *table = open_table(fixture);
    for (int i = 0; i < n_written; i++) {
        g_autofree char *name = g_strdup_printf("volume-%d", i);
        insert_volume(table, name, (gid_t)(50000 + i));
    }
    assert_true(g_file_get_contents(fixture->path, &file, &file_size, NULL));
    assert_true(g_file_get_contents(wal, &log, &log_size, NULL));
    table_close(table);

    for (gsize size = 0; size <= log_size; size = size == log_size ? size + 1 : MIN(size + 2500, log_size)) {
        g_unlink(shm);
        place_copy(fixture, "", file, file_size);
        place_copy(fixture, "-wal", log, size);
        table = open_table(fixture);
        g_autoptr(GPtrArray) rows = load_volumes(table);
        assert_true(rows->len >= n_before);
        for (guint i = 0; i < rows->len; i++)
            assert_int_equal(((struct table_volume *)rows->pdata[i])->view_gid, 50000 + i);
        n_before = rows->len;
        table_close(table);
    }
    assert_int_equal(n_before, n_written);

    g_autofree char *torn = g_memdup2(log, log_size);
    memset(torn + log_size - 600, 0x5a, 600);
    g_unlink(shm);
    place_copy(fixture, "", file, file_size);
    place_copy(fixture, "-wal", torn, log_size);
    table = open_table(fixture);
    g_autoptr(GPtrArray) rows = load_volumes(table);
    assert_int_equal(rows->len, n_written - 1);
    table_close(table);
}

static void test_refuses_empty(void **state)
{
    struct fixture *fixture = *state;
    assert_true(g_file_set_contents(fixture->path, "", 0, NULL));
    assert_refused(fixture, EBADMSG, "empty");
}

static void test_refuses_foreign(void **state)
{
    struct fixture *fixture = *state;
    assert_true(g_file_set_contents(fixture->path, "[Desktop Entry]\n", -1, NULL));
    assert_refused(fixture, EBADMSG, "move it away");
}

static void test_refuses_other_program(void **state)
{
    struct fixture *fixture = *state;
    execute_outside(fixture, "PRAGMA application_id=1; PRAGMA journal_mode=DELETE;");
    assert_refused(fixture, EBADMSG, "another program");
}

static void test_brings_schema_1_up_to_date(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = open_table(fixture);
    insert_volume(table, "kept", 50007);
    table_close(table);
    execute_outside(fixture, "DROP TRIGGER quarantine_ends; DROP TABLE freed; PRAGMA user_version=1;");

    g_autoptr(GPtrArray) volumes = NULL;
    table = open_table(fixture);
    assert_int_equal(table_load_volumes(table, &volumes, NULL), 0);
    assert_int_equal(volumes->len, 1);
    quarantine_and_free(table, 50002);
    assert_freed(table, (const gid_t[]){50002}, 1);
    table_close(table);
}

static void test_refuses_newer(void **state)
{
    struct fixture *fixture = *state;
    execute_outside(fixture, "PRAGMA user_version=999; PRAGMA journal_mode=DELETE;");
    assert_refused(fixture, ENOTSUP, "newer");
}

/* Garbage in any page is seen, and never written over. */
static void test_refuses_damaged(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = open_table(fixture);
    for (int i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("volume-%d", i);
        insert_volume(table, name, (gid_t)(50000 + i));
    }
    table_close(table);

    g_autofree char *whole = NULL;
    gsize size = 0;
    assert_true(g_file_get_contents(fixture->path, &whole, &size, NULL));
    const gsize page = 4096;
    for (gsize offset = page; offset + page <= size; offset += page) {
        g_autofree char *damaged = g_memdup2(whole, size);
        memset(damaged + offset, 0x5a, page);
        assert_true(g_file_set_contents(fixture->path, damaged, (gssize)size, NULL));
        assert_refused(fixture, EBADMSG, "repair");
    }
    assert_true(g_file_set_contents(fixture->path, whole, (gssize)(size / 2 / page * page), NULL));
    assert_refused(fixture, EBADMSG, "repair");
    assert_true(g_file_set_contents(fixture->path, whole, (gssize)size, NULL));
    table_close(open_table(fixture));
}

static void test_refuses_dangling_reference(void **state)
{
    struct fixture *fixture = *state;
    execute_outside(
        fixture,
        "PRAGMA foreign_keys=OFF; INSERT INTO attachments VALUES (1, 4711, '/t', 0, 0, NULL, NULL, 0, 0, NULL, "
        "'mounted', 0, 'b', 0); PRAGMA journal_mode=DELETE;");
    assert_refused(fixture, EBADMSG, "attachments");
}

static void test_refuses_no_regular_file(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = NULL;
    g_autoptr(GError) error = NULL;
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_int_equal(table_open(fixture->path, &table, &error), -EBADMSG);
    assert_non_null(strstr(error->message, "no regular file"));
}

static void test_refuses_missing_directory(void **state)
{
    struct table *table = NULL;
    g_autoptr(GError) error = NULL;
    assert_true(table_open("/nonexistent/gids.db", &table, &error) < 0);
    assert_non_null(strstr(error->message, "/nonexistent/gids.db"));
}

/* What a crash in the midst of making the table leaves behind is no obstacle. */
static void test_leftover_of_a_crash(void **state)
{
    struct fixture *fixture = *state;
    g_autofree char *leftover = g_strconcat(fixture->path, ".new", NULL);
    assert_true(g_file_set_contents(leftover, "half", 4, NULL));
    table_close(open_table(fixture));
    assert_int_equal(access(leftover, F_OK), -1);
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(test_volume_survives_reopen),
        with_fixture(test_keys_are_kept),
        with_fixture(test_attachments_hold_their_volume),
        with_fixture(test_other_rows),
        with_fixture(test_order_of_frees),
        with_fixture(test_brings_schema_1_up_to_date),
        with_fixture(test_transactions),
        with_fixture(test_full_disk),
        with_fixture(test_torn_log),
        with_fixture(test_refuses_empty),
        with_fixture(test_refuses_foreign),
        with_fixture(test_refuses_other_program),
        with_fixture(test_refuses_newer),
        with_fixture(test_refuses_damaged),
        with_fixture(test_refuses_dangling_reference),
        with_fixture(test_refuses_no_regular_file),
        with_fixture(test_refuses_missing_directory),
        with_fixture(test_leftover_of_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
