/* SPDX-License-Identifier: Apache-2.0 */
#include "api/objects.h"

/* The containers that a volume is attached in, each once. */
static void write_containers(struct json_out *out, const struct volume_info *info)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    json_begin_array(out, "containers");
    for (size_t i = 0; i < info->n_attachments; i++) {
        char *container = info->attachments[i].row->container;
        if (container && g_hash_table_add(seen, container))
            json_string(out, NULL, container);
    }
    json_end_array(out);
}

void api_write_volume_with(struct json_out *out, const struct volume_info *info, bool with_reused)
{
    const struct table_volume *row = info->row;

    json_begin_object(out, NULL);
    json_string(out, "name", row->name);
    json_uint(out, "gid", row->view_gid);
    json_string(out, "view", info->view);
    json_string(out, "source", row->source);
    json_string(out, "policy", mode_policy_to_string(row->policy));
    json_string(out, "kind", volume_kind_to_string(row->kind));
    json_string(out, "state", info->state);
    json_string(out, "chgrp", volume_chgrp_to_string(row->chgrp));
    json_string(out, "cache", volume_cache_to_string(row->cache));
    json_bool(out, "read_only", row->read_only);
    json_bool(out, "exclusive", row->exclusive);
    json_string(out, "mechanism", info->mechanism);
    json_string(out, "reason", info->reason);
    json_uint(out, "attachments", info->n_attachments);
    write_containers(out, info);
    json_time(out, "created_at", row->created_s);
    json_id(out, "keeper_pid", info->keeper_pid);
    json_id(out, "worker_pid", info->worker_pid);
    json_string(out, "note", info->note);
    if (with_reused)
        json_bool(out, "reused", info->reused);
    json_end_object(out);
}

void api_write_volume(struct json_out *out, const struct volume_info *info)
{
    api_write_volume_with(out, info, false);
}

void api_write_attachment(struct json_out *out, const struct attachment_info *info)
{
    const struct table_attachment *row = info->row;

    json_begin_object(out, NULL);
    json_int(out, "id", row->id);
    json_string(out, "volume", info->volume->name);
    json_uint(out, "gid", info->volume->view_gid);
    json_string(out, "target", row->target);
    json_string(out, "container", row->container);
    json_id(out, "pid", row->pid);
    json_bool(out, "read_only", row->read_only);
    json_string(out, "propagation", row->propagation ? row->propagation : "private");
    json_string(out, "state", info->state);
    json_time(out, "created_at", row->created_s);
    json_string(out, "note", info->note);
    json_end_object(out);
}

void api_write_error(struct json_out *out, const char *name, const GError *error)
{
    json_begin_object(out, NULL);
    json_string(out, "name", name);
    json_string(out, "code", refusal_name(refusal_of(error)));
    json_int(out, "errno", refusal_errno(error));
    json_string(out, "message", error->message);
    json_end_object(out);
}

void api_lists_begin(struct api_lists *lists)
{
    json_out_init(&lists->done);
    json_out_init(&lists->failed);
    json_begin_array(&lists->done, NULL);
    json_begin_array(&lists->failed, NULL);
}

static void end_list(struct json_out *list, struct json_out *out, const char *key)
{
    json_end_array(list);
    json_raw(out, key, list->text->str);
    json_out_clear(list);
}

void api_lists_end(struct api_lists *lists, struct json_out *out, const char *done, const char *failed)
{
    end_list(&lists->done, out, done);
    end_list(&lists->failed, out, failed);
}

int api_expect_no_query(struct api_request *request, GError **error)
{
    struct api_reader reader;
    api_reader_query(&reader, request);
    return api_reader_end(&reader, error);
}

int api_expect_nothing(struct api_request *request, GError **error)
{
    struct api_reader reader;
    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    api_reader_body(&reader, request);
    return api_reader_end(&reader, error);
}

int api_refuse_when_draining(struct api *api, GError **error)
{
    if (!g_atomic_int_get(&api->is_draining))
        return 0;
    return refuse(error, REFUSAL_UNAVAILABLE, "the service was drained and makes nothing new; start it again first");
}
