/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"
#include "sys/launch.h"
#include "sys/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int run_shell(const char *script, unsigned int timeout_ms, GError **error)
{
    return launch_program((const char *[]){"/bin/sh", "-c", script, NULL}, timeout_ms, error);
}

static void test_success_and_last_line(void **state)
{
    g_autoptr(GError) error = NULL;
    assert_int_equal(run_shell("echo hello", 60000, NULL), 0);
    assert_int_equal(run_shell("echo first; echo the reason >&2; exit 3", 60000, &error), -EIO);
    assert_string_equal(error->message, "the reason");
    g_clear_error(&error);
    assert_int_equal(run_shell("exit 3", 60000, &error), -EIO);
    assert_non_null(strstr(error->message, "status 3"));
    g_clear_error(&error);
    assert_int_equal(run_shell("kill -9 $$", 60000, &error), -EIO);
    assert_non_null(strstr(error->message, "signal 9"));
    g_clear_error(&error);
    assert_int_equal(launch_program((const char *[]){"/nonexistent", NULL}, 60000, &error), -ENOENT);
    assert_non_null(strstr(error->message, "/nonexistent"));
}

/* More output than a pipe holds does not block the child. */
static void test_long_output(void **state)
{
    g_autoptr(GError) error = NULL;
    assert_int_equal(run_shell("i=0; while [ $i -lt 5000 ]; do echo line $i of a long output; i=$((i+1)); done; exit 1",
                               60000, &error),
                     -EIO);
    assert_string_equal(error->message, "line 4999 of a long output");
}

/* A child in the background keeps its output open: that holds nobody up. */
static void test_background(void **state)
{
    g_autofree char *directory = g_dir_make_tmp("gidfs-launch-XXXXXX", NULL);
    g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
    g_autofree char *script = g_strdup_printf("cat %s & exit 0", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(run_shell(script, 30000, NULL), 0);
    close(open(fifo, O_WRONLY)); /* the reader is there, and ends now */
    g_unlink(fifo);
    g_rmdir(directory);
}

static void test_timeout(void **state)
{
    g_autoptr(GError) error = NULL;
    assert_int_equal(run_shell("sleep 60", 50, &error), -ETIMEDOUT);
    assert_non_null(strstr(error->message, "50 ms"));
}

/* No descriptor but the first three, whether it was close-on-exec or not. */
static void test_no_leaked_fds(void **state)
{
    int leaky = open("/dev/null", O_RDONLY);
    int high = fcntl(leaky, F_DUPFD, 200);
    g_autoptr(GError) error = NULL;
    run_shell("for f in /proc/self/fd/*; do n=${f##*/}; if [ $n -gt 2 ] && [ -e $f ]; then echo leaked $n; exit 1; fi; "
              "done",
              60000, &error);
    if (error)
        fail_msg("%s", error->message);
    close(leaky);
    close(high);
}

static void test_notify(void **state)
{
    g_autofree char *directory = g_dir_make_tmp("gidfs-notify-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "socket", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char buffer[64] = "";

    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_manager("READY=1"), 0);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify_manager("READY=1"), 0);
    assert_int_equal(recv(fd, buffer, sizeof(buffer) - 1, 0), 7);
    assert_string_equal(buffer, "READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_manager("READY=1"), -EINVAL);
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    assert_int_equal(notify_manager("READY=1"), -ENOENT);
    close(fd);
    g_unlink(path);
    g_rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_and_last_line),
        cmocka_unit_test(test_long_output),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_no_leaked_fds),
        cmocka_unit_test(test_notify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
