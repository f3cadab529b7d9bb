/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"
#include "sys/process_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int poll_watch(struct process_watch *watch, int timeout_ms)
{
    struct pollfd fd = {.fd = process_watch_fd(watch), .events = POLLIN};
    return poll(&fd, 1, timeout_ms);
}

static void test_ends_are_told_once(void **state)
{
    struct process_watch *watch = NULL;
    assert_int_equal(process_watch_new(&watch, NULL), 0);
    pid_t first = start_sleeper(), second = start_sleeper();
    assert_int_equal(process_watch_add(watch, 7, first), 0);
    assert_int_equal(process_watch_add(watch, 8, second), 0);
    assert_int_equal(poll_watch(watch, 0), 0);
    end(first);
    assert_int_equal(poll_watch(watch, 30000), 1);
    g_autoptr(GArray) keys = process_watch_read(watch);
    assert_int_equal(keys->len, 1);
    assert_int_equal(g_array_index(keys, int64_t, 0), 7);
    assert_int_equal(poll_watch(watch, 0), 0);
    process_watch_remove(watch, 8);
    end(second);
    assert_int_equal(poll_watch(watch, 0), 0);
    process_watch_free(watch);
}

static void test_a_key_moves_to_another_process(void **state)
{
    struct process_watch *watch = NULL;
    assert_int_equal(process_watch_new(&watch, NULL), 0);
    pid_t first = start_sleeper(), second = start_sleeper();
    assert_int_equal(process_watch_add(watch, 7, first), 0);
    assert_int_equal(process_watch_add(watch, 7, second), 0);
    end(first);
    assert_int_equal(poll_watch(watch, 0), 0);
    end(second);
    assert_int_equal(poll_watch(watch, 30000), 1);
    assert_int_equal(process_watch_add(watch, 9, second), -ESRCH);
    process_watch_free(watch);
}

static void test_waiting_for_an_end(void **state)
{
    pid_t pid = start_sleeper();
    assert_int_equal(process_wait_end(pid, 1), -ETIMEDOUT);
    kill(pid, SIGKILL);
    assert_int_equal(process_wait_end(pid, 30000), 0);
    waitpid(pid, NULL, 0);
    assert_int_equal(process_wait_end(pid, 30000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_are_told_once),
        cmocka_unit_test(test_a_key_moves_to_another_process),
        cmocka_unit_test(test_waiting_for_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
