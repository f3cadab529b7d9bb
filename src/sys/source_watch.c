/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One inotify watch for each directory that holds watched paths. The kernel gives one number per directory however
 * often it is asked, so a watch holds all its entries and goes with the last one.
 *
 * by_key owns the entries; a watch's list borrows them. Both are guarded by lock.
 */
#include "sys/source_watch.h"

#include "base/fd.h"

#include <string.h>
#include <sys/inotify.h>

#define EVENTS (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR | IN_DONT_FOLLOW)

struct entry {
    char *key;
    char *name; /* in the watched directory */
    int number; /* of the watch */
};

struct source_watch {
    GMutex lock;
    int fd;
    GHashTable *by_key;    /* key → struct entry */
    GHashTable *by_number; /* number → GPtrArray of struct entry */
};

static void free_entry(void *data)
{
    struct entry *entry = data;
    g_free(entry->key);
    g_free(entry->name);
    g_free(entry);
}

static void free_entries(void *data)
{
    g_ptr_array_unref(data);
}

int source_watch_new(struct source_watch **ret_watch, GError **error)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "watch directories with inotify");
    struct source_watch *watch = g_new0(struct source_watch, 1);
    g_mutex_init(&watch->lock);
    watch->fd = fd;
    watch->by_key = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_entry);
    watch->by_number = g_hash_table_new_full(NULL, NULL, NULL, free_entries);
    *ret_watch = watch;
    return 0;
}

void source_watch_free(struct source_watch *watch)
{
    if (!watch)
        return;
    g_hash_table_unref(watch->by_number);
    g_hash_table_unref(watch->by_key);
    fd_close(watch->fd);
    g_mutex_clear(&watch->lock);
    g_free(watch);
}

static void remove_locked(struct source_watch *watch, const char *key)
{
    struct entry *entry = g_hash_table_lookup(watch->by_key, key);
    if (!entry)
        return;
    GPtrArray *entries = g_hash_table_lookup(watch->by_number, GINT_TO_POINTER(entry->number));
    if (entries) {
        g_ptr_array_remove_fast(entries, entry);
        if (entries->len == 0) {
            inotify_rm_watch(watch->fd, entry->number);
            g_hash_table_remove(watch->by_number, GINT_TO_POINTER(entry->number));
        }
    }
    g_hash_table_remove(watch->by_key, key);
}

static void add_locked(struct source_watch *watch, const char *key, const char *path, int number)
{
    struct entry *entry = g_new0(struct entry, 1);
    *entry = (struct entry){.key = g_strdup(key), .name = g_path_get_basename(path), .number = number};
    GPtrArray *entries = g_hash_table_lookup(watch->by_number, GINT_TO_POINTER(number));
    if (!entries) {
        entries = g_ptr_array_new();
        g_hash_table_insert(watch->by_number, GINT_TO_POINTER(number), entries);
    }
    g_ptr_array_add(entries, entry);
    g_hash_table_insert(watch->by_key, entry->key, entry);
}

int source_watch_add(struct source_watch *watch, const char *key, const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_mutex_lock(&watch->lock);
    remove_locked(watch, key);
    int number = inotify_add_watch(watch->fd, parent, EVENTS);
    int r = number < 0 ? -errno : 0;
    if (r == 0)
        add_locked(watch, key, path, number);
    g_mutex_unlock(&watch->lock);
    if (r == -ENOSPC)
        return gidfs_error(error, ENOSPC, "watch %s: too many inotify watches; raise fs.inotify.max_user_watches",
                           parent);
    return r < 0 ? gidfs_error_errno(error, r, "watch %s", parent) : 0;
}

void source_watch_remove(struct source_watch *watch, const char *key)
{
    g_mutex_lock(&watch->lock);
    remove_locked(watch, key);
    g_mutex_unlock(&watch->lock);
}

int source_watch_fd(const struct source_watch *watch)
{
    return watch->fd;
}

/* The strings of keys leave it for the caller of source_watch_read in the end. */
static void add_key(GHashTable *keys, const char *key)
{
    if (!g_hash_table_contains(keys, key))
        g_hash_table_add(keys, g_strdup(key));
}

/* The keys in the watch with this number; all of it if name is NULL. */
static void tell(struct source_watch *watch, int number, const char *name, GHashTable *keys)
{
    GPtrArray *entries = g_hash_table_lookup(watch->by_number, GINT_TO_POINTER(number));
    for (guint i = 0; entries && i < entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(entries, i);
        if (!name || strcmp(entry->name, name) == 0)
            add_key(keys, entry->key);
    }
}

static void tell_all(struct source_watch *watch, GHashTable *keys)
{
    GHashTableIter iter;
    void *key;
    g_hash_table_iter_init(&iter, watch->by_key);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        add_key(keys, key);
}

static void take_event(struct source_watch *watch, const struct inotify_event *event, GHashTable *keys)
{
    if (event->mask & IN_Q_OVERFLOW) {
        tell_all(watch, keys);
    } else if (event->mask & IN_IGNORED) {
        /* the directory itself is gone, or its file system; a watch that we removed has no entries any more */
        tell(watch, event->wd, NULL, keys);
        g_hash_table_remove(watch->by_number, GINT_TO_POINTER(event->wd));
    } else if (event->len) {
        tell(watch, event->wd, event->name, keys);
    }
}

GStrv source_watch_read(struct source_watch *watch)
{
    _Alignas(struct inotify_event) char buffer[16384];
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
    ssize_t length;

    g_mutex_lock(&watch->lock);
    while ((length = read(watch->fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            take_event(watch, event, keys);
            at += sizeof(*event) + event->len;
        }
    }
    g_mutex_unlock(&watch->lock);

    guint n_keys;
    g_autofree void **strings = g_hash_table_get_keys_as_array(keys, &n_keys);
    GStrv list = g_new0(char *, n_keys + 1);
    memcpy(list, strings, n_keys * sizeof(char *));
    return list;
}
