/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/ls and /v1/gids: flat rows, written as the registry is walked. */
#include "api/api.h"
#include "api/objects.h"
#include "mounts/rootfs.h"

#include <string.h>

/* One row: a view, an attachment of it, or a rootfs. What it has no word for is NULL or ABSENT. */
#define ABSENT (-1)

struct row {
    const char *type, *name, *policy, *state, *source, *view, *target, *container, *kind, *chgrp, *cache;
    const char *propagation, *mechanism, *reason, *note;
    int64_t view_gid, n_attachments, pid, keeper_pid, worker_pid, created_s;
    int64_t read_only, exclusive;
};

enum field_type {
    FIELD_STRING,
    FIELD_NUMBER,
    FIELD_BOOL,
    FIELD_TIME,
};

static const struct {
    const char *name;
    enum field_type type;
    size_t offset; /* in struct row */
} fields[] = {
    {"type", FIELD_STRING, offsetof(struct row, type)},
    {"name", FIELD_STRING, offsetof(struct row, name)},
    {"gid", FIELD_NUMBER, offsetof(struct row, view_gid)},
    {"policy", FIELD_STRING, offsetof(struct row, policy)},
    {"state", FIELD_STRING, offsetof(struct row, state)},
    {"source", FIELD_STRING, offsetof(struct row, source)},
    {"view", FIELD_STRING, offsetof(struct row, view)},
    {"target", FIELD_STRING, offsetof(struct row, target)},
    {"container", FIELD_STRING, offsetof(struct row, container)},
    {"kind", FIELD_STRING, offsetof(struct row, kind)},
    {"chgrp", FIELD_STRING, offsetof(struct row, chgrp)},
    {"cache", FIELD_STRING, offsetof(struct row, cache)},
    {"read_only", FIELD_BOOL, offsetof(struct row, read_only)},
    {"exclusive", FIELD_BOOL, offsetof(struct row, exclusive)},
    {"propagation", FIELD_STRING, offsetof(struct row, propagation)},
    {"mechanism", FIELD_STRING, offsetof(struct row, mechanism)},
    {"reason", FIELD_STRING, offsetof(struct row, reason)},
    {"attachments", FIELD_NUMBER, offsetof(struct row, n_attachments)},
    {"pid", FIELD_NUMBER, offsetof(struct row, pid)},
    {"keeper_pid", FIELD_NUMBER, offsetof(struct row, keeper_pid)},
    {"worker_pid", FIELD_NUMBER, offsetof(struct row, worker_pid)},
    {"created_at", FIELD_TIME, offsetof(struct row, created_s)},
    {"note", FIELD_STRING, offsetof(struct row, note)},
};

struct listing {
    struct json_out *out;
    bool wanted[G_N_ELEMENTS(fields)];
};

static void write_field(struct json_out *out, const char *name, enum field_type type, const void *value)
{
    int64_t number = type == FIELD_STRING ? 0 : *(const int64_t *)value;
    if (number == ABSENT)
        json_null(out, name);
    else if (type == FIELD_STRING)
        json_string(out, name, *(const char *const *)value);
    else if (type == FIELD_NUMBER)
        json_int(out, name, number);
    else if (type == FIELD_BOOL)
        json_bool(out, name, number);
    else
        json_time(out, name, number);
}

static void write_row(const struct listing *listing, const struct row *row)
{
    json_begin_object(listing->out, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (listing->wanted[i])
            write_field(listing->out, fields[i].name, fields[i].type, (const char *)row + fields[i].offset);
    json_end_object(listing->out);
}

static int64_t id_or_absent(int64_t id)
{
    return id > 0 ? id : ABSENT;
}

static struct row row_of_volume(const struct volume_info *info)
{
    const struct table_volume *volume = info->row;
    return (struct row){
        .type = "volume",
        .name = volume->name,
        .view_gid = volume->view_gid,
        .policy = mode_policy_to_string(volume->policy),
        .state = info->state,
        .source = volume->source,
        .view = info->view,
        .kind = volume_kind_to_string(volume->kind),
        .chgrp = volume_chgrp_to_string(volume->chgrp),
        .cache = volume_cache_to_string(volume->cache),
        .read_only = volume->read_only,
        .exclusive = volume->exclusive,
        .mechanism = info->mechanism,
        .reason = info->reason,
        .n_attachments = (int64_t)info->n_attachments,
        .pid = ABSENT,
        .keeper_pid = id_or_absent(info->keeper_pid),
        .worker_pid = id_or_absent(info->worker_pid),
        .created_s = volume->created_s,
        .note = info->note,
    };
}

/* What an attachment has from its volume is in the row already. */
static void make_row_of_attachment(struct row *row, const struct attachment_info *info)
{
    const struct table_attachment *attachment = info->row;
    row->type = "attachment";
    row->state = info->state;
    row->target = attachment->target;
    row->container = attachment->container;
    row->read_only = info->volume->read_only || attachment->read_only;
    row->propagation = attachment->propagation ? attachment->propagation : "private";
    row->n_attachments = ABSENT;
    row->pid = id_or_absent(attachment->pid);
    row->created_s = attachment->created_s;
    row->note = info->note;
}

static void write_volume_rows(const struct volume_info *info, void *data)
{
    struct row row = row_of_volume(info);
    write_row(data, &row);
    for (size_t i = 0; i < info->n_attachments; i++) {
        make_row_of_attachment(&row, &info->attachments[i]);
        write_row(data, &row);
    }
}

static void write_rootfs_row(const struct rootfs_info *info, void *data)
{
    const struct table_rootfs *rootfs = info->row;
    bool is_flat = strcmp(rootfs->kind, "flat") == 0;
    const struct row row = {
        .type = "rootfs",
        .name = rootfs->id,
        .view_gid = id_or_absent(rootfs->view_gid),
        .policy = rootfs->policy,
        .state = info->state,
        .source = rootfs->layers[0],
        .view = rootfs->path,
        .kind = rootfs->kind,
        .read_only = rootfs->read_only,
        .exclusive = ABSENT,
        .mechanism = is_flat ? "copy" : "fuse",
        .reason = is_flat ? "it was flattened" : "an idmapped mount merges no layers and would list their whiteouts",
        .n_attachments = ABSENT,
        .pid = ABSENT,
        .keeper_pid = ABSENT,
        .worker_pid = ABSENT,
        .created_s = rootfs->created_s,
        .note = info->note,
    };
    write_row(data, &row);
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
