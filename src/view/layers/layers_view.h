/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "view/common/view.h"

/*
 * The layered view: directories stacked on each other, the upper one writable. Operations on names, and copy-up; what
 * concerns one inode is view/common's.
 */
struct layers;

/* What the view does to the common operations. */
extern const struct view_hooks layers_view_hooks;

/*
 * Opens all that lowerdir=, upperdir= and workdir= name; empties the work directory of what a crash left. The keeper
 * does it once: workers inherit the descriptors. The result is the view's hook_data.
 */
int layers_open(const struct view_options *options, struct layers **ret_layers, GError **error);
void layers_free(struct layers *layers);

/* What a worker adds: caches and locks of its own. Before threads start; view->options and ->source are set. */
int layers_start(struct layers *layers, struct view *view);

/* A descriptor of the topmost layer, for source_state_init(); it stays the layers'. */
int layers_top_fd(const struct layers *layers);

/* For struct inode_table_config: opens the inode of a key; data is the view. */
int layers_view_open_key(void *data, const struct inode *inode);

/* Fills in the operations on names, and those of view/common. */
void layers_view_ops(const struct view_options *options, struct fuse_lowlevel_ops *ops);

/* FUSE_TMPFILE, and what view/common handles raw. */
bool layers_view_raw(void *view, const struct fuse_in_header *header, const void *body, size_t n_bytes);

/* Makes record 0 the root of the merged tree. Returns at once for a successor, whose table has it. */
int layers_view_root(struct view *view);
