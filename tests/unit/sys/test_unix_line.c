/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"
#include "sys/unix_line.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    char *directory;
    char *path;
    int listen_fd;
    const char *answer;
};

static int setup(void **state)
{
    struct fixture *fixture = g_new0(struct fixture, 1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    fixture->directory = g_dir_make_tmp("gidfs-line-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->directory, "socket", NULL);
    strcpy(address.sun_path, fixture->path);
    fixture->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *state = fixture;
    return bind(fixture->listen_fd, (struct sockaddr *)&address, sizeof(address)) || listen(fixture->listen_fd, 4);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    close(fixture->listen_fd);
    g_unlink(fixture->path);
    g_rmdir(fixture->directory);
    g_free(fixture->path);
    g_free(fixture->directory);
    g_free(fixture);
    return 0;
}

/* Takes one connection, reads its line, answers, and closes. */
static void *serve(void *data)
{
    struct fixture *fixture = data;
    char line[64] = "";
    int fd = accept(fixture->listen_fd, NULL, NULL);
    assert_int_equal(read(fd, line, sizeof(line) - 1), 5);
    assert_string_equal(line, "ping\n");
    for (size_t i = 0; i < strlen(fixture->answer); i++) /* in pieces */
        assert_int_equal(write(fd, &fixture->answer[i], 1), 1);
    close(fd);
    return NULL;
}

static int ask(struct fixture *fixture, const char *answer, char **ret_answer)
{
    fixture->answer = answer;
    GThread *server = g_thread_new("server", serve, fixture);
    int r = unix_line_ask(fixture->path, "ping", 60000, ret_answer);
    g_thread_join(server);
    return r;
}

static void test_one_line_for_one_line(void **state)
{
    g_autofree char *answer = NULL;
    assert_int_equal(ask(*state, "pong and more\n", &answer), 0);
    assert_string_equal(answer, "pong and more");
}

static void test_no_answer(void **state)
{
    char *answer = NULL;
    assert_int_equal(ask(*state, "half a line", &answer), -EPIPE);
    assert_int_equal(unix_line_ask(((struct fixture *)*state)->path, "ping", 1, &answer), -ETIMEDOUT);
    assert_int_equal(unix_line_ask("/nonexistent", "ping", 1, &answer), -ENOENT);
    assert_null(answer);
}

static void test_the_listener_is_known(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = 0;
    assert_int_equal(unix_peer_pid(fixture->path, &pid), 0);
    assert_int_equal(pid, getpid());
    close(fixture->listen_fd);
    assert_int_equal(unix_peer_pid(fixture->path, &pid), -ECONNREFUSED);
    fixture->listen_fd = -1;
}

static void test_groups_of_a_peer(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    pid_t pid = 0;
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, fixture->path);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    int fd = accept(fixture->listen_fd, NULL, NULL);
    assert_int_equal(unix_peer_credentials(fd, &uid, &gid, &pid), 0);
    assert_int_equal(uid, geteuid());
    assert_int_equal(gid, getegid());
    assert_int_equal(pid, getpid());
    assert_true(unix_peer_in_group(fd, getegid()));
    assert_false(unix_peer_in_group(fd, 4123456789u));
    close(fd);
    close(client);
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(test_one_line_for_one_line),
        with_fixture(test_no_answer),
        with_fixture(test_the_listener_is_known),
        with_fixture(test_groups_of_a_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
