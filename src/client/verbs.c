/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of libgidfs: each turns its options into one request of docs/api.md. What is NULL or 0 is left out, so that
 * the service's defaults are the only ones.
 */
#include "client/client.h"

#include <errno.h>

#include "base/json_object.h"

/* Ends the object and sends it. */
static int send_object(gidfs_client *client, const char *path, struct json_object *object, gidfs_result **ret_result)
{
    g_autofree char *body = NULL;
    g_autoptr(GError) error = NULL;
    if (ret_result)
        *ret_result = NULL;
    if (json_object_end(object, &body, &error) < 0)
        return client_fail(client, EINVAL, "%s", error->message);
    return gidfs_call(client, "POST", path, body, ret_result);
}

/* "/v1/KIND/NAME", with SUFFIX behind it. */
static char *path_of(const char *kind, const char *name, const char *suffix)
{
    g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);
    return g_strdup_printf("/v1/%s/%s%s", kind, escaped, suffix);
}

static int require(gidfs_client *client, const char *value, const char *what)
{
    if (!value || !*value)
        return client_fail(client, EINVAL, "%s is missing", what);
    return 0;
}

int gidfs_volume_create(gidfs_client *client, const struct gidfs_volume_options *options, gidfs_result **ret_volume)
{
    struct gidfs_volume_options o;
    *ret_volume = NULL;
    client_begin(client);
    int r = client_take_options(client, &o, sizeof(o), options, options->size);
    if (r == 0)
        r = client_check_flags(client, o.flags, GIDFS_READ_ONLY | GIDFS_EXCLUSIVE);
    if (r == 0)
        r = require(client, o.name, "the volume's name");
    if (r == 0)
        r = require(client, o.source, "the volume's source");
    if (r < 0)
        return r;

    struct json_object body = json_object_begin();
    json_object_add_string(&body, "name", o.name);
    json_object_add_string(&body, "source", o.source);
    json_object_add_string(&body, "kind", o.kind);
    json_object_add_string(&body, "policy", o.policy);
    json_object_add_string(&body, "chgrp", o.chgrp);
    json_object_add_string(&body, "cache", o.cache);
    if (o.gid)
        json_object_add_int(&body, "gid", o.gid);
    json_object_add_true(&body, "read_only", o.flags & GIDFS_READ_ONLY);
    json_object_add_true(&body, "exclusive", o.flags & GIDFS_EXCLUSIVE);
    return send_object(client, "/v1/volumes", &body, ret_volume);
}

int gidfs_volume_remove(gidfs_client *client, const char *name, unsigned flags)
{
    client_begin(client);
    int r = client_check_flags(client, flags, GIDFS_FORCE);
    if (r == 0)
        r = require(client, name, "the volume's name");
    if (r < 0)
        return r;
    g_autofree char *path = path_of("volumes", name, flags & GIDFS_FORCE ? "?force=true" : "");
    return gidfs_call(client, "DELETE", path, NULL, NULL);
}

int gidfs_attach(gidfs_client *client, const struct gidfs_attach_options *options, gidfs_result **ret_attachment)
{
    struct gidfs_attach_options o;
    if (ret_attachment)
        *ret_attachment = NULL;
    client_begin(client);
    int r = client_take_options(client, &o, sizeof(o), options, options->size);
    if (r == 0)
        r = client_check_flags(client, o.flags, GIDFS_READ_ONLY);
    if (r == 0)
        r = require(client, o.volume, "the volume's name");
    if (r == 0)
        r = require(client, o.target, "the target");
    if (r < 0)
        return r;

    struct json_object body = json_object_begin();
    json_object_add_string(&body, "volume", o.volume);
    json_object_add_string(&body, "target", o.target);
    json_object_add_string(&body, "container", o.container);
    json_object_add_string(&body, "propagation", o.propagation);
    if (o.pid)
        json_object_add_int(&body, "pid", o.pid);
    json_object_add_true(&body, "read_only", o.flags & GIDFS_READ_ONLY);
    return send_object(client, "/v1/attachments", &body, ret_attachment);
}

int gidfs_detach(gidfs_client *client, const char *target, int32_t pid, unsigned flags)
{
    client_begin(client);
    int r = client_check_flags(client, flags, GIDFS_FORCE);
    if (r == 0)
        r = require(client, target, "the target");
    if (r < 0)
        return r;
    g_autofree char *escaped = g_uri_escape_string(target, NULL, FALSE);
    g_autoptr(GString) path = g_string_new("/v1/attachments?target=");
    g_string_append(path, escaped);
    if (pid)
        g_string_append_printf(path, "&pid=%d", pid);
    g_string_append(path, flags & GIDFS_FORCE ? "&force=true" : "");
    return gidfs_call(client, "DELETE", path->str, NULL, NULL);
}

