/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of containers. */
#include "mounts/containers.h"
#include "api/api.h"
#include "api/objects.h"
#include "core/special_mounts.h"

static void write_mount(struct json_out *out, const struct attachment_info *info)
{
    const struct table_attachment *row = info->row;
    json_begin_object(out, NULL);
    json_string(out, "volume", info->volume->name);
    json_uint(out, "gid", info->volume->view_gid);
    json_string(out, "source", info->view);
    json_string(out, "target", row->inside ? row->inside : row->target);
    json_bool(out, "read_only", row->read_only);
    json_string(out, "propagation", row->propagation ? row->propagation : "private");
    json_bool(out, "made", row->state == ROW_MOUNTED);
    json_string(out, "note", info->note);
    json_end_object(out);
}

static void write_user(struct json_out *out, const char *key, int64_t uid)
{
    if (uid < 0)
        json_null(out, key);
    else
        json_int(out, key, uid);
}

static void write_gids(struct json_out *out, const char *key, const struct container_info *info)
{
    json_begin_array(out, key);
    for (size_t i = 0; i < info->n_view_gids; i++)
        json_uint(out, NULL, info->view_gids[i]);
    json_end_array(out);
}

static void write_container(const struct container_info *info, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    json_string(out, "id", info->row->id);
    json_string(out, "state", info->state);
    write_gids(out, "supplementary_gids", info);
    json_string(out, "apply_to", container_apply_to_string(info->apply_to));
    json_begin_array(out, "mounts");
    for (size_t i = 0; i < info->n_mounts; i++)
        write_mount(out, &info->mounts[i]);
    json_end_array(out);
    json_string(out, "rootfs", info->row->rootfs);
    json_id(out, "pid", info->row->pid);
    write_user(out, "user", info->row->user);
    write_user(out, "task_user", info->row->task_user);
    json_string(out, "parent", info->row->parent);
    json_time(out, "created_at", info->row->created_s);
    json_strings(out, "warnings", info->warnings);
    json_end_object(out);
}

static int read_volume(JsonNode *node, struct container_volume *ret_volume, GError **error)
{
    struct api_reader reader;
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return refuse(error, REFUSAL_BAD_REQUEST, "volumes: not an array of objects");
    api_reader_object(&reader, json_node_get_object(node));
    ret_volume->name = api_read_string(&reader, "name");
    ret_volume->source = api_read_string(&reader, "source");
    ret_volume->target = api_read_required(&reader, "target");
    ret_volume->propagation = api_read_string(&reader, "propagation");
    ret_volume->read_only = api_read_bool(&reader, "read_only") > 0;
    ret_volume->policy = api_read_word(&reader, "policy", mode_policy_from_string, enum mode_policy);
    return api_reader_end(&reader, error);
}

/*
 * Reads the last member of a request, its volumes, and ends the reader. The result is an array of struct
 * container_volume that points into the request.
 */
static int read_volumes(struct api *api, struct api_reader *reader, GArray **ret_volumes, GError **error)
{
    g_autoptr(GArray) volumes = g_array_new(FALSE, TRUE, sizeof(struct container_volume));
    JsonArray *array = api_read_array(reader, "volumes");
    int r = api_reader_end(reader, error);
    if (r == 0 && !array)
        r = refuse(error, REFUSAL_BAD_REQUEST, "volumes: missing; give the list, empty for none");
    for (guint i = 0; r == 0 && i < json_array_get_length(array); i++) {
        struct container_volume volume = {0};
        r = read_volume(json_array_get_element(array, i), &volume, error);
        g_array_append_val(volumes, volume);
    }
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    if (r == 0)
        *ret_volumes = g_steal_pointer(&volumes);
    return r;
}

static int prepare(struct api *api, struct api_request *request, GError **error)
{
    struct container_request asked = {0};
    struct api_reader reader;
    g_autoptr(GArray) volumes = NULL;

    api_reader_body(&reader, request);
    asked.id = api_read_required(&reader, "id");
    asked.rootfs = api_read_string(&reader, "rootfs");
    asked.parent = api_read_string(&reader, "parent");
    asked.pid = api_read_number(&reader, "pid", INT32_MAX, 0);
    asked.user = api_read_number(&reader, "user", UINT32_MAX, -1);
    asked.task_user = api_read_number(&reader, "task_user", UINT32_MAX, -1);
    asked.root_gids = api_read_bool(&reader, "root_gids") > 0;
    int r = read_volumes(api, &reader, &volumes, error);
    if (r < 0)
        return r;
    asked.volumes = (const struct container_volume *)(const void *)volumes->data;
    asked.n_volumes = volumes->len;
    request->status = 201;
    return container_prepare(api->registry, &asked, write_container, &request->out, error);
}

static int update(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;
    g_autoptr(GArray) volumes = NULL;

    api_reader_body(&reader, request);
    int r = read_volumes(api, &reader, &volumes, error);
    if (r < 0)
        return r;
    return container_update(api->registry, request->name, (const struct container_volume *)(const void *)volumes->data,
                            volumes->len, write_container, &request->out, error);
}

static int restart(struct api *api, struct api_request *request, GError **error)
{
    struct container_restart asked = {0};
    struct api_reader reader;

    api_reader_body(&reader, request);
    asked.rootfs = api_read_string(&reader, "rootfs");
    asked.pid = api_read_number(&reader, "pid", INT32_MAX, CONTAINER_UNCHANGED);
    asked.user = api_read_number(&reader, "user", UINT32_MAX, CONTAINER_UNCHANGED);
    asked.task_user = api_read_number(&reader, "task_user", UINT32_MAX, CONTAINER_UNCHANGED);
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = api_refuse_when_draining(api, error);
    return r < 0 ? r : container_restart(api->registry, request->name, &asked, write_container, &request->out, error);
}

