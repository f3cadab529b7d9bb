/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include "core/gid_range.h"
#include "core/number.h"
#include "core/subid.h"

#include <errno.h>
#include <grp.h>
#include <string.h>

#define DEFAULT_STATE_DIR  "/var/lib/gidfs"
#define DEFAULT_RUN_DIR    "/run/gidfs"
#define DEFAULT_GID_RANGES "50000-59999"
#define MAX_WARNINGS       8

static int set_text(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
    return 0;
}

static int set_log_level(struct config *config, const char *value, GError **error)
{
    if (log_level_from_string(value, &config->log_level) == 0)
        return 0;
    return gidfs_error(error, EINVAL, "%s: no such level; known are error, warning, info and debug", value);
}

/* One of two words: the second sets *flag. */
static int set_choice(bool *flag, const char *value, const char *no, const char *yes, GError **error)
{
    if (strcmp(value, no) != 0 && strcmp(value, yes) != 0)
        return gidfs_error(error, EINVAL, "%s: no such word; known are %s and %s", value, no, yes);
    *flag = strcmp(value, yes) == 0;
    return 0;
}

static int set_read_group(struct config *config, const char *value, GError **error)
{
    uint64_t number;
    struct group *group = getgrnam(value);

    if (group)
        config->read_group = group->gr_gid;
    else if (number_parse(value, strlen(value), GID_MAX, &number) == 0)
        config->read_group = (gid_t)number;
    else
        return gidfs_error(error, EINVAL, "%s: no such group", value);
    return 0;
}

static int set_state_dir(struct config *config, const char *value, GError **error)
{
    return set_text(&config->state_dir, value);
}

static int set_run_dir(struct config *config, const char *value, GError **error)
{
    return set_text(&config->run_dir, value);
}

static int set_ranges(struct config *config, const char *value, GError **error)
{
    return set_text(&config->gid_ranges, value);
}

static int set_subids(struct config *config, const char *value, GError **error)
{
    return set_text(&config->subid_ranges, value);
}

static int set_order(struct config *config, const char *value, GError **error)
{
    return set_choice(&config->reuse_last, value, "lowest", "recent-last", error);
}

static int set_exclusive(struct config *config, const char *value, GError **error)
{
    return set_choice(&config->exclusive_warns, value, "refuse", "warn", error);
}

static const struct {
    const char *group;
    const char *key;
    int (*set)(struct config *config, const char *value, GError **error);
} keys[] = {
    {"service", "state_dir", set_state_dir}, {"service", "run_dir", set_run_dir},
    {"service", "log_level", set_log_level}, {"service", "read_group", set_read_group},
    {"gids", "ranges", set_ranges},          {"gids", "order", set_order},
    {"subids", "ranges", set_subids},        {"volumes", "exclusive", set_exclusive},
};

static int set_key(struct config *config, const char *group, const char *key, const char *value, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].group, group) != 0 || strcmp(keys[i].key, key) != 0)
            continue;
        int r = keys[i].set(config, value, error);
        if (r < 0)
            g_prefix_error(error, "[%s] %s = ", group, key);
        return r;
    }
    return gidfs_error(error, EINVAL, "[%s] %s: no such key; the manual of gidfsd lists them", group, key);
}

static int set_group(struct config *config, GKeyFile *file, const char *group, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, NULL);
    int r = 0;

    for (char **name = names; name && *name && r == 0; name++) {
        g_autofree char *value = g_key_file_get_string(file, group, *name, NULL);
        r = value ? set_key(config, group, *name, g_strstrip(value), error)
                  : gidfs_error(error, EINVAL, "[%s] %s: not UTF-8, or a bad escape", group, *name);
    }
    return r;
}

static int read_file(struct config *config, const char *path, bool may_be_missing, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) problem = NULL;
    int r = 0;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &problem)) {
        if (may_be_missing && g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return 0;
        return gidfs_error(error, EINVAL, "configuration %s: %s", path, problem->message);
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group && r == 0; group++)
        r = set_group(config, file, *group, error);
    if (r < 0)
        g_prefix_error(error, "configuration %s: ", path);
    return r;
}

static int lay_flags(struct config *config, const struct config_flags *flags, GError **error)
{
    if (flags->state_dir)
        set_text(&config->state_dir, flags->state_dir);
    if (flags->run_dir)
        set_text(&config->run_dir, flags->run_dir);
    if (flags->gid_ranges)
        set_text(&config->gid_ranges, flags->gid_ranges);
    int r = flags->log_level ? set_log_level(config, flags->log_level, error) : 0;
    if (r < 0)
        g_prefix_error(error, "--log-level ");
    return r;
}

int config_read(const struct config_flags *flags, struct config **ret_config, GError **error)
{
    g_autoptr(config_handle) config = g_new0(struct config, 1);
    config->state_dir = g_strdup(DEFAULT_STATE_DIR);
    config->run_dir = g_strdup(DEFAULT_RUN_DIR);
    config->gid_ranges = g_strdup(DEFAULT_GID_RANGES);
    config->log_level = LOG_LEVEL_INFO;
    config->read_group = (gid_t)-1;

    int r = read_file(config, flags->config_path ? flags->config_path : CONFIG_PATH, !flags->config_path, error);
    if (r == 0)
        r = lay_flags(config, flags, error);
    if (r == 0)
        *ret_config = g_steal_pointer(&config);
    return r;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    g_free(config->state_dir);
    g_free(config->run_dir);
    g_free(config->gid_ranges);
    g_free(config->subid_ranges);
    g_free(config);
}

GStrv config_overlaps(const struct config *config)
{
    g_autoptr(range_set) range = NULL;
    g_autoptr(host_ids) ids = host_ids_new();
    g_autofree char *groups = NULL, *subgids = NULL;

    if (gid_range_parse(config->gid_ranges, &range, NULL) < 0)
        return g_new0(char *, 1);
    if (g_file_get_contents("/etc/group", &groups, NULL, NULL))
        host_ids_add_groups(ids, "/etc/group", groups);
    if (g_file_get_contents("/etc/subgid", &subgids, NULL, NULL))
        host_ids_add_subids(ids, "/etc/subgid", subgids);
    return host_ids_overlaps(ids, range, MAX_WARNINGS);
}
