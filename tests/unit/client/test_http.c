/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include <sys/stat.h>

#include "client/http.h"
#include "fake_service.h"

#define LONG_US (30 * G_USEC_PER_SEC)

static int setup(void **state)
{
    static struct fake_service fake;
    fake_start(&fake);
    *state = &fake;
    return 0;
}

static int teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

static int ask(struct fake_service *fake, const char *answer, struct http_answer *ret)
{
    fake_will_answer(fake, answer);
    return http_exchange(fake->path, "GET", "/x", NULL, g_get_monotonic_time() + LONG_US, ret, NULL);
}

static void test_answers(void **state)
{
    struct fake_service *fake = *state;
    struct http_answer answer = {0};
    assert_int_equal(ask(fake, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", &answer), 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body->str, "{}");
    g_autofree char *request = fake_request(fake);
    assert_string_equal(request, "GET /x HTTP/1.1\r\nHost: gidfs\r\nConnection: close\r\n\r\n");
    http_answer_clear(&answer);

    assert_int_equal(ask(fake, "HTTP/1.0 404 Not Found\r\nX: y\r\n\r\nuntil the end", &answer), 0);
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.body->str, "until the end");
    http_answer_clear(&answer);
}

static void test_bad_answers(void **state)
{
    static const struct {
        const char *answer;
        int errnum;
    } bad[] = {
        {"", ECONNRESET},
        {"HTTP/1.1 200 OK\r\n", EBADMSG},
        {"HTTP/2 200 OK\r\n\r\n", EBADMSG},
        {"HTTP/1.1 2000 OK\r\n\r\n", EBADMSG},
        {"HTTP/1.1 20 OK\r\n\r\n", EBADMSG},
        {"SSH-2.0-x\r\n\r\n", EBADMSG},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", EBADMSG},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", EBADMSG},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", EBADMSG},
        {"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{}", EFBIG},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", EBADMSG},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", EBADMSG},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct http_answer answer = {0};
        int r = ask(*state, bad[i].answer, &answer);
        if (r != -bad[i].errnum)
            fail_msg("%s: %d", bad[i].answer, r);
        assert_null(answer.body);
    }
}

static void test_head_without_end_is_bounded(void **state)
{
    struct http_answer answer = {0};
    g_autofree char *field = g_strnfill(1024 * 1024, 'x');
    g_autofree char *endless = g_strconcat("HTTP/1.1 200 OK\r\nX: ", field, NULL);
    assert_int_equal(ask(*state, endless, &answer), -EBADMSG);
}

static void test_large_body_both_ways(void **state)
{
    struct fake_service *fake = *state;
    struct http_answer answer = {0};
    g_autofree char *body = g_strnfill(3 * 1024 * 1024, 'b');
    g_autofree char *text = g_strdup_printf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    fake_will_answer(fake, text);
    gint64 deadline_us = g_get_monotonic_time() + LONG_US;
    assert_int_equal(http_exchange(fake->path, "POST", "/x", body, deadline_us, &answer, NULL), 0);
    assert_int_equal(answer.body->len, strlen(body));
    g_autofree char *request = fake_request(fake);
    assert_int_equal(strlen(fake_body(request)), strlen(body));
    http_answer_clear(&answer);
}

static void test_silence_ends_at_the_deadline(void **state)
{
    struct fake_service *fake = *state;
    struct http_answer answer = {0};
    g_autoptr(GError) error = NULL;
    pthread_mutex_lock(&fake->lock);
    fake->silent = TRUE;
    pthread_mutex_unlock(&fake->lock);
    gint64 deadline_us = g_get_monotonic_time() + 20 * 1000;
    assert_int_equal(http_exchange(fake->path, "GET", "/x", NULL, deadline_us, &answer, &error), -ETIMEDOUT);
    assert_non_null(strstr(error->message, fake->path));
}

static void test_nobody_there(void **state)
{
    struct http_answer answer = {0};
    g_autoptr(GError) error = NULL;
    int r =
        http_exchange("/nonexistent/gidfs.sock", "GET", "/x", NULL, g_get_monotonic_time() + LONG_US, &answer, &error);
    assert_int_equal(r, -ENOENT);
    assert_non_null(strstr(error->message, "/nonexistent/gidfs.sock"));
    assert_non_null(strstr(error->message, "gidfsd"));
}

/* A path beyond the 107 bytes of a sockaddr_un still reaches its socket. */
static void test_long_socket_path(void **state)
{
    struct fake_service *fake = *state;
    struct http_answer answer = {0};
    g_autofree char *name = g_strnfill(200, 'd');
    g_autofree char *dir = g_build_filename(fake->dir, name, NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(link(fake->path, path), 0);
    fake_will_answer(fake, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    int r = http_exchange(path, "GET", "/x", NULL, g_get_monotonic_time() + LONG_US, &answer, NULL);
    unlink(path);
    rmdir(dir);
    assert_int_equal(r, 0);
    http_answer_clear(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_without_end_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_body_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence_ends_at_the_deadline, setup, teardown),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test_setup_teardown(test_long_socket_path, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