static int add_volumes(gidfs_client *client, struct json_object *body, const struct gidfs_container_options *o)
{
    json_object_open_array(body, "volumes");
    for (size_t i = 0; i < o->n_volumes; i++) {
        const struct gidfs_container_volume *volume = &o->volumes[i];
        int r = client_check_flags(client, volume->flags, GIDFS_READ_ONLY);
        if (r < 0)
            return r;
        if (volume->reserved[0] || volume->reserved[1])
            return client_fail(client, EINVAL, "volume %zu has a reserved member set", i);
        json_object_begin_item(body);
        json_object_add_string(body, "name", volume->name);
        json_object_add_string(body, "source", volume->source);
        json_object_add_string(body, "target", volume->target);
        json_object_add_string(body, "propagation", volume->propagation);
        json_object_add_string(body, "policy", volume->policy);
        json_object_add_true(body, "read_only", volume->flags & GIDFS_READ_ONLY);
        json_object_end_item(body);
    }
    json_object_close_array(body);
    return 0;
}

static int take_container(gidfs_client *client, const struct gidfs_container_options *options,
                          struct gidfs_container_options *ret_options)
{
    client_begin(client);
    int r = client_take_options(client, ret_options, sizeof(*ret_options), options, options->size);
    if (r == 0)
        r = client_check_flags(client, ret_options->flags, GIDFS_ROOT_GIDS | GIDFS_WITH_USER | GIDFS_WITH_TASKUSER);
    return r == 0 ? require(client, ret_options->id, "the container's id") : r;
}

/* Where the container is and who it runs as: the same for prepare and restart. */
static void add_place(struct json_object *body, const struct gidfs_container_options *o)
{
    json_object_add_string(body, "rootfs", o->rootfs);
    if (o->pid)
        json_object_add_int(body, "pid", o->pid);
    if (o->flags & GIDFS_WITH_USER)
        json_object_add_int(body, "user", o->user);
    if (o->flags & GIDFS_WITH_TASKUSER)
        json_object_add_int(body, "task_user", o->task_user);
}

int gidfs_container_prepare(gidfs_client *client, const struct gidfs_container_options *options,
                            gidfs_result **ret_container)
{
    struct gidfs_container_options o;
    *ret_container = NULL;
    int r = take_container(client, options, &o);
    if (r < 0)
        return r;
    struct json_object body = json_object_begin();
    json_object_add_string(&body, "id", o.id);
    json_object_add_string(&body, "parent", o.parent);
    add_place(&body, &o);
    json_object_add_true(&body, "root_gids", o.flags & GIDFS_ROOT_GIDS);
    r = add_volumes(client, &body, &o);
    if (r == 0)
        return send_object(client, "/v1/containers", &body, ret_container);
    json_object_clear(&body);
    return r;
}

int gidfs_container_update(gidfs_client *client, const struct gidfs_container_options *options,
                           gidfs_result **ret_container)
{
    struct gidfs_container_options o;
    *ret_container = NULL;
    int r = take_container(client, options, &o);
    if (r < 0)
        return r;
    g_autofree char *path = path_of("containers", o.id, "/update");
    struct json_object body = json_object_begin();
    r = add_volumes(client, &body, &o);
    if (r == 0)
        return send_object(client, path, &body, ret_container);
    json_object_clear(&body);
    return r;
}

int gidfs_container_restart(gidfs_client *client, const struct gidfs_container_options *options,
                            gidfs_result **ret_container)
{
    struct gidfs_container_options o;
    *ret_container = NULL;
    int r = take_container(client, options, &o);
    if (r < 0)
        return r;
    g_autofree char *path = path_of("containers", o.id, "/restart");
    struct json_object body = json_object_begin();
    add_place(&body, &o);
    return send_object(client, path, &body, ret_container);
}

int gidfs_container_cleanup(gidfs_client *client, const char *id)
{
    client_begin(client);
    int r = require(client, id, "the container's id");
    if (r < 0)
        return r;
    g_autofree char *path = path_of("containers", id, "");
    return gidfs_call(client, "DELETE", path, NULL, NULL);
}

int gidfs_recover(gidfs_client *client, const char *const *live_ids, size_t n_live_ids, unsigned flags,
                  gidfs_result **ret_plan)
{
    if (ret_plan)
        *ret_plan = NULL;
    client_begin(client);
    int r = client_check_flags(client, flags, GIDFS_DRY_RUN);
    if (r < 0)
        return r;
    struct json_object body = json_object_begin();
    json_object_add_true(&body, "dry_run", flags & GIDFS_DRY_RUN);
    json_object_add_strings(&body, "live", live_ids, n_live_ids);
    return send_object(client, "/v1/recover", &body, ret_plan);
}
