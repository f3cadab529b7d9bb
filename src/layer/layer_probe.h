/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/layer_merge.h"
#include "layer/layer_set.h"

#include <sys/stat.h>

/* What one directory of one layer says about one name. */
struct layer_probe {
    int fd;           /* O_PATH of the entry, or -1 */
    struct statx stx; /* of fd, with the birth time */
    struct stat st;   /* the same */
    struct layer_answer answer;
    char *redirect; /* of a directory or a metacopy, or NULL */
};

void layer_probe_clear(struct layer_probe *probe);

typedef struct layer_probe layer_probe;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(layer_probe, layer_probe_clear)

/*
 * Asks the directory dir_fd (O_PATH is enough). Unless below is set, no layer follows, and what only matters to those
 * is not asked for. That no layer has it is no error: answer.found says so.
 */
int layer_probe_name(const struct layer_set *set, int dir_fd, const char *name, bool below,
                     struct layer_probe *ret_probe);

/* Whether an entry whose directory may hold whiteouts in xattr form (overlay.opaque "x") is one of them. */
bool layer_probe_is_xattr_whiteout(int fd, const struct stat *st);

/* Whether the directory dir_fd says that it may hold such. */
bool layer_probe_holds_xattr_whiteouts(int dir_fd);
