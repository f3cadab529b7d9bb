/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of volumes. */
#include "api/api.h"
#include "api/objects.h"

static void write_volume(const struct volume_info *info, void *data)
{
    api_write_volume(data, info);
}

static void write_created(const struct volume_info *info, void *data)
{
    struct api_request *request = data;
    request->status = info->reused ? 200 : 201;
    api_write_volume_with(&request->out, info, true);
}

static int create(struct api *api, struct api_request *request, GError **error)
{
    struct volume_request asked = VOLUME_REQUEST_EMPTY;
    struct api_reader reader;

    api_reader_body(&reader, request);
    asked.name = api_read_required(&reader, "name");
    asked.source = api_read_required(&reader, "source");
    asked.kind = api_read_word(&reader, "kind", volume_kind_from_string, enum volume_kind);
    asked.policy = api_read_word(&reader, "policy", mode_policy_from_string, enum mode_policy);
    asked.chgrp = api_read_word(&reader, "chgrp", volume_chgrp_from_string, enum view_chgrp);
    asked.cache = api_read_word(&reader, "cache", volume_cache_from_string, enum view_cache);
    asked.read_only = api_read_bool(&reader, "read_only");
    asked.exclusive = api_read_bool(&reader, "exclusive");
    asked.view_gid = api_read_number(&reader, "gid", UINT32_MAX, -1);
    int r = api_reader_end(&reader, error);
    if (r == 0 && asked.policy == MODE_POLICY_NONE)
        r = refuse(error, REFUSAL_BAD_REQUEST, "policy none: a volume has one of shared, mesos and fsgroup");
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    return r < 0 ? r : volume_create(api->registry, &asked, write_created, request, error);
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "volumes");
    volume_visit_all(api->registry, write_volume, &request->out);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

static int show(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    return r < 0 ? r : volume_visit(api->registry, request->name, write_volume, &request->out, error);
}

static void write_released(struct json_out *out, const char *name, const struct volume_released *released)
{
    json_begin_object(out, NULL);
    json_string(out, "name", name);
    json_uint(out, "gid", released->view_gid);
    json_string(out, "gid_state", gid_fate_to_string(released->fate));
    json_end_object(out);
}

static int remove_one(struct api *api, struct api_request *request, GError **error)
{
    struct volume_released released;
    struct api_reader reader;

    api_reader_query(&reader, request);
    bool force = api_read_bool(&reader, "force") > 0;
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = volume_remove(api->registry, request->name, force, &released, error);
    if (r == 0)
        write_released(&request->out, request->name, &released);
    return r;
}

static void note_removed(const char *name, const struct volume_released *released, const GError *error, void *data)
{
    struct api_lists *lists = data;
    if (error)
        api_write_error(&lists->failed, name, error);
    else
        write_released(&lists->done, name, released);
}

static int remove_below(struct api *api, struct api_request *request, GError **error)
{
    struct api_lists lists;
    struct api_reader reader;

    api_reader_query(&reader, request);
    const char *below = api_read_required(&reader, "below");
    bool force = api_read_bool(&reader, "force") > 0;
    int r = api_reader_end(&reader, error);
    if (r < 0)
        return r;
    api_lists_begin(&lists);
    r = volume_remove_below(api->registry, below, force, note_removed, &lists, error);
    json_begin_object(&request->out, NULL);
    api_lists_end(&lists, &request->out, "released", "errors");
    json_end_object(&request->out);
    return r;
}

static void write_aborted(const struct volume_info *info, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    json_string(out, "name", info->row->name);
    json_string(out, "state", info->state);
    json_end_object(out);
}

static int abort_view(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_nothing(request, error);
    return r < 0 ? r : volume_abort(api->registry, request->name, write_aborted, &request->out, error);
}

const struct api_route api_volume_routes[] = {
    {"GET", "/v1/volumes", API_ACCESS_READ, list},
    {"POST", "/v1/volumes", API_ACCESS_ROOT, create},
    {"DELETE", "/v1/volumes", API_ACCESS_ROOT, remove_below},
    {"GET", "/v1/volumes/*", API_ACCESS_READ, show},
    {"DELETE", "/v1/volumes/*", API_ACCESS_ROOT, remove_one},
    {"POST", "/v1/volumes/*/abort", API_ACCESS_ROOT, abort_view},
    {0},
};
