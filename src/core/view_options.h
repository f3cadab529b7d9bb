/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/id_map.h"
#include "core/mode_policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The option string of a view ("gid=50000,cache=none,ro"), as gidfs-view and mount.gidfs take it. Pure: paths are not
 * looked at, only cut out of the string.
 */

enum view_chgrp {
    VIEW_CHGRP_REFUSE, /* a change to another group gets EPERM */
    VIEW_CHGRP_IGNORE, /* it succeeds and changes nothing */
};

enum view_cache {
    VIEW_CACHE_AUTO,   /* cached in the kernel, invalidated when the source changes behind the view */
    VIEW_CACHE_ALWAYS, /* only the view changes the source */
    VIEW_CACHE_NONE,
};

enum view_passthrough {
    VIEW_PASSTHROUGH_AUTO,
    VIEW_PASSTHROUGH_ON, /* fail where the kernel or the source's file system can't */
    VIEW_PASSTHROUGH_OFF,
};

/* The form of whiteout that is written to the upper. */
enum view_whiteouts {
    VIEW_WHITEOUTS_OVERLAY,
    VIEW_WHITEOUTS_AUFS,
};

/* xino= of overlayfs: whether inode numbers carry the layer that they come from. */
enum view_xino {
    VIEW_XINO_AUTO,
    VIEW_XINO_ON,
    VIEW_XINO_OFF,
};

/* redirect_dir= of overlayfs: whether directories of lower layers can be renamed, and whether marks of it are read. */
enum view_redirect {
    VIEW_REDIRECT_ON,
    VIEW_REDIRECT_FOLLOW,   /* read, never write */
    VIEW_REDIRECT_NOFOLLOW, /* neither */
    VIEW_REDIRECT_OFF,      /* never write; read as overlayfs does by default */
};

/* Mount flags, bits of view_options.flags. VIEW_NOSUID and VIEW_NODEV are set unless the string says otherwise. */
enum view_flag {
    VIEW_READ_ONLY = 1 << 0,
    VIEW_NOSUID = 1 << 1,
    VIEW_NODEV = 1 << 2,
    VIEW_NOEXEC = 1 << 3,
    VIEW_NOATIME = 1 << 4, /* neither this nor VIEW_STRICTATIME: relatime */
    VIEW_STRICTATIME = 1 << 5,
    VIEW_NODIRATIME = 1 << 6,
    VIEW_LAZYTIME = 1 << 7,
    VIEW_SYNC = 1 << 8,
    VIEW_DIRSYNC = 1 << 9,
    VIEW_NOSYMFOLLOW = 1 << 10,
    VIEW_FLAGS_ALL = (1 << 11) - 1,
};

struct view_options {
    bool has_gid; /* without it nothing is remapped */
    uint32_t view_gid;
    enum mode_policy policy; /* MODE_POLICY_NONE exactly without gid */
    enum view_chgrp chgrp;
    struct id_map *uid_map; /* owned; NULL is the identity */
    struct id_map *gid_map;
    enum view_cache cache;
    enum view_passthrough passthrough;
    uint32_t max_inodes; /* cap of the inode table; 0: the view's default */
    char *control;       /* absolute path of the control socket to listen on, short enough for sun_path; or NULL */

    uint32_t flags;       /* of enum view_flag */
    uint32_t flags_given; /* those that the string sets or clears: all that a remount may change */
    bool remount;
    bool debug;
    bool source_nofollow; /* a link in the path of the source is an error */
    char *fsname;         /* what the mount table shows as source, or NULL */
    char *context;        /* SELinux context for everything in the view, or NULL */

    char **lower_dirs;   /* NULL-terminated, the top first; NULL if this is no layered view */
    size_t n_lower_dirs; /* 0 or 1 … VIEW_MAX_LAYERS */
    char *upper_dir;     /* NULL: read-only layers; else work_dir is set too */
    char *work_dir;
    enum view_whiteouts whiteouts;
    enum view_xino xino;
    enum view_redirect redirect;
    bool user_xattr;            /* marks are user.overlay.* rather than trusted.overlay.* */
    bool volatile_upper;        /* fsync does nothing (volatile, fsync=0) */
    bool no_index;              /* hard links of lower layers are broken up by copy-up */
    bool no_metacopy;           /* copy-up copies the data too, whatever is changed */
    bool no_acl;                /* no POSIX ACLs */
    bool no_xattrs;             /* xattrs are not served */
    bool static_nlink;          /* st_nlink of directories is 1 */
    uint32_t xattr_permissions; /* fuse-overlayfs's override of owner and mode: 0 no, 1 root's xattr, 2 the user's */
    bool has_squash_uid;        /* everything belongs to squash_uid */
    uint32_t squash_uid;
    bool has_squash_gid;
    uint32_t squash_gid;
    bool has_timeout; /* how long the kernel may cache, instead of what cache= implies */
    uint64_t timeout_ms;
};

/* The kernel's overlayfs takes as many. */
#define VIEW_MAX_LAYERS 500

/*
 * Reads an option string (NULL is empty). Options are separated by commas; in a value a backslash takes the next
 * character literally (\, \: \\), and a value in double quotes may hold commas. A later option wins over an earlier
 * one. What mount(8) adds for itself (_netdev, nofail, user, x-…) is dropped or mapped to flags, and the options of
 * fuse-overlayfs and overlayfs are taken: uidmapping= is read in its own order, DISK:VIEW:COUNT. A workdir= without
 * upperdir= is dropped, as overlayfs does.
 *
 * -EINVAL with a message that names the option, the reason and the remedy. The result is the caller's.
 */
int view_options_parse(const char *text, struct view_options **ret_options, GError **error);
void view_options_free(struct view_options *options);

typedef struct view_options view_options;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(view_options, view_options_free)

/* The effective options, defaults and id maps included, as a string that parses to the same again. Caller frees. */
char *view_options_to_string(const struct view_options *options);

/* The options with their meaning, one a line, for --help. Caller frees. */
char *view_options_help(void);
