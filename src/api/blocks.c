/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of blocks of subordinate ids. */
#include "mounts/blocks.h"

#include "api/api.h"
#include "api/objects.h"

static void write_members(struct json_out *out, const struct table_block *block)
{
    json_string(out, "id", block->owner);
    json_int(out, "start", block->first);
    json_int(out, "count", block->count);
    json_time(out, "created_at", block->created_s);
}

static void write_block(const struct table_block *block, bool reused, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    write_members(out, block);
    json_end_object(out);
}

static void write_created(const struct table_block *block, bool reused, void *data)
{
    struct api_request *request = data;
    request->status = reused ? 200 : 201;
    json_begin_object(&request->out, NULL);
    write_members(&request->out, block);
    json_bool(&request->out, "reused", reused);
    json_end_object(&request->out);
}

static int create(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;

    api_reader_body(&reader, request);
    const char *owner = api_read_required(&reader, "id");
    int64_t count = api_read_number(&reader, "count", UINT32_MAX, BLOCK_SIZE_DEFAULT);
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    return r < 0 ? r : block_create(api->registry, owner, count, write_created, request, error);
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    struct block_counts counts;
    g_autofree char *ranges = NULL;

    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "blocks");
    block_visit_all(api->registry, &counts, &ranges, write_block, &request->out);
    json_end_array(&request->out);
    json_string(&request->out, "ranges", ranges);
    json_uint(&request->out, "total", counts.total);
    json_uint(&request->out, "free", counts.free);
    json_end_object(&request->out);
    return 0;
}

static int remove_one(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    return r < 0 ? r : block_remove(api->registry, request->name, write_block, &request->out, error);
}

const struct api_route api_block_routes[] = {
    {"GET", "/v1/blocks", API_ACCESS_READ, list},
    {"POST", "/v1/blocks", API_ACCESS_ROOT, create},
    {"DELETE", "/v1/blocks/*", API_ACCESS_ROOT, remove_one},
    {0},
};
