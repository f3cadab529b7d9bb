/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"
#include "gidfs_test.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

struct fixture {
    char *directory;
    char *path;
};

static int setup(void **state)
{
    struct fixture *fixture = g_new0(struct fixture, 1);
    fixture->directory = g_dir_make_tmp("gidfs-config-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->directory, "gidfs.conf", NULL);
    *state = fixture;
    return fixture->directory ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    g_unlink(fixture->path);
    g_rmdir(fixture->directory);
    g_free(fixture->directory);
    g_free(fixture->path);
    g_free(fixture);
    return 0;
}

static struct config *read_text(struct fixture *fixture, const char *text, struct config_flags flags)
{
    struct config *config = NULL;
    g_autoptr(GError) error = NULL;
    flags.config_path = fixture->path;
    assert_true(g_file_set_contents(fixture->path, text, -1, NULL));
    if (config_read(&flags, &config, &error) < 0)
        fail_msg("%s", error->message);
    return config;
}

static void test_defaults(void **state)
{
    g_autoptr(config_handle) config = read_text(*state, "# nothing\n", (struct config_flags){0});
    assert_string_equal(config->state_dir, "/var/lib/gidfs");
    assert_string_equal(config->run_dir, "/run/gidfs");
    assert_string_equal(config->gid_ranges, "50000-59999");
    assert_null(config->subid_ranges);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->read_group, (gid_t)-1);
    assert_false(config->reuse_last);
    assert_false(config->exclusive_warns);
}

static void test_all_keys(void **state)
{
    g_autoptr(config_handle) config =
        read_text(*state,
                  "[service]\nstate_dir=/s\nrun_dir = /r\nlog_level=debug\nread_group= 4321 \n"
                  "[gids]\nranges=1000-2000\norder=recent-last\n[subids]\nranges=100000-200000\n"
                  "[volumes]\nexclusive=warn\n",
                  (struct config_flags){0});
    assert_string_equal(config->state_dir, "/s");
    assert_string_equal(config->run_dir, "/r");
    assert_string_equal(config->gid_ranges, "1000-2000");
    assert_string_equal(config->subid_ranges, "100000-200000");
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->read_group, 4321);
    assert_true(config->reuse_last);
    assert_true(config->exclusive_warns);
}

static void test_flags_win(void **state)
{
    struct config_flags flags = {
        .state_dir = (char *)"/flag", .gid_ranges = (char *)"7-8", .log_level = (char *)"error"};
    g_autoptr(config_handle) config =
        read_text(*state, "[service]\nstate_dir=/s\nrun_dir=/r\n[gids]\nranges=1000-2000\n", flags);
    assert_string_equal(config->state_dir, "/flag");
    assert_string_equal(config->run_dir, "/r");
    assert_string_equal(config->gid_ranges, "7-8");
    assert_int_equal(config->log_level, LOG_LEVEL_ERROR);
}

static void test_errors_name_file_and_key(void **state)
{
    static const char *const wrong[][2] = {
        {"[gids]\nrange=1-2\n", "[gids] range"},
        {"[other]\nranges=1-2\n", "[other] ranges"},
        {"[gids]\norder=random\n", "recent-last"},
        {"[service]\nlog_level=loud\n", "warning"},
        {"[service]\nread_group=no-such-group-here\n", "no such group"},
        {"[service]\nstate_dir=\xff\n", "UTF-8"},
        {"state_dir=/s\n", ""},
    };
    struct fixture *fixture = *state;
    struct config_flags flags = {.config_path = fixture->path};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct config *config = NULL;
        g_autoptr(GError) error = NULL;
        assert_true(g_file_set_contents(fixture->path, wrong[i][0], -1, NULL));
        assert_int_equal(config_read(&flags, &config, &error), -EINVAL);
        assert_null(config);
        if (!strstr(error->message, wrong[i][1]) || !strstr(error->message, fixture->path))
            fail_msg("\"%s\" does not speak of %s", error->message, wrong[i][1]);
    }
}

static void test_a_file_that_is_named_must_be_there(void **state)
{
    struct config_flags flags = {.config_path = (char *)"/nonexistent/gidfs.conf"};
    struct config *config = NULL;
    g_autoptr(GError) error = NULL;
    assert_int_equal(config_read(&flags, &config, &error), -EINVAL);
    assert_non_null(strstr(error->message, "/nonexistent/gidfs.conf"));
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(test_defaults),
        with_fixture(test_all_keys),
        with_fixture(test_flags_win),
        with_fixture(test_errors_name_file_and_key),
        with_fixture(test_a_file_that_is_named_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
