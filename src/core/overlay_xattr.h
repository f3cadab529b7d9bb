/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>

/*
 * The xattrs in which the kernel's overlayfs keeps its state, under two prefixes: "trusted.overlay." (needs
 * CAP_SYS_ADMIN) and "user.overlay." (mounts with userxattr, in a user namespace). Pure.
 */
enum overlay_xattr {
    OVERLAY_XATTR_OPAQUE,   /* "y": nothing below shows through; "x": may hold whiteouts in xattr form */
    OVERLAY_XATTR_REDIRECT, /* where to go on below: a sibling's name, or a path from the layer's root */
    OVERLAY_XATTR_ORIGIN,   /* file handle of the lower object that was copied up */
    OVERLAY_XATTR_IMPURE,   /* "y": the directory may hold entries with an origin */
    OVERLAY_XATTR_NLINK,    /* link count, relative to the upper's or the lower's */
    OVERLAY_XATTR_METACOPY, /* the data still lies below */
    OVERLAY_XATTR_WHITEOUT, /* an empty file that hides */
    OVERLAY_XATTR_UPPER,    /* of a directory in the index: handle of the upper object */
    OVERLAY_XATTR_COUNT,
};

enum overlay_xattr_form {
    OVERLAY_XATTR_TRUSTED,
    OVERLAY_XATTR_USER,
};

/* The whole name, a static string. */
const char *overlay_xattr_name(enum overlay_xattr_form form, enum overlay_xattr attr);

/* Reads a name on disk: true, with which one it is, where it is one of the above in either form. */
bool overlay_xattr_parse(const char *disk_name, enum overlay_xattr_form *ret_form, enum overlay_xattr *ret_attr);

/*
 * What a client may name: both prefixes are ours on disk, so a client's "user.overlay.X" is kept as
 * "user.overlay.overlay.X" (as the kernel does it), never as a mark that would steer the merge.
 * -ERANGE where the name on disk would be longer than XATTR_NAME_MAX.
 */
int overlay_xattr_to_disk(const char *view_name, char ret_disk_name[XATTR_NAME_MAX + 1]);

/* The inverse, in place of names listed from the disk: false for a name that no client may see. */
bool overlay_xattr_to_view(const char *disk_name, char ret_view_name[XATTR_NAME_MAX + 1]);
