/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/layer_set.h"

#include "base/fd.h"
#include "sys/source_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

/*
 * Opens a layer: a lower one as a private copy of its mount, so that nothing that is mounted later shows in it. The
 * upper has to stay in the mount that it shares with its work directory, since no rename crosses mounts.
 */
static int open_layer(struct layer *layer, const char *path, bool is_upper, GError **error)
{
    struct stat st;
    layer->path = g_strdup(path);
    int fd =
        is_upper ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : source_tree_open_read_only(path, &layer->tree_fd);
    if (fd < 0)
        return gidfs_error_errno(error, is_upper ? errno : fd, "%s %s", is_upper ? "upperdir" : "layer", path);
    layer->root_fd = fd;
    if (fstat(fd, &st) < 0)
        return gidfs_error_errno(error, errno, "layer %s", path);
    layer->dev = st.st_dev;
    return 0;
}

/* Numbers the file systems by the layers that lie on them. */
static void number_file_systems(struct layer_set *set)
{
    for (unsigned i = 0; i < set->n_layers; i++) {
        unsigned first = 0;
        while (set->layers[first].dev != set->layers[i].dev)
            first++;
        set->layers[i].fs = first < i ? set->layers[first].fs : set->n_fs++;
    }
}

int layer_set_open(const struct layer_set_options *options, struct layer_set **ret_set, GError **error)
{
    if (options->n_lower_dirs == 0)
        return gidfs_error(error, EINVAL, "no layers: name at least one directory");
    if (options->n_lower_dirs > LAYER_SET_MAX)
        return gidfs_error(error, EINVAL, "%zu layers: at most %d can be stacked; flatten some of them first",
                           options->n_lower_dirs, LAYER_SET_MAX);

    g_autoptr(layer_set) set = g_new0(struct layer_set, 1);
    set->has_upper = options->upper_dir != NULL;
    set->n_layers = (unsigned)options->n_lower_dirs + (set->has_upper ? 1 : 0);
    set->form = options->form;
    set->follow_redirects = options->follow_redirects;
    set->layers = g_new0(struct layer, set->n_layers);
    for (unsigned i = 0; i < set->n_layers; i++)
        set->layers[i] = (struct layer){.root_fd = -1, .tree_fd = -1};
    for (unsigned i = 0; i < set->n_layers; i++) {
        const char *path = !set->has_upper ? options->lower_dirs[i]
                           : i == 0        ? options->upper_dir
                                           : options->lower_dirs[i - 1];
        int r = open_layer(&set->layers[i], path, set->has_upper && i == 0, error);
        if (r < 0)
            return r;
    }
    number_file_systems(set);
    *ret_set = g_steal_pointer(&set);
    return 0;
}

void layer_set_free(struct layer_set *set)
{
    if (!set)
        return;
    for (unsigned i = 0; i < set->n_layers; i++) {
        fd_close(set->layers[i].root_fd);
        fd_close(set->layers[i].tree_fd);
        g_free(set->layers[i].path);
    }
    g_free(set->layers);
    g_free(set);
}
