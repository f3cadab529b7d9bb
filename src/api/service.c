/* SPDX-License-Identifier: Apache-2.0 */
/* The routes about the service itself: what it is, and its metrics (behaviour A12) in the OpenMetrics format. */
#include "api/api.h"
#include "api/objects.h"
#include "api/stats.h"

#include <string.h>
#include <unistd.h>

static int show_service(struct api *api, struct api_request *request, GError **error)
{
    struct registry_counts counts;
    struct gid_counts gids;
    g_autofree char *ranges = NULL;
    struct json_out *out = &request->out;

    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    registry_count(api->registry, &counts);
    gid_visit_all(api->registry, &gids, &ranges, NULL, NULL);
    json_begin_object(out, NULL);
    json_string(out, "name", "gidfsd");
    json_string(out, "version", GIDFS_VERSION);
    json_int(out, "api", 1);
    json_int(out, "pid", getpid());
    json_string(out, "state", g_atomic_int_get(&api->is_draining) ? "draining" : "ready");
    json_time(out, "started_at", api->started_s);
    json_string(out, "boot_id", registry_boot_id(api->registry));
    json_string(out, "run_dir", registry_run_dir(api->registry));
    json_string(out, "state_dir", registry_state_dir(api->registry));
    json_string(out, "gid_ranges", ranges);
    json_uint(out, "volumes", counts.n_volumes);
    json_uint(out, "attachments", counts.n_attachments);
    json_uint(out, "containers", counts.n_containers);
    json_uint(out, "rootfs", counts.n_rootfs);
    g_mutex_lock(&api->lock);
    json_strings(out, "warnings", (const char *const *)api->warnings);
    g_mutex_unlock(&api->lock);
    json_end_object(out);
    return 0;
}

/* The lines before the samples of a metric. */
static void begin_metric(GString *text, const char *name, const char *type, const char *help)
{
    g_string_append_printf(text, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void write_gids(GString *text, const struct gid_counts *counts)
{
    begin_metric(text, "gidfs_gids", "gauge", "Gids of the configured ranges by state; out_of_range lie outside them.");
    const struct {
        const char *state;
        uint64_t n;
    } samples[] = {
        {"total", counts->total},
        {"free", counts->free},
        {"allocated", counts->allocated},
        {"quarantined", counts->quarantined},
        {"out_of_range", counts->out_of_range},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(samples); i++)
        g_string_append_printf(text, "gidfs_gids{state=\"%s\"} %" G_GUINT64_FORMAT "\n", samples[i].state,
                               samples[i].n);
}

/* State of a volume → how many. */
static void count_state(const struct volume_info *info, void *data)
{
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(data, info->state));
    g_hash_table_insert(data, (char *)info->state, GUINT_TO_POINTER(n + 1));
}

static void write_volumes(GString *text, struct registry *registry)
{
    static const char *const states[] = {"prepared", "mounted", "releasing", "failed", "missing", "dead"};
    g_autoptr(GHashTable) n_by_state = g_hash_table_new(g_str_hash, g_str_equal);

    volume_visit_all(registry, count_state, n_by_state);
    begin_metric(text, "gidfs_volumes", "gauge", "Volumes by the state of their view.");
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        g_string_append_printf(text, "gidfs_volumes{state=\"%s\"} %u\n", states[i],
                               GPOINTER_TO_UINT(g_hash_table_lookup(n_by_state, states[i])));
}

static void write_gauge(GString *text, const char *name, const char *help, size_t value)
{
    begin_metric(text, name, "gauge", help);
    g_string_append_printf(text, "%s %zu\n", name, value);
}

static int compare_keys(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

static void write_requests(GString *text, struct api *api)
{
    begin_metric(text, "gidfs_api_requests", "counter", "Requests answered, by method and status.");
    g_mutex_lock(&api->lock);
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(api->counts), compare_keys);
    for (GList *key = keys; key; key = key->next) {
        const char *space = strchr(key->data, ' ');
        g_string_append_printf(text, "gidfs_api_requests_total{method=\"%.*s\",code=\"%s\"} %u\n",
                               (int)(space - (char *)key->data), (char *)key->data, space + 1,
                               GPOINTER_TO_UINT(g_hash_table_lookup(api->counts, key->data)));
    }
    g_mutex_unlock(&api->lock);
}

/* Of volume names no character needs an escape. */
static void write_views(GString *text, struct api *api)
{
    static const struct {
        const char *metric, *suffix, *type, *counter, *help;
        int64_t less;
    } metrics[] = {
        {"gidfs_view_requests", "_total", "counter", "n_requests", "Requests of the kernel to a view.", 0},
        {"gidfs_view_inodes", "", "gauge", "n_inodes", "Inodes of a view that the kernel knows.", 0},
        {"gidfs_view_worker_restarts", "_total", "counter", "n_workers_started", "Workers that took another's place.",
         1},
    };
    g_autoptr(GPtrArray) views = NULL;

    if (stats_collect(api, NULL, &views, NULL) < 0)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(metrics); i++) {
        begin_metric(text, metrics[i].metric, metrics[i].type, metrics[i].help);
        for (guint j = 0; j < views->len; j++) {
            const struct stats_view *view = views->pdata[j];
            if (view->counters)
                g_string_append_printf(text, "%s%s{volume=\"%s\"} %" G_GINT64_FORMAT "\n", metrics[i].metric,
                                       metrics[i].suffix, view->name,
                                       stats_counter(view, metrics[i].counter) - metrics[i].less);
        }
    }
}

static int write_metrics(struct api *api, struct api_request *request, GError **error)
{
    GString *text = request->out.text;
    struct registry_counts counts;
    struct gid_counts gids;

    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    gid_visit_all(api->registry, &gids, NULL, NULL, NULL);
    registry_count(api->registry, &counts);
    write_gids(text, &gids);
    write_volumes(text, api->registry);
    write_gauge(text, "gidfs_attachments", "Attachments.", counts.n_attachments);
    write_gauge(text, "gidfs_containers", "Prepared containers.", counts.n_containers);
    write_gauge(text, "gidfs_rootfs", "Layered roots.", counts.n_rootfs);
    write_views(text, api);
    write_requests(text, api);
    begin_metric(text, "gidfs_build", "info", "The version of the service.");
    g_string_append(text, "gidfs_build_info{version=\"" GIDFS_VERSION "\"} 1\n# EOF\n");
    request->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    return 0;
}

static void note_drained(const char *name, const GError *error, void *data)
{
    struct api_lists *lists = data;

    if (!error) {
        json_string(&lists->done, NULL, name);
        return;
    }
    json_begin_object(&lists->failed, NULL);
    json_string(&lists->failed, "name", name);
    json_string(&lists->failed, "reason", error->message);
    json_end_object(&lists->failed);
}

static int drain_views(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;
    struct api_lists lists;

    api_reader_body(&reader, request);
    bool force = api_read_bool(&reader, "force") > 0;
    int r = api_reader_end(&reader, error);
    if (r < 0)
        return r;
    g_atomic_int_set(&api->is_draining, true);
    api_lists_begin(&lists);
    registry_drain(api->registry, force, note_drained, &lists);
    json_begin_object(&request->out, NULL);
    api_lists_end(&lists, &request->out, "unmounted", "left");
    json_end_object(&request->out);
    return 0;
}

const struct api_route api_service_routes[] = {
    {"POST", "/v1/drain", API_ACCESS_ROOT, drain_views},
    {"GET", "/v1/service", API_ACCESS_READ, show_service},
    {"GET", "/metrics", API_ACCESS_READ, write_metrics},
    {0},
};
