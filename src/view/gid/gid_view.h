/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "view/common/view.h"

/*
 * The gid view: one directory tree, shown as it is but for its group and what the policy makes of modes.
 * Operations on names; those on inodes are view/common's.
 */

/* Fills in the operations on names, and those of view/common. */
void gid_view_ops(const struct view_options *options, struct fuse_lowlevel_ops *ops);

/* FUSE_TMPFILE, and what view/common handles raw. */
bool gid_view_raw(void *view, const struct fuse_in_header *header, const void *body, size_t n_bytes);

/* Makes record 0 the root of the tree behind root_fd. Returns at once for a successor, whose table has it. */
int gid_view_root(struct view *view, int root_fd);
