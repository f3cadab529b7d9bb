/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/log.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * What the service is told: by the configuration file, and by flags, which win. docs/config.md has the keys. All
 * strings are the config's own.
 */
struct config {
    char *state_dir;
    char *run_dir;
    char *gid_ranges;
    char *subid_ranges; /* NULL: what login.defs leaves */
    enum log_level log_level;
    bool reuse_last;
    bool exclusive_warns;
    gid_t read_group; /* (gid_t)-1: none */
};

/* What the command line said; NULL where it said nothing. */
struct config_flags {
    char *config_path;
    char *state_dir;
    char *run_dir;
    char *gid_ranges;
    char *log_level;
};

#define CONFIG_PATH GIDFS_SYSCONFDIR "/gidfs.conf"

/*
 * Reads the file (config_path, or CONFIG_PATH if there is one) and lays the flags over it. An unknown group, key or
 * word is an error, so that a typing error never passes silently.
 */
int config_read(const struct config_flags *flags, struct config **ret_config, GError **error);
void config_free(struct config *config);

typedef struct config config_handle;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(config_handle, config_free)

/* One line for each group or block of subordinate ids of this host that a gid range overlaps (behaviour A1). */
GStrv config_overlaps(const struct config *config);
