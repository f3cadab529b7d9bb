/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIDFS_GIDFS_H
#define GIDFS_GIDFS_H

/*
 * libgidfs: the service's client library, for those who write isolators and tools.
 *
 *     gidfs_client *client;
 *     gidfs_result *volume;
 *     struct gidfs_volume_options options = GIDFS_VOLUME_OPTIONS_INIT;
 *
 *     options.name = "data";
 *     options.source = "/srv/data";
 *     if (gidfs_open(NULL, 5000, &client) < 0)
 *         …
 *     if (gidfs_volume_create(client, &options, &volume) < 0)
 *         fprintf(stderr, "%s\n", gidfs_error_message(client));
 *     else
 *         printf("%s\n", gidfs_result_string(volume, "view"));
 *     gidfs_result_free(volume);
 *     gidfs_close(client);
 *
 * Errors. A function that returns int returns 0 or a negative errno (-EBUSY, -ENOENT, …; docs/api.md has the table).
 * The handle then keeps a line for people and, where the service itself refused, the word of the API for it ("busy",
 * "exhausted", …). Outputs (ret_…) are set to NULL or left alone on failure.
 *
 * Ownership. What comes back in a ret_… is the caller's, to be given to the matching free function, which accepts NULL.
 * Strings handed in are copied where they are kept. Strings handed out belong to the handle or result they came from.
 *
 * Threads. A handle is for one thread at a time; different handles are independent. A result never changes and may be
 * read by any number of threads. The library has no global state, starts no threads, changes no signal's disposition
 * and opens every descriptor with close-on-exec; a handle holds no descriptor between calls, so fork(2) is harmless.
 *
 * Time. Every call ends within the handle's timeout, in milliseconds: -ETIMEDOUT then, and the service may still finish
 * what it was asked for. Calls say whether they may be repeated.
 *
 * Option structs. Begin with GIDFS_…_OPTIONS_INIT (or zero the struct and set size): later releases add members at the
 * end, and size says which the caller knew. NULL and 0 mean "the service's default" in every member.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GIDFS_PUBLIC __attribute__((visibility("default")))
#define GIDFS_CHECK  __attribute__((warn_unused_result))
#else
#define GIDFS_PUBLIC
#define GIDFS_CHECK
#endif

typedef struct gidfs_client gidfs_client;
typedef struct gidfs_result gidfs_result;

/* Bits of the flags members and parameters. A bit that a call does not know is -EINVAL. */
#define GIDFS_READ_ONLY     (1u << 0) /* volume, attachment, container volume */
#define GIDFS_EXCLUSIVE     (1u << 1) /* volume: one container at a time */
#define GIDFS_FORCE         (1u << 2) /* remove, detach: although it is in use */
#define GIDFS_DRY_RUN       (1u << 3) /* recover: only say what would be done */
#define GIDFS_ROOT_GIDS     (1u << 4) /* container: gids also for a process of root */
#define GIDFS_WITH_USER     (1u << 5) /* container: the member user holds a uid */
#define GIDFS_WITH_TASKUSER (1u << 6) /* container: the member task_user holds a uid */

/* The version of the library that is linked in, as "0.1.0". */
GIDFS_PUBLIC const char *gidfs_version(void);

/*
 * Makes a handle for the service behind a socket. socket_path NULL stands for $GIDFS_SOCKET, else
 * $GIDFS_RUN_DIR/gidfs.sock, else /run/gidfs/gidfs.sock; the environment is not looked at in a set-id program.
 * timeout_ms is for each call; 0 stands for 60,000. It connects only when it is used.
 *
 * Returns 0; -EINVAL for a negative timeout, -ENOMEM.
 */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_open(const char *socket_path, int timeout_ms, gidfs_client **ret_client);
GIDFS_PUBLIC void gidfs_close(gidfs_client *client);

