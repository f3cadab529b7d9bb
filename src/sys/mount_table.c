/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmount parses and unescapes; its structures are copied and dropped at once, because its lookups are linear and its
 * tables are not meant for ten thousand mounts.
 *
 * by_id and by_target hold pointers into entries, which never changes after fill().
 */
#include "sys/mount_table.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <string.h>

struct mount_table {
    struct mount_entry *entries;
    size_t n_entries;
    GHashTable *by_id;     /* every entry */
    GHashTable *by_target; /* those that are not covered */
};

struct mount_monitor {
    struct libmnt_monitor *monitor;
};

static int parse_group(const char *fields, const char *key)
{
    const char *found = fields ? strstr(fields, key) : NULL;
    return found ? (int)g_ascii_strtoll(found + strlen(key), NULL, 10) : 0;
}

static void copy_entry(struct mount_entry *entry, struct libmnt_fs *fs)
{
    const char *fields = mnt_fs_get_optional_fields(fs);
    const char *source = mnt_fs_get_srcpath(fs) ? mnt_fs_get_srcpath(fs) : mnt_fs_get_source(fs);
    *entry = (struct mount_entry){
        .id = mnt_fs_get_id(fs),
        .parent_id = mnt_fs_get_parent_id(fs),
        .dev = mnt_fs_get_devno(fs),
        .root = g_strdup(mnt_fs_get_root(fs)),
        .target = g_strdup(mnt_fs_get_target(fs)),
        .fstype = g_strdup(mnt_fs_get_fstype(fs)),
        .source = g_strdup(source ? source : ""),
        .options = g_strdup(mnt_fs_get_vfs_options(fs) ? mnt_fs_get_vfs_options(fs) : ""),
        .peer_group = parse_group(fields, "shared:"),
        .master_group = parse_group(fields, "master:"),
        .unbindable = fields && strstr(fields, "unbindable"),
    };
}

static void index_entries(struct mount_table *table)
{
    for (size_t i = 0; i < table->n_entries; i++)
        g_hash_table_insert(table->by_id, GINT_TO_POINTER(table->entries[i].id), &table->entries[i]);
    for (size_t i = 0; i < table->n_entries; i++) {
        const struct mount_entry *entry = &table->entries[i];
        struct mount_entry *parent = g_hash_table_lookup(table->by_id, GINT_TO_POINTER(entry->parent_id));
        if (parent && parent != entry && strcmp(parent->target, entry->target) == 0)
            parent->covered = true;
    }
    for (size_t i = 0; i < table->n_entries; i++) {
        if (!table->entries[i].covered)
            g_hash_table_insert(table->by_target, table->entries[i].target, &table->entries[i]);
    }
}

static struct mount_table *copy_table(struct libmnt_table *from)
{
    struct mount_table *table = g_new0(struct mount_table, 1);
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    struct libmnt_fs *fs;
    int n = mnt_table_get_nents(from);
    table->entries = g_new0(struct mount_entry, n > 0 ? (size_t)n : 1);
    while (mnt_table_next_fs(from, iter, &fs) == 0) {
        /* an entry without a target is a line that libmount could not read */
        if (mnt_fs_get_target(fs) && mnt_fs_get_root(fs) && mnt_fs_get_fstype(fs))
            copy_entry(&table->entries[table->n_entries++], fs);
    }
    mnt_free_iter(iter);
    table->by_id = g_hash_table_new(NULL, NULL);
    table->by_target = g_hash_table_new(g_str_hash, g_str_equal);
    index_entries(table);
    return table;
}

int mount_table_read_file(const char *path, struct mount_table **ret_table, GError **error)
{
    struct libmnt_table *parsed = mnt_new_table();
    if (!parsed)
        return gidfs_error_errno(error, ENOMEM, "read the mount table %s", path);
    int r = mnt_table_parse_file(parsed, path);
    if (r == 0)
        *ret_table = copy_table(parsed);
    mnt_unref_table(parsed);
    if (r != 0)
        return gidfs_error_errno(error, r < 0 ? r : EIO, "read the mount table %s", path);
    return 0;
}

int mount_table_read(pid_t pid, struct mount_table **ret_table, GError **error)
{
    char path[64];
    if (pid)
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
    else
        /* of the thread, not of its process: a thread may have a mount namespace of its own */
        snprintf(path, sizeof(path), "/proc/thread-self/mountinfo");
    return mount_table_read_file(path, ret_table, error);
}

static void clear_entry(struct mount_entry *entry)
{
    g_free(entry->root);
    g_free(entry->target);
    g_free(entry->fstype);
    g_free(entry->source);
    g_free(entry->options);
}

void mount_table_free(struct mount_table *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->by_target);
    g_hash_table_unref(table->by_id);
    for (size_t i = 0; i < table->n_entries; i++)
        clear_entry(&table->entries[i]);
    g_free(table->entries);
    g_free(table);
}

size_t mount_table_size(const struct mount_table *table)
{
    return table->n_entries;
}

const struct mount_entry *mount_table_get(const struct mount_table *table, size_t i)
{
    g_assert(i < table->n_entries);
    return &table->entries[i];
}

const struct mount_entry *mount_table_find_target(const struct mount_table *table, const char *target)
{
    return g_hash_table_lookup(table->by_target, target);
}

const struct mount_entry *mount_table_find_id(const struct mount_table *table, int id)
{
    return g_hash_table_lookup(table->by_id, GINT_TO_POINTER(id));
}

bool mount_entry_has_option(const struct mount_entry *entry, const char *option)
{
    /* not mnt_match_options: to that, "noexec" means that exec is absent, which it always is */
    size_t length = strlen(option);
    for (const char *word = entry->options; word; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, option, length) == 0 && (word[length] == ',' || word[length] == '\0'))
            return true;
    }
    return false;
}

int mount_monitor_new(struct mount_monitor **ret_monitor, GError **error)
{
    struct mount_monitor *monitor = g_new0(struct mount_monitor, 1);
    monitor->monitor = mnt_new_monitor();
    int r = monitor->monitor ? mnt_monitor_enable_kernel(monitor->monitor, 1) : -ENOMEM;
    if (r >= 0)
        r = mnt_monitor_get_fd(monitor->monitor); /* it looks at nothing before it has one */
    if (r < 0) {
        mount_monitor_free(monitor);
        return gidfs_error_errno(error, r, "watch the mount table");
    }
    *ret_monitor = monitor;
    return 0;
}

void mount_monitor_free(struct mount_monitor *monitor)
{
    if (!monitor)
        return;
    mnt_unref_monitor(monitor->monitor);
    g_free(monitor);
}

int mount_monitor_drain(struct mount_monitor *monitor)
{
    int changed = mnt_monitor_next_change(monitor->monitor, NULL, NULL) == 0;
    mnt_monitor_event_cleanup(monitor->monitor);
    return changed;
}
