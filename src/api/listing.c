/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/ls and /v1/gids: flat rows, written as the registry is walked. */
#include "api/api.h"
#include "api/objects.h"
#include "mounts/rootfs.h"

#include <string.h>

/* One row: a view, or an attachment of it. */
struct row {
    const struct table_volume *volume;
    const struct volume_info *view;           /* NULL in an attachment's row */
    const struct attachment_info *attachment; /* NULL in a view's row */
    const struct volume_info *owner;          /* the view of the row's volume */
};

typedef void (*field_writer)(struct json_out *out, const char *key, const struct row *row);

static void write_type(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->attachment ? "attachment" : "volume");
}

static void write_name(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->volume->name);
}

static void write_gid(struct json_out *out, const char *key, const struct row *row)
{
    json_uint(out, key, row->volume->view_gid);
}

static void write_policy(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, mode_policy_to_string(row->volume->policy));
}

static void write_state(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->attachment ? row->attachment->state : row->owner->state);
}

static void write_source(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->volume->source);
}

static void write_view(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->owner->view);
}

static void write_target(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->attachment ? row->attachment->row->target : NULL);
}

static void write_container(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->attachment ? row->attachment->row->container : NULL);
}

static void write_kind(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, volume_kind_to_string(row->volume->kind));
}

static void write_chgrp(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, volume_chgrp_to_string(row->volume->chgrp));
}

static void write_cache(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, volume_cache_to_string(row->volume->cache));
}

static void write_read_only(struct json_out *out, const char *key, const struct row *row)
{
    json_bool(out, key, row->volume->read_only || (row->attachment && row->attachment->row->read_only));
}

static void write_exclusive(struct json_out *out, const char *key, const struct row *row)
{
    json_bool(out, key, row->volume->exclusive);
}

static void write_propagation(struct json_out *out, const char *key, const struct row *row)
{
    const char *word = row->attachment ? row->attachment->row->propagation : NULL;
    json_string(out, key, row->attachment && !word ? "private" : word);
}

static void write_mechanism(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->owner->mechanism);
}

static void write_reason(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->owner->reason);
}

static void write_attachments(struct json_out *out, const char *key, const struct row *row)
{
    if (row->attachment)
        json_null(out, key);
    else
        json_uint(out, key, row->owner->n_attachments);
}

static void write_pid(struct json_out *out, const char *key, const struct row *row)
{
    json_id(out, key, row->attachment ? row->attachment->row->pid : 0);
}

static void write_keeper_pid(struct json_out *out, const char *key, const struct row *row)
{
    json_id(out, key, row->owner->keeper_pid);
}

static void write_worker_pid(struct json_out *out, const char *key, const struct row *row)
{
    json_id(out, key, row->owner->worker_pid);
}

static void write_created_at(struct json_out *out, const char *key, const struct row *row)
{
    json_time(out, key, row->attachment ? row->attachment->row->created_s : row->volume->created_s);
}

static void write_note(struct json_out *out, const char *key, const struct row *row)
{
    json_string(out, key, row->attachment ? row->attachment->note : row->owner->note);
}

static const struct {
    const char *name;
    field_writer write;
} fields[] = {
    {"type", write_type},
    {"name", write_name},
    {"gid", write_gid},
    {"policy", write_policy},
    {"state", write_state},
    {"source", write_source},
    {"view", write_view},
    {"target", write_target},
    {"container", write_container},
    {"kind", write_kind},
    {"chgrp", write_chgrp},
    {"cache", write_cache},
    {"read_only", write_read_only},
    {"exclusive", write_exclusive},
    {"propagation", write_propagation},
    {"mechanism", write_mechanism},
    {"reason", write_reason},
    {"attachments", write_attachments},
    {"pid", write_pid},
    {"keeper_pid", write_keeper_pid},
    {"worker_pid", write_worker_pid},
    {"created_at", write_created_at},
    {"note", write_note},
};

struct listing {
    struct json_out *out;
    bool wanted[G_N_ELEMENTS(fields)];
};

