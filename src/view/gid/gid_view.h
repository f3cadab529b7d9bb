/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "view/common/view.h"

/*
 * The gid view: one directory tree, shown as it is but for its group and what the policy makes of modes.
 * Operations on names; those on inodes are view/common's.
 */

/* Sets the hooks, and makes record 0 the root of the tree behind root_fd: returns at once for a successor, whose table
 * has it. */
int gid_view_root(struct view *view, int root_fd);
