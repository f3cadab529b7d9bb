/* SPDX-License-Identifier: Apache-2.0 */
/* The route of recovery. */
#include "mounts/recovery.h"

#include "api/api.h"
#include "api/objects.h"

static void write_step(const struct recovery_step *step, bool done, const GError *error, void *data)
{
    struct json_out *out = data;
    json_begin_object(out, NULL);
    json_string(out, "action", recovery_action_to_string(step->action));
    json_string(out, "what", recovery_what_to_string(step->what));
    json_string(out, "name", *step->name ? step->name : NULL);
    json_string(out, "target", step->target);
    json_string(out, "reason", step->reason);
    json_bool(out, "done", done);
    json_string(out, "error", error ? error->message : NULL);
    json_end_object(out);
}

static int recover(struct api *api, struct api_request *request, GError **error)
{
    struct api_reader reader;
    struct json_out *out = &request->out;

    api_reader_body(&reader, request);
    bool tells_live = api_read_array(&reader, "live");
    g_autoptr(GPtrArray) live = api_read_strings(&reader, "live");
    g_ptr_array_add(live, NULL);
    bool dry_run = api_read_bool(&reader, "dry_run") > 0;
    int r = api_reader_end(&reader, error);
    if (r == 0 && !dry_run)
        r = api_refuse_when_draining(api, error);
    if (r < 0)
        return r;
    json_begin_object(out, NULL);
    json_bool(out, "dry_run", dry_run);
    json_begin_array(out, "plan");
    r = registry_recover(api->registry, tells_live ? (const char *const *)live->pdata : NULL, dry_run, write_step, out,
                         error);
    json_end_array(out);
    json_end_object(out);
    return r;
}

const struct api_route api_recovery_routes[] = {
    {"POST", "/v1/recover", API_ACCESS_ROOT, recover},
    {0},
};
