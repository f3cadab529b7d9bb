/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the merged tree once to count it and once to copy it. A directory gets its own attributes after what is in it,
 * so that its times last and no default ACL is inherited. Files of one layer that share an inode are linked: the first
 * name that was copied is remembered by its path from the target's root.
 */
#include "base/fd.h"
#include "layer/layer_object.h"
#include "provision/flatten.h"
#include "sys/copy_object.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

struct walk {
    const struct layer_set *set;
    int target_fd;     /* the target's root; -1 while counting */
    GHashTable *links; /* "layer:dev:ino" → path of the copy */
    GString *path;     /* of the entry in work, for messages and links */
    struct provision_progress progress;
    provision_progress_fn callback;
    void *data;
    GError **error;
};

static int report(struct walk *walk)
{
    return walk->callback ? walk->callback(&walk->progress, walk->data) : 0;
}

static int data_copied(uint64_t n_bytes, void *data)
{
    struct walk *walk = data;
    walk->progress.done_bytes += n_bytes;
    return report(walk);
}

static int fail(struct walk *walk, int errnum)
{
    if (errnum == -ECANCELED)
        return gidfs_error(walk->error, errnum, "cancelled at %s", walk->path->str);
    return gidfs_error_errno(walk->error, errnum, "/%s", walk->path->str);
}

static char *link_key(const struct layer_object *object)
{
    return g_strdup_printf("%u:%ju:%ju", object->members[0].layer, (uintmax_t)object->st.st_dev,
                           (uintmax_t)object->st.st_ino);
}

/* Makes name a link of the copy of the same inode, if there is one: 1 done, 0 it has to be copied. */
static int link_to_copy(struct walk *walk, const struct layer_object *object, int dir_fd, const char *name)
{
    if (object->st.st_nlink < 2)
        return 0;
    g_autofree char *key = link_key(object);
    const char *first = g_hash_table_lookup(walk->links, key);
    if (first)
        return linkat(walk->target_fd, first, dir_fd, name, 0) < 0 ? -errno : 1;
    if (walk->path->len < PATH_MAX)
        g_hash_table_insert(walk->links, g_steal_pointer(&key), g_strdup(walk->path->str));
    return 0;
}

/* The metadata is the first member's, the data the last one's. */
static int copy_file(struct walk *walk, const struct layer_object *object, int dir_fd, const char *name)
{
    int r = link_to_copy(walk, object, dir_fd, name);
    if (r != 0)
        return r < 0 ? r : 0;
    auto_fd int data_fd = -1, copy = -1;
    if (S_ISREG(object->st.st_mode)) {
        data_fd = inode_fd_reopen(object->members[object->n_members - 1].fd, O_RDONLY);
        if (data_fd < 0)
            return data_fd;
    }
    struct copy_job job = {
        .from_fd = data_fd >= 0 && !object->is_metacopy ? data_fd : object->members[0].fd,
        .st = &object->st,
        .flags = object->is_metacopy ? COPY_NO_DATA : 0,
        .progress = data_copied,
        .progress_data = walk,
    };
    r = copy_object(&job, dir_fd, name, &copy);
    if (r < 0 || !object->is_metacopy)
        return r;
    r = copy_data(data_fd, copy, data_copied, walk);
    return r < 0 ? r : copy_times(copy, &object->st);
}

static int walk_dir(struct walk *walk, const struct layer_object *dir, int dir_fd);

static int copy_dir(struct walk *walk, const struct layer_object *object, int dir_fd, const char *name)
{
    auto_fd int fd = -1;
    if (dir_fd >= 0) {
        if (mkdirat(dir_fd, name, 0700) < 0)
            return fail(walk, -errno);
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return fail(walk, -errno);
    }
    int r = walk_dir(walk, object, fd);
    if (r < 0 || fd < 0)
        return r;
    struct copy_job job = {.from_fd = object->members[0].fd, .st = &object->st};
    r = copy_object_meta(&job, fd);
    return r < 0 ? fail(walk, r) : 0;
}

static int walk_entry(struct walk *walk, const struct layer_object *dir, int dir_fd, const char *name)
{
    g_auto(layer_object) object = {0};
    int r = layer_object_lookup(walk->set, dir, NULL, name, &object);
    if (r < 0)
        return fail(walk, r);
    bool counting = dir_fd < 0;
    if (counting) {
        walk->progress.total_entries++;
        walk->progress.total_bytes += S_ISREG(object.st.st_mode) ? (uint64_t)object.st.st_size : 0;
    }
    if (S_ISDIR(object.st.st_mode))
        r = copy_dir(walk, &object, dir_fd, name);
    else if (!counting && (r = copy_file(walk, &object, dir_fd, name)) < 0)
        r = fail(walk, r);
    if (r < 0)
        return r;
    walk->progress.done_entries += counting ? 0 : 1;
    r = report(walk);
    return r < 0 ? fail(walk, r) : 0;
}

/* Copies what is in the merged directory dir to dir_fd, or counts it where that is -1. */
static int walk_dir(struct walk *walk, const struct layer_object *dir, int dir_fd)
{
    g_autoptr(layer_listing) listing = NULL;
    size_t n_entries, length = walk->path->len;
    int r = layer_object_list(dir, NULL, &listing);
    if (r < 0)
        return fail(walk, r);
    const struct layer_listing_entry *entries = layer_listing_entries(listing, &n_entries);
    for (size_t i = 0; i < n_entries; i++) {
        g_string_append_printf(walk->path, "%s%s", length ? "/" : "", entries[i].name);
        r = walk_entry(walk, dir, dir_fd, entries[i].name);
        if (r < 0)
            return r;
        g_string_truncate(walk->path, length);
    }
    return 0;
}

int flatten_tree(const struct layer_set *set, int target_fd, provision_progress_fn progress, void *data, GError **error)
{
    g_auto(layer_object) root = {0};
    g_autoptr(GHashTable) links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GString) path = g_string_new(NULL);
    struct walk walk = {
        .set = set,
        .target_fd = target_fd,
        .links = links,
        .path = path,
        .callback = progress,
        .data = data,
        .error = error,
    };
    int r = layer_object_root(set, &root);
    if (r < 0)
        return fail(&walk, r);
    if (progress) {
        r = walk_dir(&walk, &root, -1);
        if (r < 0)
            return r;
    }
    r = walk_dir(&walk, &root, target_fd);
    if (r < 0)
        return r;
    struct copy_job job = {.from_fd = root.members[0].fd, .st = &root.st};
    r = copy_object_meta(&job, target_fd);
    return r < 0 ? fail(&walk, r) : 0;
}
