/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "layer/layer_set.h"
#include "provision/progress.h"

/*
 * Writes the merged tree of the layers into target_fd, an empty directory, as plain files (behaviour D9): owners,
 * modes, times, xattrs, ACLs, holes and hard links kept, marks left out, the root's own attributes on target_fd. On
 * failure what was written stays: the caller removes it. Counts the tree first, if progress is given.
 */
int flatten_tree(const struct layer_set *set, int target_fd, provision_progress_fn progress, void *data,
                 GError **error);

/*
 * The whole operation: n_layers paths, the first being the lowest, each a directory or an image layer's tar, are
 * merged into target, which must not exist or be an empty directory. The result appears at target whole, by a rename;
 * until then, and after a failure, there is nothing but a hidden directory beside it that is removed again.
 */
int flatten(const char *const *layers, size_t n_layers, const char *target, provision_progress_fn progress, void *data,
            GError **error);