/*
 * The last failed call's line for people, and the API's word for it, "" where the service did not answer at all. Valid
 * until the next call with this handle; "" and "" after a success.
 */
GIDFS_PUBLIC const char *gidfs_error_message(const gidfs_client *client);
GIDFS_PUBLIC const char *gidfs_error_code(const gidfs_client *client);

/*
 * Any request of docs/api.md: method ("GET", "POST", "DELETE"), path with its query ("/v1/volumes/data?force=true"),
 * body (a JSON object, or NULL). ret_result may be NULL.
 *
 * Returns 0 for a status of 2xx. Otherwise the service's errno, negated; -ENOENT or -ECONNREFUSED where there is no
 * service; -EACCES; -ETIMEDOUT; -EBADMSG where something else answers; -EINVAL for a path that is no path.
 */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_call(gidfs_client *client, const char *method, const char *path, const char *body,
                                        gidfs_result **ret_result);

/* Volumes. Words as in docs/api.md ("persistent", "shared", "refuse", "auto", …). */
struct gidfs_volume_options {
    size_t size;
    const char *name;   /* required */
    const char *source; /* required: a directory, absolute */
    const char *kind;
    const char *policy;
    const char *chgrp;
    const char *cache;
    uint32_t gid;   /* 0: the lowest free one */
    unsigned flags; /* GIDFS_READ_ONLY, GIDFS_EXCLUSIVE */
};
#define GIDFS_VOLUME_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(struct gidfs_volume_options), NULL, NULL, NULL, NULL, NULL, NULL, 0, 0                                  \
    }

/*
 * Gives a source a gid and a view, or finds the ones that it has ("reused" in the result). The view is usable when this
 * returns. May be repeated. -EEXIST, -ENOENT, -EBUSY (the gid), -ENOSPC (no gid left).
 * Result: a volume object, with "name", "gid", "view", "source", "policy", "kind", "state", "reused", …
 */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_volume_create(gidfs_client *client, const struct gidfs_volume_options *options,
                                                 gidfs_result **ret_volume);

/* Takes the view down and releases the gid; the data stays. -EBUSY while attached, unless flags has GIDFS_FORCE. */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_volume_remove(gidfs_client *client, const char *name, unsigned flags);

/* Attachments: a view mounted somewhere. */
struct gidfs_attach_options {
    size_t size;
    const char *volume;      /* required */
    const char *target;      /* required: an existing directory, absolute; below pid's root where pid is set */
    const char *container;   /* whom it is for */
    const char *propagation; /* "private", "slave", … */
    int32_t pid;             /* mount in this process's mount namespace; 0: in the service's */
    unsigned flags;          /* GIDFS_READ_ONLY */
};
#define GIDFS_ATTACH_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(struct gidfs_attach_options), NULL, NULL, NULL, NULL, 0, 0                                              \
    }

/* Mounts a volume's view at a target. May be repeated. Result (ret_attachment may be NULL): an attachment object. */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_attach(gidfs_client *client, const struct gidfs_attach_options *options,
                                          gidfs_result **ret_attachment);

/* Unmounts it there; pid as it was given to attach. -EBUSY while in use, unless flags has GIDFS_FORCE. */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_detach(gidfs_client *client, const char *target, int32_t pid, unsigned flags);

/* One volume of a container: either the name of a volume, or a source, for which one is made. */
struct gidfs_container_volume {
    const char *name;
    const char *source;
    const char *target; /* required: where the container sees it, absolute */
    const char *propagation;
    const char *policy;      /* with source */
    unsigned flags;          /* GIDFS_READ_ONLY */
    const void *reserved[2]; /* NULL */
};

