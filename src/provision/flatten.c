/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything is done in a hidden directory beside the target: "tree" becomes the target by a rename at the very end,
 * and tars are unpacked to directories of their own in it first. Whatever happens, it is removed; one that a killed
 * process left is removed by the next flattening to the same target.
 */
#include "provision/flatten.h"

#include "base/fault.h"
#include "base/fd.h"
#include "provision/layer_tar.h"
#include "provision/remove_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE "tree"

struct workplace {
    char *parent_path;
    char *target_name;
    char *name; /* of the hidden directory in parent_fd */
    int parent_fd;
    int fd; /* of the hidden directory, locked; -1 until it is ours to remove */
};

typedef struct workplace workplace;

static void workplace_clear(struct workplace *place)
{
    if (place->fd >= 0)
        remove_tree(place->parent_fd, place->name);
    fd_close(place->fd);
    fd_close(place->parent_fd);
    g_free(place->parent_path);
    g_free(place->target_name);
    g_free(place->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(workplace, workplace_clear)

static int check_target(const struct workplace *place, const char *target, GError **error)
{
    auto_fd int fd = openat(place->parent_fd, place->target_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return gidfs_error_errno(error, errno, "target %s", target);
    if (unlinkat(place->parent_fd, place->target_name, AT_REMOVEDIR) == 0)
        return 0;
    return gidfs_error_errno(error, errno, "target %s: it must not exist, or be an empty directory", target);
}

/* Opens the hidden directory, emptied of what a killed process may have left in it. */
static int open_workplace(struct workplace *place, const char *target, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(target, NULL);
    place->parent_path = g_path_get_dirname(path);
    place->target_name = g_path_get_basename(path);
    place->name = g_strdup_printf(".%s.gidfs-flatten", place->target_name);
    place->parent_fd = open(place->parent_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->parent_fd < 0)
        return gidfs_error_errno(error, errno, "%s", place->parent_path);
    if (mkdirat(place->parent_fd, place->name, 0700) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "%s/%s", place->parent_path, place->name);
    auto_fd int fd = openat(place->parent_fd, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "%s/%s", place->parent_path, place->name);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return gidfs_error(error, EBUSY, "target %s: another flattening to it is under way", target);
    place->fd = fd_steal(&fd);
    int r = remove_tree(place->fd, TREE);
    return r < 0 ? gidfs_error_errno(error, r, "%s/%s", place->parent_path, place->name) : 0;
}

/* The directory of one layer: itself, or what its tar is unpacked to. Caller frees. */
static int layer_dir(struct workplace *place, const char *layer, size_t number, provision_progress_fn progress,
                     void *data, char **ret_path, GError **error)
{
    struct stat st;
    if (stat(layer, &st) < 0)
        return gidfs_error_errno(error, errno, "layer %s", layer);
    if (S_ISDIR(st.st_mode)) {
        *ret_path = g_strdup(layer);
        return 0;
    }
    g_autofree char *name = g_strdup_printf("layer-%zu", number);
    int r = remove_tree(place->fd, name);
    if (r < 0)
        return gidfs_error_errno(error, r, "%s/%s/%s", place->parent_path, place->name, name);
    if (mkdirat(place->fd, name, 0755) < 0)
        return gidfs_error_errno(error, errno, "%s/%s/%s", place->parent_path, place->name, name);
    auto_fd int fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "%s/%s/%s", place->parent_path, place->name, name);
    r = layer_tar_unpack(layer, fd, progress, data, error);
    if (r == 0)
        *ret_path = g_build_filename(place->parent_path, place->name, name, NULL);
    return r;
}

/* Opens the layers, which are given the lowest first and kept the top first. */
static int open_layers(struct workplace *place, const char *const *layers, size_t n_layers,
                       provision_progress_fn progress, void *data, struct layer_set **ret_set, GError **error)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = n_layers; i-- > 0;) {
        char *dir = NULL;
        int r = layer_dir(place, layers[i], i, progress, data, &dir, error);
        if (r < 0)
            return r;
        g_ptr_array_add(dirs, dir);
    }
    struct layer_set_options options = {
        .lower_dirs = (const char *const *)dirs->pdata,
        .n_lower_dirs = dirs->len,
        .follow_redirects = true,
    };
    return layer_set_open(&options, ret_set, error);
}

static int publish(struct workplace *place, const char *target, GError **error)
{
    if (syncfs(place->fd) < 0)
        return gidfs_error_errno(error, errno, "target %s", target);
    FAULT_POINT("flatten-publish");
    if (renameat(place->fd, TREE, place->parent_fd, place->target_name) < 0)
        return gidfs_error_errno(error, errno, "target %s", target);
    return 0;
}

int flatten(const char *const *layers, size_t n_layers, const char *target, provision_progress_fn progress, void *data,
            GError **error)
{
    g_auto(workplace) place = {.parent_fd = -1, .fd = -1};
    g_autoptr(layer_set) set = NULL;
    int r = open_workplace(&place, target, error);
    if (r == 0)
        r = check_target(&place, target, error);
    if (r == 0)
        r = open_layers(&place, layers, n_layers, progress, data, &set, error);
    if (r < 0)
        return r;
    if (mkdirat(place.fd, TREE, 0700) < 0)
        return gidfs_error_errno(error, errno, "target %s", target);
    auto_fd int tree = openat(place.fd, TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (tree < 0)
        return gidfs_error_errno(error, errno, "target %s", target);
    r = flatten_tree(set, tree, progress, data, error);
    return r < 0 ? r : publish(&place, target, error);
}
