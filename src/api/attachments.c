/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of attachments. */
#include "api/api.h"
#include "api/objects.h"

static void write_attachment(const struct attachment_info *info, void *data)
{
    api_write_attachment(data, info);
}

static void write_created(const struct attachment_info *info, void *data)
{
    struct api_request *request = data;
    request->status = info->reused ? 200 : 201;
    api_write_attachment(&request->out, info);
}

static int create(struct api *api, struct api_request *request, GError **error)
{
    struct attachment_request asked = {0};
    struct api_reader reader;

    api_reader_body(&reader, request);
    asked.volume = api_read_required(&reader, "volume");
    asked.target = api_read_required(&reader, "target");
    asked.container = api_read_string(&reader, "container");
    asked.propagation = api_read_string(&reader, "propagation");
    asked.read_only = api_read_bool(&reader, "read_only") > 0;
    asked.pid = api_read_number(&reader, "pid", INT32_MAX, 0);
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    return r < 0 ? r : attachment_create(api->registry, &asked, write_created, request, error);
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;

    api_reader_query(&reader, request);
    const char *volume = api_read_string(&reader, "volume");
    const char *container = api_read_string(&reader, "container");
    int r = api_reader_end(&reader, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "attachments");
    attachment_visit_all(api->registry, volume, container, write_attachment, &request->out);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

static void write_removed(const struct attachment_info *info, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    json_string(out, "volume", info->volume->name);
    json_string(out, "target", info->row->target);
    json_uint(out, "gid", info->volume->view_gid);
    json_end_object(out);
}

static int remove_one(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;

    api_reader_query(&reader, request);
    const char *target = api_read_required(&reader, "target");
    int64_t pid = api_read_number(&reader, "pid", INT32_MAX, 0);
    bool force = api_read_bool(&reader, "force") > 0;
    int r = api_reader_end(&reader, error);
    return r < 0 ? r : attachment_remove(api->registry, target, pid, force, write_removed, &request->out, error);
}

const struct api_route api_attachment_routes[] = {
    {"GET", "/v1/attachments", API_ACCESS_READ, list},
    {"POST", "/v1/attachments", API_ACCESS_ROOT, create},
    {"DELETE", "/v1/attachments", API_ACCESS_ROOT, remove_one},
    {0},
};