static void write_row(const struct listing *listing, const struct row *row)
{
    json_begin_object(listing->out, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (listing->wanted[i])
            fields[i].write(listing->out, fields[i].name, row);
    json_end_object(listing->out);
}

static void write_volume_rows(const struct volume_info *info, void *data)
{
    const struct listing *listing = data;
    struct row row = {.volume = info->row, .owner = info};

    write_row(listing, &row);
    for (size_t i = 0; i < info->n_attachments; i++) {
        row.attachment = &info->attachments[i];
        write_row(listing, &row);
    }
}

/* The row of a rootfs: what it has no word for is null. */
static void write_rootfs_row(const struct rootfs_info *info, void *data)
{
    const struct listing *listing = data;
    const struct table_rootfs *row = info->row;
    const struct {
        const char *name, *value;
    } texts[] = {
        {"type", "rootfs"},
        {"name", row->id},
        {"policy", row->policy},
        {"state", info->state},
        {"source", row->layers[0]},
        {"view", row->path},
        {"kind", row->kind},
        {"note", info->note},
        {"mechanism", strcmp(row->kind, "flat") == 0 ? "copy" : "fuse"},
    };
    struct json_out *out = listing->out;

    json_begin_object(out, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *name = fields[i].name, *value = NULL;
        if (!listing->wanted[i])
            continue;
        for (size_t j = 0; j < G_N_ELEMENTS(texts); j++)
            if (strcmp(texts[j].name, name) == 0)
                value = texts[j].value;
        if (strcmp(name, "gid") == 0)
            json_id(out, name, row->view_gid);
        else if (strcmp(name, "read_only") == 0)
            json_bool(out, name, row->read_only);
        else if (strcmp(name, "created_at") == 0)
            json_time(out, name, row->created_s);
        else
            json_string(out, name, value);
    }
    json_end_object(out);
}

static int choose_field(struct listing *listing, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            listing->wanted[i] = true;
            return 0;
        }
    }
    g_autoptr(GString) known = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        g_string_append_printf(known, "%s%s", i ? ", " : "", fields[i].name);
    return refuse(error, REFUSAL_BAD_REQUEST, "fields: no field %s; known are %s", name, known->str);
}

static int choose_fields(struct listing *listing, const char *text, GError **error)
{
    int r = 0;

    if (!text) {
        memset(listing->wanted, true, sizeof(listing->wanted));
        return 0;
    }
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name && r == 0; name++)
        r = choose_field(listing, *name, error);
    return r;
}

static int list_rows(struct api *api, struct api_request *request, GError **error)
{
    struct listing listing = {.out = &request->out};
    struct api_reader reader;

    api_reader_query(&reader, request);
    const char *wanted = api_read_string(&reader, "fields");
    int r = api_reader_end(&reader, error);
    if (r == 0)
        r = choose_fields(&listing, wanted, error);
    if (r < 0)
        return r;
    json_begin_object(&request->out, NULL);
    json_begin_array(&request->out, "rows");
    volume_visit_all(api->registry, write_volume_rows, &listing);
    rootfs_visit_all(api->registry, write_rootfs_row, &listing);
    json_end_array(&request->out);
    json_end_object(&request->out);
    return 0;
}

static void write_holder(const struct gid_holder *holder, void *data)
{
    struct json_out *out = data;

    json_begin_object(out, NULL);
    json_uint(out, "gid", holder->view_gid);
    json_string(out, "state", holder->quarantined ? "quarantined" : "allocated");
    json_string(out, "volume", holder->volume);
    json_string(out, "source", holder->source);
    json_time(out, "since", holder->since_s);
    json_bool(out, "in_range", holder->in_range);
    json_string(out, "reason", holder->reason);
    json_end_object(out);
}

static int list_gids(struct api *api, struct api_request *request, GError **error)
{
    struct gid_counts counts;
    g_auto(json_out) holders = {0};
    g_autofree char *ranges = NULL;
    struct json_out *out = &request->out;

    int r = api_expect_no_query(request, error);
    if (r < 0)
        return r;
    json_out_init(&holders);
    json_begin_array(&holders, NULL);
    gid_visit_all(api->registry, &counts, &ranges, write_holder, &holders);
    json_end_array(&holders);

    json_begin_object(out, NULL);
    json_string(out, "ranges", ranges);
    json_uint(out, "total", counts.total);
    json_uint(out, "free", counts.free);
    json_uint(out, "allocated", counts.allocated);
    json_uint(out, "quarantined", counts.quarantined);
    json_uint(out, "out_of_range", counts.out_of_range);
    json_raw(out, "holders", holders.text->str);
    json_end_object(out);
    return 0;
}

const struct api_route api_listing_routes[] = {
    {"GET", "/v1/ls", API_ACCESS_READ, list_rows},
    {"GET", "/v1/gids", API_ACCESS_READ, list_gids},
    {0},
};
