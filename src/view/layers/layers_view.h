/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "view/common/view.h"

/*
 * The layered view: directories stacked on each other, the upper one writable. Operations on names, and copy-up; what
 * concerns one inode is view/common's.
 */
struct layers;
struct places_state;

/*
 * Opens all that lowerdir=, upperdir= and workdir= name; empties the work directory of what a crash left. The keeper
 * does it once: workers inherit the descriptors. The result is the view's hook_data.
 */
int layers_open(const struct view_options *options, struct layers **ret_layers, GError **error);
void layers_free(struct layers *layers);

/*
 * What a worker adds: caches and locks of its own, and the places that a predecessor may have left. Before threads
 * start; view->options and ->source are set.
 */
int layers_start(struct layers *layers, struct view *view, struct places_state *places);

/* A descriptor of the topmost layer, for source_state_init(); it stays the layers'. */
int layers_top_fd(const struct layers *layers);

/* For struct inode_table_config: opens the inode of a key; data is the view. */
int layers_view_open_key(void *data, const struct inode *inode);

/* Makes record 0 the root of the merged tree. Returns at once for a successor, whose table has it. */
int layers_view_root(struct view *view);