struct gidfs_container_options {
    size_t size;
    const char *id; /* required */
    const struct gidfs_container_volume *volumes;
    size_t n_volumes;
    const char *rootfs; /* the container's root as the host sees it */
    const char *parent; /* the container it is nested in */
    int32_t pid;        /* the container's process; 0: none yet */
    uint32_t user;      /* uid of the process, with GIDFS_WITH_USER */
    uint32_t task_user; /* uid of the task where an executor runs first, with GIDFS_WITH_TASKUSER */
    unsigned flags;     /* GIDFS_ROOT_GIDS, GIDFS_WITH_USER, GIDFS_WITH_TASKUSER */
};
#define GIDFS_CONTAINER_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(struct gidfs_container_options), NULL, NULL, 0, NULL, NULL, 0, 0, 0, 0                                  \
    }

/*
 * Prepare makes sure that a container's volumes exist and mounts them beneath rootfs or in pid's namespace; with
 * neither, the caller binds what gidfs_result_mount() lists. A second prepare of one id is -EEXIST. On failure nothing
 * is left mounted. Update replaces the whole list of volumes (id, volumes and n_volumes are used); what goes is
 * unmounted first, -EBUSY while in use. Restart makes the mounts again for a new rootfs, pid, user or task_user.
 * Result: a container object, for gidfs_result_gids() and gidfs_result_mount().
 */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_container_prepare(gidfs_client *client,
                                                     const struct gidfs_container_options *options,
                                                     gidfs_result **ret_container);
GIDFS_PUBLIC GIDFS_CHECK int gidfs_container_update(gidfs_client *client, const struct gidfs_container_options *options,
                                                    gidfs_result **ret_container);
GIDFS_PUBLIC GIDFS_CHECK int gidfs_container_restart(gidfs_client *client,
                                                     const struct gidfs_container_options *options,
                                                     gidfs_result **ret_container);

/* Takes a container's mounts down, in reverse order; an unknown id is no error. May be repeated. -ENOTEMPTY, -EBUSY. */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_container_cleanup(gidfs_client *client, const char *id);

/*
 * After a restart of the caller: live_ids are the containers that still run, all others of the service's containers are
 * cleaned up. flags: GIDFS_DRY_RUN. May be repeated. Result (ret_plan may be NULL): "plan", an array of steps.
 */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_recover(gidfs_client *client, const char *const *live_ids, size_t n_live_ids,
                                           unsigned flags, gidfs_result **ret_plan);

/* The whole answer as JSON text. */
GIDFS_PUBLIC const char *gidfs_result_json(const gidfs_result *result);

/*
 * One value by its path of names and indexes, as "view" or "mounts.0.target". The string is NULL for what is absent or
 * no string. The number: -ENOENT for what is absent or null, -EINVAL for what is no whole number; true and false are
 * 1 and 0. The length of an array or object: 0 for what is neither.
 */
GIDFS_PUBLIC const char *gidfs_result_string(const gidfs_result *result, const char *path);
GIDFS_PUBLIC GIDFS_CHECK int gidfs_result_number(const gidfs_result *result, const char *path, int64_t *ret_number);
GIDFS_PUBLIC size_t gidfs_result_length(const gidfs_result *result, const char *path);

/*
 * The supplementary gids of a container object: copies at most n_gids of them and returns how many there are. gids may
 * be NULL when n_gids is 0.
 */
GIDFS_PUBLIC size_t gidfs_result_gids(const gidfs_result *result, uint32_t *gids, size_t n_gids);

/* One mount of a container object. The strings belong to the result. */
struct gidfs_mount {
    const char *volume;
    const char *source; /* the view, to be bound */
    const char *target;
    const char *propagation;
    uint32_t gid;
    int read_only;
    int made; /* not 0: the service mounted it; 0: the caller has to */
    const void *reserved[2];
};

/* Fills in mount number index, counted from 0; -ENOENT behind the last. */
GIDFS_PUBLIC GIDFS_CHECK int gidfs_result_mount(const gidfs_result *result, size_t index,
                                                struct gidfs_mount *ret_mount);

GIDFS_PUBLIC void gidfs_result_free(gidfs_result *result);

#ifdef __cplusplus
}
#endif

#endif
