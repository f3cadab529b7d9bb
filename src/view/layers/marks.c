/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the upper says to the layers below it. Each mark is made whole in the work directory and put into place by one
 * rename where it replaces something, so that a crash leaves the entry as it was or as it shall be.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "core/whiteout.h"
#include "sys/dirent.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define READ_BYTES 32768

void marks_temporary_name(struct layers *layers, char ret_name[LAYERS_TEMPORARY_SIZE])
{
    snprintf(ret_name, LAYERS_TEMPORARY_SIZE, "#%x", atomic_fetch_add(&layers->n_temporaries, 1));
}

static int set_mark(const struct layers *layers, int fd, enum overlay_xattr attr)
{
    return inode_fd_setxattr(fd, overlay_xattr_name(layers->set->form, attr), "y", 1, 0);
}

int marks_set_opaque(const struct layers *layers, int dir_fd)
{
    if (!layers->aufs)
        return set_mark(layers, dir_fd, OVERLAY_XATTR_OPAQUE);
    auto_fd int fd = openat(dir_fd, WHITEOUT_OPAQUE_NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : 0;
}

int marks_set_impure(const struct layers *layers, struct inode *dir, int dir_fd)
{
    if (atomic_load(&dir->flags) & LAYERS_FLAG_IMPURE)
        return 0;
    int r = set_mark(layers, dir_fd, OVERLAY_XATTR_IMPURE);
    /* Without xattrs there are no origins either, and nothing to find out about the entries. */
    if (r < 0 && r != -EOPNOTSUPP && r != -EPERM)
        return r;
    atomic_fetch_or(&dir->flags, LAYERS_FLAG_IMPURE);
    return 0;
}

int marks_is_needed(const struct layers *layers, const struct layers_dir *dir, const char *name)
{
    struct layer_object below = dir->merged->object; /* borrowed: the members without the upper one */
    if (below.n_members > 0 && below.members[0].layer == 0) {
        below.members++;
        below.n_members--;
    }
    if (below.n_members == 0)
        return 0;
    g_auto(layer_object) object = {0};
    int r = layer_object_lookup(layers->set, &below, merged_names(dir->merged), name, &object);
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

bool marks_is_whiteout(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && whiteout_is_device(st.st_mode, st.st_rdev);
}

static int make_whiteout(int dir_fd, const char *name)
{
    return mknodat(dir_fd, name, S_IFCHR, 0) < 0 ? -errno : 0;
}

static int make_aufs_mark(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];
    int r = whiteout_make_name(name, mark);
    if (r < 0)
        return r;
    auto_fd int fd = openat(dir_fd, mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : 0;
}

/* Makes a whiteout in the work directory under a name of its own, again if that name is taken. */
static int make_temporary_whiteout(struct layers *layers, char ret_name[LAYERS_TEMPORARY_SIZE])
{
    int r;
    do {
        marks_temporary_name(layers, ret_name);
        r = make_whiteout(layers->work_fd, ret_name);
    } while (r == -EEXIST);
    return r;
}

int marks_hide(struct layers *layers, int dir_fd, const char *name, bool over)
{
    char temporary[LAYERS_TEMPORARY_SIZE];
    if (layers->aufs)
        return make_aufs_mark(dir_fd, name);
    if (!over)
        return make_whiteout(dir_fd, name);
    int r = make_temporary_whiteout(layers, temporary);
    if (r < 0)
        return r;
    FAULT_POINT("layers-hide");
    r = renameat(layers->work_fd, temporary, dir_fd, name) < 0 ? -errno : 0;
    if (r < 0)
        unlinkat(layers->work_fd, temporary, 0);
    return r;
}

void marks_unhide(struct layers *layers, int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];
    if (whiteout_make_name(name, mark) == 0)
        unlinkat(dir_fd, mark, 0);
}

int marks_take_dir(struct layers *layers, int dir_fd, const char *name, bool hide)
{
    char temporary[LAYERS_TEMPORARY_SIZE];
    bool exchange = hide && !layers->aufs;
    int r = hide && layers->aufs ? make_aufs_mark(dir_fd, name) : 0;
    if (r == 0 && exchange)
        r = make_temporary_whiteout(layers, temporary);
    else if (r == 0)
        marks_temporary_name(layers, temporary);
    if (r < 0)
        return r;
    FAULT_POINT("layers-take-dir");
    unsigned flags = exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    while (renameat2(dir_fd, name, layers->work_fd, temporary, flags) < 0) {
        r = -errno;
        if (r != -EEXIST || exchange) {
            if (exchange)
                unlinkat(layers->work_fd, temporary, 0);
            return r;
        }
        marks_temporary_name(layers, temporary);
    }
    marks_discard(layers, temporary);
    return 0;
}

/* Removes what is in a passing directory: files only, since it was found to hold nothing but marks. */
static void remove_entries(int fd)
{
    g_autofree char *buffer = g_malloc(READ_BYTES);
    ssize_t n;
    while ((n = dirent_read(fd, buffer, READ_BYTES)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(buffer + at);
            at += record->record_size_bytes;
            unlinkat(fd, record->name, 0);
        }
}

void marks_discard(struct layers *layers, const char *temporary)
{
    if (unlinkat(layers->work_fd, temporary, 0) == 0 || errno == ENOENT)
        return;
    if (unlinkat(layers->work_fd, temporary, AT_REMOVEDIR) == 0)
        return;
    auto_fd int fd = openat(layers->work_fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        remove_entries(fd);
    unlinkat(layers->work_fd, temporary, AT_REMOVEDIR);
}
