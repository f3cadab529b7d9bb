/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of layered roots and of long operations. */
#include "mounts/rootfs.h"

#include "api/api.h"
#include "api/objects.h"

#define WAIT_MS_MAX 30000

static void write_object(struct json_out *out, const char *key, const struct rootfs_info *info)
{
    const struct table_rootfs *row = info->row;

    json_begin_object(out, key);
    json_string(out, "id", row->id);
    json_string(out, "kind", row->kind);
    json_string(out, "path", row->path);
    json_string(out, "state", info->state);
    json_strings(out, "layers", (const char *const *)row->layers);
    json_string(out, "upper", row->upper);
    json_bool(out, "read_only", row->read_only);
    json_string(out, "uidmap", row->uid_map);
    json_string(out, "gidmap", row->gid_map);
    json_id(out, "gid", row->view_gid);
    json_string(out, "policy", row->policy);
    json_string(out, "whiteouts", row->whiteouts);
    json_time(out, "created_at", row->created_s);
    json_string(out, "note", info->note);
    json_end_object(out);
}

static void write_rootfs(const struct rootfs_info *info, void *data)
{
    write_object(data, NULL, info);
}

static void write_created(const struct rootfs_info *info, void *data)
{
    struct api_request *request = data;
    request->status = 201;
    write_object(&request->out, NULL, info);
}

static int create(struct api *api, struct api_request *request, GError **error)
{
    struct rootfs_request asked = {0};
    struct api_reader reader;

    api_reader_body(&reader, request);
    g_autoptr(GPtrArray) layers = api_read_strings(&reader, "layers");
    asked.id = api_read_required(&reader, "id");
    asked.uid_map = api_read_string(&reader, "uidmap");
    asked.gid_map = api_read_string(&reader, "gidmap");
    asked.policy = api_read_string(&reader, "policy");
    asked.whiteouts = api_read_string(&reader, "whiteouts");
    asked.upper = api_read_string(&reader, "upper");
    asked.work = api_read_string(&reader, "work");
    asked.view_gid = api_read_number(&reader, "gid", UINT32_MAX, -1);
    asked.read_only = api_read_bool(&reader, "read_only") > 0;
    asked.layers = (const char *const *)layers->pdata;
    asked.n_layers = layers->len;
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    return r < 0 ? r : rootfs_create(api->registry, &asked, write_created, request, error);
}

static int begin_flatten(struct api *api, struct api_request *request, GError **error)
{
    g_autofree char *made_id = NULL, *operation = NULL;
    struct api_reader reader;

    api_reader_body(&reader, request);
    g_autoptr(GPtrArray) layers = api_read_strings(&reader, "layers");
    const char *id = api_read_string(&reader, "id");
    const char *target = api_read_required(&reader, "target");
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    if (r == 0)
        r = rootfs_flatten(api->registry, id, (const char *const *)layers->pdata, layers->len, target, &made_id,
                           &operation, error);
    if (r < 0)
        return r;
    request->status = 202;
    json_begin_object(&request->out, NULL);
    json_string(&request->out, "operation", operation);
    json_string(&request->out, "id", made_id);
    json_end_object(&request->out);
    return 0;
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "rootfs");
    rootfs_visit_all(api->registry, write_rootfs, &request->out);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

static int show(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    return r < 0 ? r : rootfs_visit(api->registry, request->name, write_rootfs, &request->out, error);
}

static void write_removed(const struct rootfs_info *info, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    json_string(out, "id", info->row->id);
    json_string(out, "path", info->row->path);
    json_end_object(out);
}

static int remove_one(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;

    api_reader_query(&reader, request);
    bool force = api_read_bool(&reader, "force") > 0;
    int r = api_reader_end(&reader, error);
    return r < 0 ? r : rootfs_remove(api->registry, request->name, force, write_removed, &request->out, error);
}

static void write_total(struct json_out *out, const char *key, uint64_t total)
{
    if (total)
        json_uint(out, key, total);
    else
        json_null(out, key);
}

static void write_work(const struct work_info *info, void *data)
{
    static const char *const states[] = {"running", "done", "failed"};
    struct json_out *out = data;

    json_begin_object(out, NULL);
    json_string(out, "id", info->id);
    json_string(out, "what", info->what);
    json_string(out, "state", states[info->state]);
    json_uint(out, "done_entries", info->done_entries);
    write_total(out, "total_entries", info->total_entries);
    json_uint(out, "done_bytes", info->done_bytes);
    write_total(out, "total_bytes", info->total_bytes);
    if (info->error)
        api_write_error_as(out, "error", info->error);
    else
        json_null(out, "error");
    if (info->made)
        write_object(out, "result", info->made);
    else
        json_null(out, "result");
    json_end_object(out);
}

static int show_work(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;

    api_reader_query(&reader, request);
    int64_t wait_ms = api_read_number(&reader, "wait_ms", WAIT_MS_MAX, 0);
    int r = api_reader_end(&reader, error);
    return r < 0 ? r
                 : work_visit(api->registry, request->name, (unsigned int)wait_ms, write_work, &request->out, error);
}

const struct api_route api_rootfs_routes[] = {
    {"GET", "/v1/rootfs", API_ACCESS_READ, list},
    {"POST", "/v1/rootfs", API_ACCESS_ROOT, create},
    {"POST", "/v1/rootfs/flatten", API_ACCESS_ROOT, begin_flatten},
    {"GET", "/v1/rootfs/*", API_ACCESS_READ, show},
    {"DELETE", "/v1/rootfs/*", API_ACCESS_ROOT, remove_one},
    {"GET", "/v1/operations/*", API_ACCESS_READ, show_work},
    {0},
};
