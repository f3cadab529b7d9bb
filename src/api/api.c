/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "base/log.h"

#include <string.h>

static const struct api_route *const route_groups[] = {
    api_check_routes,    api_volume_routes,  api_attachment_routes, api_container_routes,
    api_recovery_routes, api_listing_routes, api_service_routes,    api_stats_routes,
    api_rootfs_routes,   api_upgrade_routes, api_block_routes,
};

struct api *api_new(struct registry *registry)
{
    struct api *api = g_new0(struct api, 1);
    api->registry = registry;
    api->started_s = g_get_real_time() / G_USEC_PER_SEC;
    api->warnings = g_new0(char *, 1);
    api->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_init(&api->lock);
    return api;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    g_strfreev(api->warnings);
    g_hash_table_unref(api->counts);
    g_mutex_clear(&api->lock);
    g_free(api);
}

void api_set_warnings(struct api *api, char **warnings)
{
    g_mutex_lock(&api->lock);
    g_strfreev(api->warnings);
    api->warnings = warnings;
    g_mutex_unlock(&api->lock);
}

void api_count(struct api *api, const char *method, unsigned int status)
{
    char *key = g_strdup_printf("%s %u", method, status);
    g_mutex_lock(&api->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(api->counts, key));
    g_hash_table_insert(api->counts, key, GUINT_TO_POINTER(n + 1));
    g_mutex_unlock(&api->lock);
}

/* Whether path has the pattern's parts; *ret_name is the part at its *, in path. */
static bool matches(const char *pattern, const char *path, const char **ret_name, size_t *ret_length)
{
    *ret_name = NULL;
    while (*pattern) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t length = strcspn(path, "/");
        if (length == 0)
            return false;
        *ret_name = path;
        *ret_length = length;
        path += length;
        pattern++;
    }
    return *path == '\0';
}

/* The route of the request; a method that its path does not have is told apart from a path that there is not. */
static int find_route(const struct api_request *request, const struct api_route **ret_route, char **ret_name,
                      GError **error)
{
    bool has_path = false;

    for (size_t i = 0; i < G_N_ELEMENTS(route_groups); i++) {
        for (const struct api_route *route = route_groups[i]; route->method; route++) {
            const char *name;
            size_t length = 0;
            if (!matches(route->pattern, request->path, &name, &length))
                continue;
            has_path = true;
            if (strcmp(route->method, request->method) != 0)
                continue;
            *ret_name = name ? g_strndup(name, length) : NULL;
            *ret_route = route;
            return 0;
        }
    }
    if (has_path)
        return refuse(error, REFUSAL_NOT_ALLOWED, "%s %s: the method is not allowed here; docs/api.md lists the routes",
                      request->method, request->path);
    return refuse(error, REFUSAL_NOT_FOUND, "%s: no such route; docs/api.md lists them", request->path);
}

static int check_access(const struct api_request *request, const struct api_route *route, GError **error)
{
    if (request->access >= route->access)
        return 0;
    return refuse(error, REFUSAL_FORBIDDEN, "%s %s: %s", request->method, request->path,
                  request->access == API_ACCESS_NONE
                      ? "only root and members of the read_group of the configuration may call the service"
                      : "only root may change anything");
}

static int route_and_handle(struct api *api, struct api_request *request, GError **error)
{
    const struct api_route *route = NULL;
    g_autofree char *name = NULL;

    int r = find_route(request, &route, &name, error);
    if (r == 0)
        r = check_access(request, route, error);
    if (r == 0)
        r = api_request_parse(request, error);
    if (r < 0)
        return r;
    request->name = name;
    r = route->handle(api, request, error);
    request->name = NULL;
    return r;
}

void api_handle(struct api *api, struct api_request *request)
{
    g_autoptr(GError) error = NULL;

    if (route_and_handle(api, request, &error) < 0) {
        if (refusal_of(error) == REFUSAL_INTERNAL)
            log_error("%s %s: %s", request->method, request->path, error ? error->message : "unknown");
        api_request_fail(request, error);
    }
    api_count(api, request->method, request->status);
}
