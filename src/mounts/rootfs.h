/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mounts/registry.h"

/*
 * Layered roots of containers (behaviours D1, D9): views of layers, and trees that were flattened. All functions are
 * thread-safe; verbs on one rootfs exclude each other, and a second one is refused as busy.
 */
struct rootfs_request {
    const char *id;
    const char *const
        *layers; /* n_layers absolute paths, the first is the lowest: directories, or tars of image layers */
    size_t n_layers;
    const char *uid_map; /* core/id_map.h, or NULL */
    const char *gid_map;
    const char *policy;    /* or NULL */
    const char *whiteouts; /* "overlay", "aufs", or NULL */
    const char *upper;     /* instead of the service's own, both or none */
    const char *work;
    int64_t view_gid; /* -1: none */
    bool read_only;
};

struct rootfs_info {
    const struct table_rootfs *row;
    const char *state;
    const char *note;
};
typedef void (*rootfs_visitor)(const struct rootfs_info *info, void *data);

/* Makes a layered view at RUN/rootfs/ID. Tars are unpacked first. A used id is a refusal: exists. */
int rootfs_create(struct registry *registry, const struct rootfs_request *request, rootfs_visitor visit, void *data,
                  GError **error);

/* Unmounts it, and removes its own upper and unpacked layers, or the flat tree. The visitor sees it as it was. */
int rootfs_remove(struct registry *registry, const char *id, bool force, rootfs_visitor visit, void *data,
                  GError **error);

int rootfs_visit(struct registry *registry, const char *id, rootfs_visitor visit, void *data, GError **error);
void rootfs_visit_all(struct registry *registry, rootfs_visitor visit, void *data);

/*
 * Begins to write the merged layers to target as a plain tree. id is made from the target if it is NULL. The ids of the
 * rootfs and of the operation are the caller's.
 */
int rootfs_flatten(struct registry *registry, const char *id, const char *const *layers, size_t n_layers,
                   const char *target, char **ret_id, char **ret_operation, GError **error);

enum work_state {
    WORK_RUNNING,
    WORK_DONE,
    WORK_FAILED,
};

struct work_info {
    const char *id;
    const char *what; /* "flatten" */
    enum work_state state;
    uint64_t done_entries, total_entries; /* totals are 0 while they are not known */
    uint64_t done_bytes, total_bytes;
    const GError *error;            /* of one that failed */
    const struct rootfs_info *made; /* by one that is done, unless it was removed since */
};
typedef void (*work_visitor)(const struct work_info *info, void *data);

/* Shows a long operation, at once or when something has changed, at most wait_ms later. */
int work_visit(struct registry *registry, const char *id, unsigned int wait_ms, work_visitor visit, void *data,
               GError **error);
