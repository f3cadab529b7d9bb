/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/overlay_xattr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The layers of one tree, the top first (behaviour D1): 1 to LAYER_SET_MAX read-only ones, with or without an upper
 * above them. Immutable once open, so free to read from any thread.
 */
#define LAYER_SET_MAX 500

struct layer {
    char *path;  /* as given, for messages */
    int root_fd; /* O_RDONLY, of a private copy of the mount where the kernel lets us have one */
    int tree_fd; /* that copy, or -1 */
    dev_t dev;
    uint32_t fs; /* number of its file system among those of the set: 0, 1, … */
};

struct layer_set {
    struct layer *layers;
    unsigned n_layers; /* the upper included */
    bool has_upper;    /* layers[0] is one */
    unsigned n_fs;
    /*
     * The form of overlayfs's xattrs that is written, and that is believed where it steers more than one directory
     * (redirect, metacopy, origin). Whiteouts and opaque directories are read in both forms.
     */
    enum overlay_xattr_form form;
    bool follow_redirects;
};

struct layer_set_options {
    const char *const *lower_dirs; /* n_lower_dirs paths, the top first */
    size_t n_lower_dirs;
    const char *upper_dir; /* or NULL */
    enum overlay_xattr_form form;
    bool follow_redirects;
};

/* Opens all layers. -EINVAL for none or too many; otherwise what went wrong with the layer that the message names. */
int layer_set_open(const struct layer_set_options *options, struct layer_set **ret_set, GError **error);
void layer_set_free(struct layer_set *set);

typedef struct layer_set layer_set;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(layer_set, layer_set_free)
