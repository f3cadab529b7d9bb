/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api/request.h"
#include "mounts/registry.h"

/*
 * The API of the service (docs/api.md), apart from HTTP: routes and their handlers. api_handle is thread-safe.
 */
struct api {
    struct registry *registry;
    char *gid_ranges;
    char **warnings; /* lines for the operator, NULL-terminated */
    int64_t started_s;
    gint is_draining;   /* atomic */
    GMutex lock;        /* guards counts and warnings */
    GHashTable *counts; /* "METHOD STATUS" → number of answers */

    /* Set before the server starts: makes the service start anew soon, if its program was replaced; true if it will. */
    bool (*restart)(void *data);
    void *restart_data;
};

struct api *api_new(struct registry *registry);
void api_free(struct api *api);

/* Replaces the lines for the operator; takes over warnings. */
void api_set_warnings(struct api *api, char **warnings);

/* Answers a request: request->status, content_type and out are set afterwards, whatever it was. */
void api_handle(struct api *api, struct api_request *request);

/* Counts an answer for the metrics. */
void api_count(struct api *api, const char *method, unsigned int status);

/*
 * A handler reads the request and writes the answer into request->out; on failure it returns a negative errno and sets
 * the error, and what it wrote is thrown away.
 */
typedef int (*api_handler)(struct api *api, struct api_request *request, GError **error);

struct api_route {
    const char *method;
    const char *pattern; /* a part that is * stands for one name */
    enum api_access access;
    api_handler handle;
};

/* The routes of each group, ended by one without a method. */
extern const struct api_route api_check_routes[];
extern const struct api_route api_volume_routes[];
extern const struct api_route api_attachment_routes[];
extern const struct api_route api_container_routes[];
extern const struct api_route api_recovery_routes[];
extern const struct api_route api_listing_routes[];
extern const struct api_route api_service_routes[];
extern const struct api_route api_rootfs_routes[];
extern const struct api_route api_upgrade_routes[];
extern const struct api_route api_stats_routes[];
extern const struct api_route api_block_routes[];
