/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"

#include "fake_service.h"
#include "gidfs/gidfs.h"

struct fixture {
    struct fake_service fake;
    gidfs_client *client;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    fake_start(&f->fake);
    assert_int_equal(gidfs_open(f->fake.path, 30000, &f->client), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gidfs_close(f->client);
    fake_stop(&f->fake);
    g_free(f);
    return 0;
}

static void will_answer(struct fixture *f, int status, const char *body)
{
    g_autofree char *answer =
        g_strdup_printf("HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    fake_will_answer(&f->fake, answer);
}

static void assert_request(struct fixture *f, const char *line, const char *body)
{
    g_autofree char *request = fake_request(&f->fake);
    g_autofree char *first = g_strndup(request, strcspn(request, "\r"));
    g_autofree char *wanted = g_strconcat(line, " HTTP/1.1", NULL);
    assert_string_equal(first, wanted);
    assert_string_equal(fake_body(request), body);
}

static void test_volume(void **state)
{
    struct fixture *f = *state;
    gidfs_result *volume = NULL;
    int64_t gid = 0, reused = 7;
    struct gidfs_volume_options options = GIDFS_VOLUME_OPTIONS_INIT;
    options.name = "da\"ta";
    options.source = "/srv/x";
    will_answer(f, 201, "{\"name\":\"data\",\"gid\":50000,\"view\":\"/v\",\"reused\":false,\"note\":null}");
    assert_int_equal(gidfs_volume_create(f->client, &options, &volume), 0);
    assert_request(f, "POST /v1/volumes", "{\"name\":\"da\\\"ta\",\"source\":\"/srv/x\"}");
    assert_string_equal(gidfs_result_string(volume, "view"), "/v");
    assert_int_equal(gidfs_result_number(volume, "gid", &gid), 0);
    assert_int_equal(gid, 50000);
    assert_int_equal(gidfs_result_number(volume, "reused", &reused), 0);
    assert_int_equal(reused, 0);
    assert_int_equal(gidfs_result_number(volume, "note", &reused), -ENOENT);
    assert_int_equal(gidfs_result_number(volume, "view", &reused), -EINVAL);
    assert_int_equal(gidfs_result_length(volume, ""), 5);
    gidfs_result_free(volume);

    options.kind = "sandbox";
    options.policy = "mesos";
    options.gid = 4294967294u;
    options.flags = GIDFS_READ_ONLY | GIDFS_EXCLUSIVE;
    assert_int_equal(gidfs_volume_create(f->client, &options, &volume), 0);
    assert_request(f, "POST /v1/volumes",
                   "{\"name\":\"da\\\"ta\",\"source\":\"/srv/x\",\"kind\":\"sandbox\",\"policy\":\"mesos\","
                   "\"gid\":4294967294,\"read_only\":true,\"exclusive\":true}");
    gidfs_result_free(volume);

    will_answer(f, 200, "{}");
    assert_int_equal(gidfs_volume_remove(f->client, "a/b", GIDFS_FORCE), 0);
    assert_request(f, "DELETE /v1/volumes/a%2Fb?force=true", "");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    will_answer(f, 423, "{\"error\":{\"code\":\"busy\",\"errno\":16,\"message\":\"it is busy\",\"details\":{}}}");
    assert_int_equal(gidfs_detach(f->client, "/mnt/a b", 12, 0), -EBUSY);
    assert_request(f, "DELETE /v1/attachments?target=%2Fmnt%2Fa%20b&pid=12", "");
    assert_string_equal(gidfs_error_code(f->client), "busy");
    assert_string_equal(gidfs_error_message(f->client), "it is busy");

    will_answer(f, 200, "{}");
    assert_int_equal(gidfs_detach(f->client, "/mnt", 0, 0), 0);
    assert_string_equal(gidfs_error_message(f->client), "");

    static const char *const bad[] = {"[]", "{}", "oops", "{\"error\":{\"code\":\"busy\",\"message\":\"x\"}}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        will_answer(f, 500, bad[i]);
        assert_int_equal(gidfs_call(f->client, "GET", "/v1/ls", NULL, NULL), -EBADMSG);
        assert_string_equal(gidfs_error_code(f->client), "");
        assert_string_not_equal(gidfs_error_message(f->client), "");
    }
    /* an errno that is none must not become a success or something positive */
    will_answer(f, 500, "{\"error\":{\"code\":\"internal\",\"errno\":0,\"message\":\"x\",\"details\":{}}}");
    assert_int_equal(gidfs_call(f->client, "GET", "/v1/ls", NULL, NULL), -EIO);
    will_answer(f, 500, "{\"error\":{\"code\":\"internal\",\"errno\":-5000,\"message\":\"x\",\"details\":{}}}");
    assert_int_equal(gidfs_call(f->client, "GET", "/v1/ls", NULL, NULL), -EIO);
}

static void test_bad_arguments_are_not_sent(void **state)
{
    struct fixture *f = *state;
    gidfs_result *result = (void *)f;
    struct gidfs_volume_options options = GIDFS_VOLUME_OPTIONS_INIT;
    options.source = "/s";
    assert_int_equal(gidfs_volume_create(f->client, &options, &result), -EINVAL);
    assert_null(result);
    options.name = "n";
    options.source = "/\xff";
    assert_int_equal(gidfs_volume_create(f->client, &options, &result), -EINVAL);
    options.source = "/s";
    options.flags = 1u << 30;
    assert_int_equal(gidfs_volume_create(f->client, &options, &result), -EINVAL);
    assert_int_equal(gidfs_volume_remove(f->client, "", 0), -EINVAL);
    assert_int_equal(gidfs_call(f->client, "GET", "/a b", NULL, NULL), -EINVAL);
    assert_int_equal(gidfs_call(f->client, "GET", "/a\r\nX: y", NULL, NULL), -EINVAL);
    assert_int_equal(gidfs_call(f->client, "G T", "/a", NULL, NULL), -EINVAL);
    assert_int_equal(gidfs_call(f->client, "GET", "a", NULL, NULL), -EINVAL);
    g_autofree char *request = fake_request(&f->fake);
    assert_string_equal(request, "");

    gidfs_client *none = f->client;
    assert_int_equal(gidfs_open(NULL, -1, &none), -EINVAL);
    assert_null(none);
}

/* A caller built for an older or a newer library. */
static void test_option_structs_grow(void **state)
{
    struct fixture *f = *state;
    gidfs_result *result = NULL;
    struct {
        struct gidfs_volume_options known;
        const char *later;
    } newer = {.known = {.size = sizeof(newer), .name = "n", .source = "/s"}};
    will_answer(f, 200, "{}");
    assert_int_equal(gidfs_volume_create(f->client, &newer.known, &result), 0);
    gidfs_result_free(result);
    newer.later = "x";
    assert_int_equal(gidfs_volume_create(f->client, &newer.known, &result), -EINVAL);

    struct gidfs_volume_options older = {.name = "n", .source = "/s", .kind = (const char *)1};
    older.size = offsetof(struct gidfs_volume_options, kind);
    assert_int_equal(gidfs_volume_create(f->client, &older, &result), 0);
    assert_request(f, "POST /v1/volumes", "{\"name\":\"n\",\"source\":\"/s\"}");
    gidfs_result_free(result);
    older.size = 0;
    assert_int_equal(gidfs_volume_create(f->client, &older, &result), -EINVAL);
}

static void test_attach(void **state)
{
    struct fixture *f = *state;
    struct gidfs_attach_options options = GIDFS_ATTACH_OPTIONS_INIT;
    options.volume = "data";
    options.target = "/mnt";
    options.container = "c1";
    options.propagation = "slave";
    options.pid = 42;
    options.flags = GIDFS_READ_ONLY;
    will_answer(f, 201, "{\"id\":1}");
    assert_int_equal(gidfs_attach(f->client, &options, NULL), 0);
    assert_request(f, "POST /v1/attachments",
                   "{\"volume\":\"data\",\"target\":\"/mnt\",\"container\":\"c1\",\"propagation\":\"slave\","
                   "\"pid\":42,\"read_only\":true}");
}

static void test_container(void **state)
{
    struct fixture *f = *state;
    gidfs_result *container = NULL;
    const struct gidfs_container_volume volumes[] = {
        {.name = "data", .target = "/data", .flags = GIDFS_READ_ONLY},
        {.source = "/srv/x", .target = "/x", .policy = "mesos"},
    };
    struct gidfs_container_options options = GIDFS_CONTAINER_OPTIONS_INIT;
    options.id = "web";
    options.volumes = volumes;
    options.n_volumes = 2;
    options.rootfs = "/r";
    options.user = 0;
    options.flags = GIDFS_WITH_USER | GIDFS_ROOT_GIDS;
    will_answer(f, 201,
                "{\"id\":\"web\",\"supplementary_gids\":[50000,50001],\"apply_to\":\"process\",\"mounts\":["
                "{\"volume\":\"data\",\"gid\":50000,\"source\":\"/v/data\",\"target\":\"/data\",\"read_only\":true,"
                "\"propagation\":\"private\",\"made\":true},{}]}");
    assert_int_equal(gidfs_container_prepare(f->client, &options, &container), 0);
    assert_request(f, "POST /v1/containers",
                   "{\"id\":\"web\",\"rootfs\":\"/r\",\"user\":0,\"root_gids\":true,\"volumes\":["
                   "{\"name\":\"data\",\"target\":\"/data\",\"read_only\":true},"
                   "{\"source\":\"/srv/x\",\"target\":\"/x\",\"policy\":\"mesos\"}]}");

    uint32_t gids[2] = {0, 0};
    assert_int_equal(gidfs_result_gids(container, NULL, 0), 2);
    assert_int_equal(gidfs_result_gids(container, gids, 1), 2);
    assert_int_equal(gids[0], 50000);
    assert_int_equal(gids[1], 0);
    struct gidfs_mount mount;
    assert_int_equal(gidfs_result_mount(container, 0, &mount), 0);
    assert_string_equal(mount.source, "/v/data");
    assert_int_equal(mount.gid, 50000);
    assert_true(mount.read_only && mount.made);
    assert_int_equal(gidfs_result_mount(container, 1, &mount), 0);
    assert_null(mount.source);
    assert_int_equal(mount.gid, UINT32_MAX);
    assert_int_equal(gidfs_result_mount(container, 2, &mount), -ENOENT);
    gidfs_result_free(container);

    assert_int_equal(gidfs_container_update(f->client, &options, &container), 0);
    assert_request(f, "POST /v1/containers/web/update",
                   "{\"volumes\":[{\"name\":\"data\",\"target\":\"/data\",\"read_only\":true},"
                   "{\"source\":\"/srv/x\",\"target\":\"/x\",\"policy\":\"mesos\"}]}");
    gidfs_result_free(container);
    options.flags = 0;
    assert_int_equal(gidfs_container_restart(f->client, &options, &container), 0);
    assert_request(f, "POST /v1/containers/web/restart", "{\"rootfs\":\"/r\"}");
    gidfs_result_free(container);
    assert_int_equal(gidfs_container_cleanup(f->client, "web"), 0);
    assert_request(f, "DELETE /v1/containers/web", "");
}

static void test_recover(void **state)
{
    struct fixture *f = *state;
    const char *live[] = {"a", "b"};
    will_answer(f, 200, "{\"plan\":[]}");
    assert_int_equal(gidfs_recover(f->client, live, 2, GIDFS_DRY_RUN, NULL), 0);
    assert_request(f, "POST /v1/recover", "{\"dry_run\":true,\"live\":[\"a\",\"b\"]}");
    assert_int_equal(gidfs_recover(f->client, NULL, 0, 0, NULL), 0);
    assert_request(f, "POST /v1/recover", "{\"live\":[]}");
}

static void test_the_environment_names_the_socket(void **state)
{
    struct fixture *f = *state;
    gidfs_client *client = NULL;
    g_autofree char *absent = g_build_filename(f->fake.dir, "gidfs.sock", NULL);
    will_answer(f, 200, "{}");
    g_setenv("GIDFS_RUN_DIR", f->fake.dir, TRUE);
    assert_int_equal(gidfs_open(NULL, 0, &client), 0);
    assert_int_equal(gidfs_call(client, "GET", "/v1/service", NULL, NULL), -ENOENT);
    assert_non_null(strstr(gidfs_error_message(client), absent));
    gidfs_close(client);

    g_setenv("GIDFS_SOCKET", f->fake.path, TRUE);
    assert_int_equal(gidfs_open(NULL, 0, &client), 0);
    assert_int_equal(gidfs_call(client, "GET", "/v1/service", NULL, NULL), 0);
    gidfs_close(client);
    g_unsetenv("GIDFS_SOCKET");
    g_unsetenv("GIDFS_RUN_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_volume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_arguments_are_not_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_option_structs_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attach, setup, teardown),
        cmocka_unit_test_setup_teardown(test_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_environment_names_the_socket, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
