/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The marks that a layer uses to hide what lies below it (behaviours D2 and D3), in both forms:
 *
 *               one name                                       all of a directory
 *   AUFS, OCI   an entry .wh.NAME                              an entry .wh..wh..opq in it
 *   overlayfs   a 0/0 character device called NAME, or an      an xattr overlay.opaque on it
 *               empty file NAME with the xattr
 *               overlay.whiteout in a directory whose
 *               overlay.opaque is "x"
 *
 * Pure; free to call from any thread.
 */

enum whiteout_name {
    WHITEOUT_NAME_NONE,   /* an ordinary name */
    WHITEOUT_NAME_HIDES,  /* .wh.NAME */
    WHITEOUT_NAME_OPAQUE, /* .wh..wh..opq */
    /*
     * Has the prefix and is no whiteout: decodes to nothing, ".", ".." or a slash, or is one of the names that AUFS
     * keeps for itself (.wh..wh.*). Never shown, and hides nothing: following ".wh..." is how a layer once deleted the
     * parent of the rootfs.
     */
    WHITEOUT_NAME_REFUSED,
};

#define WHITEOUT_OPAQUE_NAME ".wh..wh..opq"

/* What an entry of a layer called name is; for WHITEOUT_NAME_HIDES, *ret_hidden points at the hidden name in it. */
enum whiteout_name whiteout_parse_name(const char *name, const char **ret_hidden);

/* Whether a name can't be used in a view at all, since it would be read as a mark. */
bool whiteout_is_mark(const char *name);

/* The AUFS mark for hidden in ret_name; -ENAMETOOLONG, or -EINVAL where reading it back would not hide that name. */
int whiteout_make_name(const char *hidden, char ret_name[NAME_MAX + 1]);

/* Whether an entry is the overlayfs whiteout: a character device with number 0/0. */
bool whiteout_is_device(mode_t mode, dev_t rdev);
