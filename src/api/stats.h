/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api/api.h"

/*
 * The counters of views, as their keepers tell them (docs/view-control.md). A view that does not answer in time has
 * none. Asking is done without the registry's lock, for all views in at most STATS_PATIENCE_MS.
 */
#define STATS_PATIENCE_MS 3000

struct stats_view {
    char *name;
    char *control;
    gid_t view_gid;
    const char *cache;
    JsonNode *answer;     /* an object, or NULL: it did not answer */
    JsonObject *counters; /* the object in answer */
};

/* Views by name, or one; the caller frees the array, which frees them. A refusal for a name that is not known. */
int stats_collect(struct api *api, const char *name, GPtrArray **ret_views, GError **error);

/* A counter of a view, 0 if it has none. */
int64_t stats_counter(const struct stats_view *view, const char *name);
