/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/layer_merge.h"
#include "core/layer_names.h"
#include "layer/layer_set.h"

#include <sys/stat.h>

/* What one directory of one layer says about one name. */
struct layer_probe {
    int fd;           /* O_PATH of the entry, or -1 */
    struct statx stx; /* of fd, with the birth time */
    struct stat st;   /* the same */
    struct layer_answer answer;
    char *redirect; /* of a directory or a metacopy, or NULL */
    bool no_origin; /* it is known not to say what it was copied from */
};

void layer_probe_clear(struct layer_probe *probe);

typedef struct layer_probe layer_probe;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(layer_probe, layer_probe_clear)

struct layer_question {
    const char *name;
    unsigned has;  /* bits of enum layer_has: what the directory may have of the name */
    bool is_last;  /* no layer of the set lies below: what steers those is not asked for */
    bool is_final; /* no other layer will be asked, unless by a redirect of the entry: the same for AUFS marks */
};

/* Asks the directory dir_fd (O_PATH is enough). That it has no such name is no error: answer.found says so. */
int layer_probe_name(const struct layer_set *set, int dir_fd, const struct layer_question *question,
                     struct layer_probe *ret_probe);

/* Whether an entry whose directory may hold whiteouts in xattr form (overlay.opaque "x") is one of them. */
bool layer_probe_is_xattr_whiteout(int fd, const struct stat *st);

/* Whether the directory dir_fd says that it may hold such. */
bool layer_probe_holds_xattr_whiteouts(int dir_fd);

/* Whether an entry of a directory has no marks in xattr form. False also where that is not known by its name alone. */
bool layer_probe_has_no_marks(int dir_fd, const char *name);
