/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What a container with a root of its own needs beside its volumes (behaviour C13), as data in the terms of the OCI
 * runtime specification: an isolator pastes it into its config.json, or goes through it by itself. All of it is static.
 */
struct special_mount {
    const char *destination;
    const char *type;
    const char *source;
    const char *const *options; /* NULL-terminated */
};

struct special_device {
    const char *path;
    unsigned int major, minor; /* a character device */
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

struct special_link {
    const char *path;
    const char *target;
};

/* What of the host the container shares. */
struct special_request {
    bool host_pid;     /* the host's pid namespace, all the way up: the container sees the host's processes anyway */
    bool host_network; /* the host's network namespace */
    bool user_namespace;
};

struct special_plan {
    const struct special_mount *mounts; /* in the order in which they are made: a parent comes before what is in it */
    size_t n_mounts;
    const char *const *read_only_paths;   /* NULL-terminated, here and below; made read-only after the mounts */
    const char *const *masked_paths;      /* none with host_pid */
    const struct special_device *devices; /* to be made in /dev */
    size_t n_devices;
    const struct special_link *links;
    size_t n_links;
};

/*
 * Masking hides what /proc tells of the host; to a container in the host's pid namespace /proc belongs, and a tool that
 * is given that namespace (a debugger, a monitor) is given it in order to read there.
 *
 * A sysfs of the container's own shows the network namespace that mounts it, which a user namespace must own: with
 * user_namespace and host_network /sys is therefore a recursive read-only bind of the host's.
 */
struct special_plan special_plan_for(const struct special_request *request);
