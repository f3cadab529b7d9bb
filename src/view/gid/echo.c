/* SPDX-License-Identifier: Apache-2.0 */
#include "view/gid/echo.h"

#include "sys/inode_fd.h"

#include <errno.h>
#include <string.h>

/* Nodeids that no inode has: what the kernel sees for a moment where a name was removed. */
#define SHOWN_FILE (INODE_ID_MADE | UINT32_MAX)
#define SHOWN_DIR  (SHOWN_FILE - 1)

/*
 * The inode that had the name, if it is gone from the disk and the kernel knows it: whoever listens to itself hears of
 * its end. Counts a lookup.
 */
static bool show_object(struct view *view, uint64_t nodeid, struct fuse_entry_param *entry)
{
    struct inode *inode = nodeid ? inode_table_get(view->inodes, nodeid) : NULL;
    struct inode *found;
    struct statx stx;
    int none = -1;
    int fd = inode ? inode_table_get_fd(view->inodes, inode) : -ESTALE;
    if (fd < 0)
        return false;
    int r = inode_fd_statx(fd, &stx);
    inode_table_put_fd(view->inodes, inode);
    if (r < 0 || stx.stx_nlink > 0)
        return false;
    struct inode_key key = inode->key;
    if (inode_table_intern(view->inodes, &key, inode->type, &none, INODE_KEEP_NO_FD, &found) < 0)
        return false;
    *entry = (struct fuse_entry_param){.ino = found->nodeid, .generation = source_generation(&key)};
    view_attributes(view, found, &stx, &entry->attr);
    entry->attr.st_nlink = 1; /* the kernel takes it away */
    return true;
}

static void reply_gone(fuse_req_t req, struct view *view, bool is_dir, uint64_t object)
{
    struct fuse_entry_param entry;
    bool counted = show_object(view, object, &entry);
    if (!counted) {
        entry = (struct fuse_entry_param){.ino = is_dir ? SHOWN_DIR : SHOWN_FILE};
        entry.attr =
            (struct stat){.st_ino = UINT32_MAX, .st_mode = is_dir ? S_IFDIR | 0700 : S_IFREG | 0600, .st_nlink = 1};
    }
    if (fuse_reply_entry(req, &entry) < 0 && counted)
        view_forget_one(view, entry.ino, 1);
}

bool echo_lookup(fuse_req_t req, struct view *view, const struct dir *dir, const char *name)
{
    const struct echo_state *echo = view->echo;
    unsigned flags = echo ? atomic_load(&echo->flags) : 0;
    if (!(flags & (ECHO_CAME | ECHO_GONE)) || echo->dir != dir->inode->nodeid || strcmp(echo->name, name) != 0)
        return false;
    if (flags & ECHO_GONE)
        reply_gone(req, view, flags & ECHO_IS_DIR, echo->object);
    else
        view_reply_error(req, -ENOENT);
    return true;
}
