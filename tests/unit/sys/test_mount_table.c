/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_table.h"

#include "gidfs_test.h"
#include "sys/mount_propagation.h"

#include <errno.h>
#include <sys/sysmacros.h>

static struct mount_table *read_recorded(void)
{
    struct mount_table *table = NULL;
    assert_int_equal(mount_table_read_file(GIDFS_TEST_DATA "/mountinfo/host.mountinfo", &table, NULL), 0);
    return table;
}

static void test_every_field_is_read(void **state)
{
    g_autoptr(mount_table) table = read_recorded();
    assert_int_equal(mount_table_size(table), 8);
    const struct mount_entry *e = mount_table_find_target(table, "/srv/c1/data");
    assert_non_null(e);
    assert_int_equal(e->id, 32);
    assert_int_equal(e->parent_id, 21);
    assert_int_equal(e->dev, makedev(0, 51));
    assert_string_equal(e->root, "/");
    assert_string_equal(e->fstype, "fuse.gidfs");
    assert_string_equal(e->source, "/srv/a");
    assert_int_equal(e->peer_group, 41);
    assert_int_equal(e->master_group, 0);
    assert_true(mount_entry_has_option(e, "ro"));
    assert_false(mount_entry_has_option(e, "rw"));
    assert_true(mount_entry_has_option(e, "nosuid"));
    assert_true(mount_entry_has_option(e, "relatime"));
    assert_false(mount_entry_has_option(e, "noexec"));
    assert_false(mount_entry_has_option(e, "no"));
    assert_ptr_equal(mount_table_find_id(table, 32), e);
}

/* The kernel may list the mount on top before the one that it covers. */
static void test_the_mount_on_top_is_found(void **state)
{
    g_autoptr(mount_table) table = read_recorded();
    const struct mount_entry *top = mount_table_find_target(table, "/srv/tw o/x");
    assert_non_null(top);
    assert_int_equal(top->id, 34);
    assert_int_equal(top->master_group, 7);
    assert_false(top->covered);
    assert_true(mount_table_find_id(table, 33)->covered);
    assert_true(mount_table_find_id(table, 33)->unbindable);
    assert_false(mount_table_find_id(table, 21)->covered);
}

static void test_what_is_not_there(void **state)
{
    g_autoptr(mount_table) table = read_recorded();
    assert_null(mount_table_find_target(table, "/srv/c1"));
    assert_null(mount_table_find_target(table, "/srv/c1/data/"));
    assert_null(mount_table_find_id(table, 99));
    g_autoptr(GError) error = NULL;
    struct mount_table *none = NULL;
    assert_int_equal(mount_table_read_file("/nonexistent/mountinfo", &none, &error), -ENOENT);
    assert_null(none);
    assert_non_null(strstr(error->message, "/nonexistent/mountinfo"));
}

static void test_the_live_table_and_its_monitor(void **state)
{
    g_autoptr(mount_table) table = NULL;
    assert_int_equal(mount_table_read(0, &table, NULL), 0);
    assert_non_null(mount_table_find_target(table, "/"));
    g_autoptr(mount_monitor) monitor = NULL;
    assert_int_equal(mount_monitor_new(&monitor, NULL), 0);
    assert_int_equal(mount_monitor_drain(monitor), 0);
}

static void test_propagation_words(void **state)
{
    static const char *const known[] = {"private", "rprivate", "shared",     "rshared",
                                        "slave",   "rslave",   "unbindable", "runbindable"};
    struct mount_propagation p = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        assert_int_equal(mount_propagation_parse(known[i], &p, NULL), 0);
        assert_int_equal(p.type, MOUNT_PROPAGATION_PRIVATE + i / 2);
        assert_int_equal(p.recursive, i % 2);
    }
    assert_int_equal(mount_propagation_parse("", &p, NULL), 0);
    assert_int_equal(p.type, MOUNT_PROPAGATION_KEEP);

    g_autoptr(GError) error = NULL;
    assert_int_equal(mount_propagation_parse("sharde", &p, &error), -EINVAL);
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        assert_non_null(strstr(error->message, known[i]));
    assert_non_null(strstr(error->message, "sharde"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_read), cmocka_unit_test(test_the_mount_on_top_is_found),
        cmocka_unit_test(test_what_is_not_there),   cmocka_unit_test(test_the_live_table_and_its_monitor),
        cmocka_unit_test(test_propagation_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
