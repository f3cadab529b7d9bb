/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of counters. */
#include "api/stats.h"

#include "api/objects.h"
#include "sys/unix_line.h"

#include <stdio.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 500

static void free_view(struct stats_view *view)
{
    g_free(view->name);
    g_free(view->control);
    g_clear_pointer(&view->answer, json_node_unref);
    g_free(view);
}

static void collect_view(const struct volume_info *info, void *data)
{
    struct stats_view *view = g_new0(struct stats_view, 1);
    view->name = g_strdup(info->row->name);
    view->control = g_strdup(info->control);
    view->view_gid = info->row->view_gid;
    view->cache = volume_cache_to_string(info->row->cache);
    g_ptr_array_add(data, view);
}

static void ask_view(struct stats_view *view, unsigned int timeout_ms)
{
    g_autofree char *answer = NULL;

    if (unix_line_ask(view->control, "stats", timeout_ms, &answer) < 0)
        return;
    view->answer = json_from_string(answer, NULL);
    if (view->answer && JSON_NODE_HOLDS_OBJECT(view->answer))
        view->counters = json_node_get_object(view->answer);
}

int stats_collect(struct api *api, const char *name, GPtrArray **ret_views, GError **error)
{
    gint64 end_us = g_get_monotonic_time() + STATS_PATIENCE_MS * 1000;
    g_autoptr(GPtrArray) views = g_ptr_array_new_with_free_func((GDestroyNotify)free_view);
    int r = 0;

    if (name)
        r = volume_visit(api->registry, name, collect_view, views, error);
    else
        volume_visit_all(api->registry, collect_view, views);
    for (guint i = 0; i < views->len && g_get_monotonic_time() < end_us; i++)
        ask_view(views->pdata[i], ANSWER_TIMEOUT_MS);
    if (r == 0)
        *ret_views = g_steal_pointer(&views);
    return r;
}

int64_t stats_counter(const struct stats_view *view, const char *name)
{
    return view->counters ? json_object_get_int_member_with_default(view->counters, name, 0) : 0;
}

/* Resident memory of a process, 0 if it is gone. */
static int64_t resident_bytes(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/statm", pid);
    g_autofree char *text = NULL;
    long long total = 0, resident = 0;

    if (pid <= 0 || !g_file_get_contents(path, &text, NULL, NULL) || sscanf(text, "%lld %lld", &total, &resident) != 2)
        return 0;
    return resident * sysconf(_SC_PAGESIZE);
}

/* The counts by opcode, in lower case; null for a view that did not answer. */
static void write_requests(struct json_out *out, const struct stats_view *view)
{
    JsonNode *node = view->counters ? json_object_get_member(view->counters, "requests") : NULL;
    JsonObjectIter iter;
    const char *opcode;
    JsonNode *count;

    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        json_null(out, "requests");
        return;
    }
    json_begin_object(out, "requests");
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &opcode, &count)) {
        g_autofree char *key = g_ascii_strdown(opcode, -1);
        json_int(out, key, JSON_NODE_HOLDS_VALUE(count) ? json_node_get_int(count) : 0);
    }
    json_end_object(out);
}

/* A member of the keeper's answer under our name; null where it has none. */
static void write_member(struct json_out *out, const char *key, const struct stats_view *view, const char *member)
{
    JsonNode *node = view->counters ? json_object_get_member(view->counters, member) : NULL;
    g_autofree char *text = node ? json_to_string(node, FALSE) : NULL;
    json_raw(out, key, text ? text : "null");
}

static void write_watch(struct json_out *out, const struct stats_view *view)
{
    if (!view->counters)
        json_null(out, "watch");
    else
        json_string(out, "watch",
                    json_object_get_boolean_member_with_default(view->counters, "watched", FALSE) ? "directories"
                                                                                                  : "none");
}

static void write_view(struct json_out *out, const struct stats_view *view)
{
    int64_t keeper = stats_counter(view, "keeper_pid"), worker = stats_counter(view, "worker_pid");

    json_begin_object(out, NULL);
    json_string(out, "name", view->name);
    json_uint(out, "gid", view->view_gid);
    write_requests(out, view);
    write_member(out, "total_requests", view, "n_requests");
    write_member(out, "inodes", view, "n_inodes");
    write_member(out, "open_fds", view, "n_fds");
    json_id(out, "rss_bytes", resident_bytes(keeper) + resident_bytes(worker));
    if (view->counters)
        json_int(out, "worker_restarts", MAX(stats_counter(view, "n_workers_started") - 1, 0));
    else
        json_null(out, "worker_restarts");
    write_member(out, "queue", view, "n_requests_in_work");
    write_member(out, "oldest_request_ms", view, "oldest_request_ms");
    write_member(out, "passthrough", view, "passthrough");
    json_string(out, "cache", view->cache);
    write_watch(out, view);
    json_id(out, "keeper_pid", keeper);
    json_id(out, "worker_pid", worker);
    json_end_object(out);
}

static int show(struct api *api, struct api_request *request, GError **error)
{
    g_autoptr(GPtrArray) views = NULL;

    int r = api_expect_no_query(request, error);
    if (r == 0)
        r = stats_collect(api, request->name, &views, error);
    if (r == 0)
        write_view(&request->out, views->pdata[0]);
    return r;
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    g_autoptr(GPtrArray) views = NULL;

    int r = api_expect_no_query(request, error);
    if (r == 0)
        r = stats_collect(api, NULL, &views, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "views");
    for (guint i = 0; i < views->len; i++)
        write_view(&request->out, views->pdata[i]);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

const struct api_route api_stats_routes[] = {
    {"GET", "/v1/stats", API_ACCESS_READ, list},
    {"GET", "/v1/stats/*", API_ACCESS_READ, show},
    {0},
};