static int clean_up(struct api *api, struct api_request *request, GError **error)
{
    struct container_cleaned cleaned;
    struct json_out *out = &request->out;

    int r = api_expect_nothing(request, error);
    if (r < 0)
        return r;
    r = container_cleanup(api->registry, request->name, &cleaned, error);
    if (r == 0) {
        json_begin_object(out, NULL);
        json_string(out, "id", request->name);
        json_bool(out, "known", cleaned.known);
        json_strings(out, "unmounted", (const char *const *)cleaned.unmounted);
        json_strings(out, "released", (const char *const *)cleaned.released);
        json_end_object(out);
    }
    container_cleaned_clear(&cleaned);
    return r;
}

static int list(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "containers");
    container_visit_all(api->registry, write_container, &request->out);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

static int show(struct api *api, struct api_request *request, GError **error)
{
    int r = api_expect_no_query(request, error);
    return r < 0 ? r : container_visit(api->registry, request->name, write_container, &request->out, error);
}

static void write_oci_mount(struct json_out *out, const char *destination, const char *type, const char *source,
                            const char *const *options)
{
    json_begin_object(out, NULL);
    json_string(out, "destination", destination);
    json_string(out, "type", type);
    json_string(out, "source", source);
    json_strings(out, "options", options);
    json_end_object(out);
}

/* The special mounts first: a volume may lie in one of them (/dev/shm), never the other way round. */
static void write_oci_mounts(struct json_out *out, const struct special_plan *plan, const struct container_info *info)
{
    json_begin_array(out, "mounts");
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct special_mount *mount = &plan->mounts[i];
        write_oci_mount(out, mount->destination, mount->type, mount->source, mount->options);
    }
    for (size_t i = 0; i < info->n_mounts; i++) {
        const struct table_attachment *row = info->mounts[i].row;
        const char *options[] = {
            "bind", "nosuid", "nodev", row->propagation ? row->propagation : "private", row->read_only ? "ro" : "rw",
            NULL};
        if (row->state == ROW_HANDED)
            write_oci_mount(out, row->target, "bind", info->mounts[i].view, options);
    }
    json_end_array(out);
}

static void write_oci_devices(struct json_out *out, const struct special_plan *plan)
{
    json_begin_array(out, "devices");
    for (size_t i = 0; i < plan->n_devices; i++) {
        const struct special_device *device = &plan->devices[i];
        json_begin_object(out, NULL);
        json_string(out, "path", device->path);
        json_string(out, "type", "c");
        json_uint(out, "major", device->major);
        json_uint(out, "minor", device->minor);
        json_uint(out, "fileMode", device->mode);
        json_uint(out, "uid", device->uid);
        json_uint(out, "gid", device->gid);
        json_end_object(out);
    }
    json_end_array(out);
}

static void write_links(struct json_out *out, const struct special_plan *plan)
{
    json_begin_array(out, "links");
    for (size_t i = 0; i < plan->n_links; i++) {
        json_begin_object(out, NULL);
        json_string(out, "path", plan->links[i].path);
        json_string(out, "target", plan->links[i].target);
        json_end_object(out);
    }
    json_end_array(out);
}

struct oci_answer {
    struct special_request request;
    struct json_out *out;
};

static void write_oci(const struct container_info *info, void *data)
{
    const struct oci_answer *answer = data;
    struct json_out *out = answer->out;
    struct special_plan plan = special_plan_for(&answer->request);

    json_begin_object(out, NULL);
    json_begin_object(out, "process");
    json_begin_object(out, "user");
    write_gids(out, "additionalGids", info);
    json_end_object(out);
    json_end_object(out);
    write_oci_mounts(out, &plan, info);
    json_begin_object(out, "linux");
    json_strings(out, "maskedPaths", plan.masked_paths);
    json_strings(out, "readonlyPaths", plan.read_only_paths);
    write_oci_devices(out, &plan);
    json_end_object(out);
    write_links(out, &plan);
    json_end_object(out);
}

static int show_oci(struct api *api, struct api_request *request, GError **error)
{
    struct oci_answer answer = {.out = &request->out};
    struct api_reader reader;

    api_reader_query(&reader, request);
    answer.request.host_pid = api_read_bool(&reader, "host_pid") > 0;
    answer.request.host_network = api_read_bool(&reader, "host_network") > 0;
    answer.request.user_namespace = api_read_bool(&reader, "user_namespace") > 0;
    int r = api_reader_end(&reader, error);
    return r < 0 ? r : container_visit(api->registry, request->name, write_oci, &answer, error);
}

const struct api_route api_container_routes[] = {
    {"GET", "/v1/containers", API_ACCESS_READ, list},
    {"POST", "/v1/containers", API_ACCESS_ROOT, prepare},
    {"GET", "/v1/containers/*", API_ACCESS_READ, show},
    {"DELETE", "/v1/containers/*", API_ACCESS_ROOT, clean_up},
    {"POST", "/v1/containers/*/update", API_ACCESS_ROOT, update},
    {"POST", "/v1/containers/*/restart", API_ACCESS_ROOT, restart},
    {"GET", "/v1/containers/*/oci", API_ACCESS_READ, show_oci},
    {0},
};
