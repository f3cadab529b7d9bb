/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route of upgrades: each view's keeper becomes the installed program with nothing unmounted
 * (docs/view-control.md), and the service itself starts anew if its program was replaced.
 */
#include "api/objects.h"
#include "api/stats.h"
#include "sys/unix_line.h"

#include <errno.h>
#include <string.h>

#define UPGRADE_TIMEOUT_MS 30000

/* Asks one keeper; *ret_version is what runs now. */
static int upgrade_view(const struct stats_view *view, const char *program, char **ret_version, GError **error)
{
    g_autofree char *line = g_strconcat("upgrade ", program, NULL);
    g_autofree char *answer = NULL;

    int r = unix_line_ask(view->control, line, UPGRADE_TIMEOUT_MS, &answer);
    if (r == -ETIMEDOUT)
        return refuse(error, REFUSAL_TIMEOUT, "view \"%s\": its keeper did not answer in %d ms", view->name,
                      UPGRADE_TIMEOUT_MS);
    if (r < 0)
        return refuse(error, REFUSAL_UNAVAILABLE, "view \"%s\": its keeper cannot be asked: %s", view->name,
                      g_strerror(-r));
    if (!g_str_has_prefix(answer, "ok"))
        return gidfs_error(error, EIO, "view \"%s\": %s", view->name,
                           g_str_has_prefix(answer, "error: ") ? answer + strlen("error: ") : answer);
    *ret_version = g_strdup(g_strstrip(answer + strlen("ok")));
    return 0;
}

static void upgrade_one(struct api_lists *lists, const struct stats_view *view, const char *program)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *version = NULL;
    struct json_out *out = &lists->done;
    const char *before =
        view->counters ? json_object_get_string_member_with_default(view->counters, "version", NULL) : NULL;

    gint64 start_us = g_get_monotonic_time();
    if (upgrade_view(view, program, &version, &error) < 0) {
        api_write_error(&lists->failed, view->name, error);
        return;
    }
    json_begin_object(out, NULL);
    json_string(out, "name", view->name);
    json_string(out, "from", before);
    json_string(out, "to", version);
    json_int(out, "pause_ms", (g_get_monotonic_time() - start_us) / 1000);
    json_end_object(out);
}

static int upgrade(struct api *api, struct api_request *request, GError **error)
{
    g_autoptr(GPtrArray) views = NULL;
    struct api_lists lists;
    struct api_reader reader;

    api_reader_body(&reader, request);
    const char *name = api_read_string(&reader, "name");
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = stats_collect(api, name, &views, error);
    if (r < 0)
        return r;
    api_lists_begin(&lists);
    for (guint i = 0; i < views->len; i++)
        upgrade_one(&lists, views->pdata[i], registry_view_program(api->registry));
    bool restarts = !name && api->restart && api->restart(api->restart_data);
    json_begin_object(&request->out, NULL);
    api_lists_end(&lists, &request->out, "upgraded", "errors");
    json_string(&request->out, "service", restarts ? "restarting" : "unchanged");
    json_end_object(&request->out);
    return 0;
}

const struct api_route api_upgrade_routes[] = {
    {"POST", "/v1/upgrade", API_ACCESS_ROOT, upgrade},
    {0},
};
