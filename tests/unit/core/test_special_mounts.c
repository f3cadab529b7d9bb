/* SPDX-License-Identifier: Apache-2.0 */
#include "core/special_mounts.h"

#include "gidfs_test.h"

#include <string.h>

static bool is_in(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && path[length] == '/';
}

static bool has(const char *const *words, const char *word)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

static const struct special_mount *find(const struct special_plan *plan, const char *destination)
{
    for (size_t i = 0; i < plan->n_mounts; i++) {
        if (strcmp(plan->mounts[i].destination, destination) == 0)
            return &plan->mounts[i];
    }
    fail_msg("no mount at %s", destination);
    return NULL;
}

static void test_parents_come_first_and_nothing_twice(void **state)
{
    for (int i = 0; i < 8; i++) {
        const struct special_request request = {i & 1, i & 2, i & 4};
        struct special_plan plan = special_plan_for(&request);
        for (size_t a = 0; a < plan.n_mounts; a++) {
            for (size_t b = a + 1; b < plan.n_mounts; b++) {
                assert_false(is_in(plan.mounts[a].destination, plan.mounts[b].destination));
                assert_string_not_equal(plan.mounts[a].destination, plan.mounts[b].destination);
            }
        }
    }
}

static void test_what_a_container_gets(void **state)
{
    struct special_plan plan = special_plan_for(&(struct special_request){0});
    assert_true(has(find(&plan, "/dev/pts")->options, "gid=5"));
    assert_true(has(find(&plan, "/dev/shm")->options, "mode=1777"));
    assert_true(has(find(&plan, "/sys")->options, "ro"));
    assert_true(has(find(&plan, "/sys/fs/cgroup")->options, "ro"));
    assert_string_equal(find(&plan, "/sys")->type, "sysfs");
    assert_string_equal(find(&plan, "/proc")->type, "proc");
    assert_true(has(plan.read_only_paths, "/proc/sys"));
    assert_true(has(plan.masked_paths, "/proc/kcore"));
    assert_int_equal(plan.n_devices, 6);
    assert_int_equal(plan.n_links, 5);
    for (size_t i = 0; i < plan.n_links; i++)
        assert_true(is_in(plan.links[i].path, "/dev"));
}

static void test_nothing_is_masked_in_the_hosts_pid_namespace(void **state)
{
    struct special_plan plan = special_plan_for(&(struct special_request){.host_pid = true});
    assert_null(plan.masked_paths[0]);
    assert_null(plan.read_only_paths[0]);
    assert_true(plan.n_mounts > 0);
}

static void test_sys_is_the_hosts_where_no_own_one_can_be_mounted(void **state)
{
    struct special_plan plan =
        special_plan_for(&(struct special_request){.host_network = true, .user_namespace = true});
    const struct special_mount *sys = find(&plan, "/sys");
    assert_string_equal(sys->source, "/sys");
    assert_true(has(sys->options, "rbind"));
    assert_true(has(sys->options, "ro"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parents_come_first_and_nothing_twice),
        cmocka_unit_test(test_what_a_container_gets),
        cmocka_unit_test(test_nothing_is_masked_in_the_hosts_pid_namespace),
        cmocka_unit_test(test_sys_is_the_hosts_where_no_own_one_can_be_mounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
