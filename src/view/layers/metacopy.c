/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metacopies: a change of the metadata of a big file copies its metadata alone, with the xattr overlay.metacopy, as the
 * kernel's overlayfs does with metacopy=on; the data is found below under the same name (or where a redirect says) and
 * comes up when the file is opened. Small files, and files whose data can be shared with their copy, are copied whole.
 *
 * A crash while the data comes up leaves the mark, and so the data below: it is taken away last.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "sys/copy_object.h"
#include "sys/creds.h"
#include "sys/inode_fd.h"
#include "view/common/data_files.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MIN_BYTES            ((uint64_t)4 << 20)
#define CAPABILITY_XATTR     "security.capability"
#define CAPABILITY_MAX_BYTES 64

static const char *mark_name(const struct layers *layers)
{
    return overlay_xattr_name(layers->set->form, OVERLAY_XATTR_METACOPY);
}

bool metacopy_suits(const struct layers *layers, const struct statx *stx)
{
    return layers->metacopy && S_ISREG(stx->stx_mode) && stx->stx_nlink == 1 && stx->stx_size >= MIN_BYTES;
}

int metacopy_make(const struct layers *layers, int fd, int data_fd, const struct stat *st, bool *ret_is_metacopy)
{
    *ret_is_metacopy = false;
    int r = copy_data_by_sharing(data_fd, fd);
    if (r == 0)
        return copy_times(fd, st);
    r = inode_fd_setxattr(fd, mark_name(layers), "", 0, 0);
    *ret_is_metacopy = r == 0;
    if (r == 0)
        return 0;
    return metacopy_copy_data(data_fd, fd, st);
}

int metacopy_copy_data(int data_fd, int fd, const struct stat *st)
{
    char capability[CAPABILITY_MAX_BYTES];
    ssize_t n = inode_fd_getxattr(fd, CAPABILITY_XATTR, capability, sizeof(capability));
    int r = copy_data(data_fd, fd, NULL, NULL);
    if (r == 0 && n > 0) /* writing has taken it away */
        r = inode_fd_setxattr(fd, CAPABILITY_XATTR, capability, (size_t)n, 0);
    return r < 0 ? r : copy_times(fd, st);
}

int metacopy_open_data(struct view *view, struct inode *inode)
{
    struct layers *layers = layers_of(view);
    g_auto(layer_object) object = {0};
    struct place place = {0};
    struct layers_dir dir;
    if (places_get(layers->places, inode->nodeid, &place) < 0)
        return -ESTALE;
    int r = place.parent ? layers_dir_get(view, place.parent, &dir) : -ESTALE;
    if (r == 0) {
        r = layers_find(view, &dir, place.name, &object);
        layers_dir_put(view, &dir);
    }
    g_free(place.name);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    return inode_fd_reopen(object.members[object.n_members - 1].fd, O_RDONLY | O_NONBLOCK);
}

int metacopy_complete(struct view *view, struct inode *inode)
{
    struct layers *layers = layers_of(view);
    struct statx stx;
    struct stat st;
    auto_fd int from = metacopy_open_data(view, inode);
    if (from < 0)
        return from;
    int path_fd = inode_table_get_fd(view->inodes, inode);
    if (path_fd < 0)
        return path_fd;
    auto_fd int to = inode_fd_reopen(path_fd, O_RDWR);
    int r = to < 0 ? to : inode_fd_statx(to, &stx);
    if (r == 0) {
        statx_to_stat(&stx, &st);
        creds_set_fsetid(true); /* or the write would take setuid away */
        r = metacopy_copy_data(from, to, &st);
        creds_set_fsetid(false);
    }
    if (r == 0 && layers->sync && fsync(to) < 0)
        r = -errno;
    FAULT_POINT("layers-metacopy-complete");
    if (r == 0)
        r = inode_fd_removexattr(path_fd, mark_name(layers));
    if (r == 0) {
        atomic_fetch_and(&inode->flags, (uint16_t)~LAYERS_FLAG_METACOPY);
        data_files_drop(view->data_files, inode);
    }
    inode_table_put_fd(view->inodes, inode);
    return r;
}
