/* SPDX-License-Identifier: Apache-2.0 */
/* unlink and rmdir: what is in the upper goes, and a whiteout hides what is below. */
#include "view/common/journal.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct removal {
    struct view *view;
    struct layers *layers;
    struct layers_dir dir;
    const char *name;
    bool is_rmdir;
    struct layer_object object; /* what is to go; nothing: to be looked up again */
};

static int check(const struct removal *removal, const struct layer_object *object)
{
    bool is_dir = S_ISDIR(object->st.st_mode);
    if (is_dir != removal->is_rmdir)
        return is_dir ? -EISDIR : -ENOTDIR;
    if (layers_is_mount_point(object))
        return -EBUSY;
    return is_dir ? layers_check_empty(object) : 0;
}

static int remove_from_upper(struct removal *removal, bool hide)
{
    int dir_fd = layers_upper_fd(&removal->dir);
    if (removal->is_rmdir) {
        if (!hide && unlinkat(dir_fd, removal->name, AT_REMOVEDIR) == 0)
            return 0;
        return marks_take_dir(removal->layers, dir_fd, removal->name, hide);
    }
    int r = hide ? marks_hide(removal->layers, dir_fd, removal->name, true) : 0;
    if (r == 0 && (!hide || removal->layers->aufs) && unlinkat(dir_fd, removal->name, 0) < 0)
        r = -errno;
    return r;
}

/* The nodeid of the inode that an object is, 0 if the kernel knows none. */
static uint64_t nodeid_of(struct view *view, const struct layer_object *object)
{
    struct inode_key key;
    enum inode_keep keep;
    const struct layer_member *top = &object->members[0];
    if (layers_key_of_fd(view, top->layer, top->fd, &object->stx, &key, &keep) < 0)
        return 0;
    return inode_table_find(view->inodes, &key);
}

static int remove_object(struct removal *removal, const struct layer_object *object)
{
    bool in_upper = object->members[0].layer == 0 && !object->is_indexed;
    int hide = marks_is_needed(removal->layers, &removal->dir, removal->name);
    if (hide < 0)
        return hide;
    uint64_t nodeid = in_upper ? 0 : nodeid_of(removal->view, object);
    if (nodeid != 0)
        layers_hold(removal->layers, nodeid);
    int r = in_upper ? remove_from_upper(removal, hide)
                     : marks_hide(removal->layers, layers_upper_fd(&removal->dir), removal->name, false);
    if (nodeid != 0) {
        if (r == 0)
            places_detach(removal->layers->places, nodeid);
        layers_release(removal->layers, nodeid);
    }
    if (r == 0 && object->is_indexed)
        r = index_count_less(removal->layers, object->members[0].fd);
    if (r == 0 && object->members[0].layer == 0 && object->stx.stx_nlink > 1)
        index_tidy(removal->layers, object->members[0].fd);
    return r == -EEXIST ? -ESTALE : r; /* copied up just now */
}

static int find(struct removal *removal)
{
    layer_object_clear(&removal->object);
    return layers_find(removal->view, &removal->dir, removal->name, &removal->object);
}

static int remove_once(void *data)
{
    struct removal *removal = data;
    int r = removal->object.n_members > 0 ? 0 : find(removal);
    if (r == 0)
        r = check(removal, &removal->object);
    return r < 0 ? r : remove_object(removal, &removal->object);
}

/* The links of a lower object are counted with its copy: the other names are to show that there is one less. */
static int copy_up_links(struct removal *removal)
{
    const struct layer_object *object = &removal->object;
    int r = find(removal);
    if (r < 0 || object->members[0].layer == 0 || !index_covers(removal->layers, &object->stx))
        return 0;
    uint64_t nodeid = nodeid_of(removal->view, object);
    struct inode *inode = nodeid ? inode_table_get(removal->view->inodes, nodeid) : NULL;
    layer_object_clear(&removal->object);
    return inode ? layers_copy_up(removal->view, inode, COPY_UP_DATA) : 0;
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool is_rmdir)
{
    struct view *view = view_of_request(req);
    struct removal removal = {.view = view, .layers = layers_of(view), .name = name, .is_rmdir = is_rmdir};
    int r = layers_dir_get(view, parent, &removal.dir);
    if (r == 0) {
        r = layers_copy_up_dir(view, &removal.dir);
        if (r == 0 && !is_rmdir)
            r = copy_up_links(&removal);
        if (r == 0)
            r = journal_run(remove_once, &removal, -ENOENT);
        layer_object_clear(&removal.object);
        layers_dir_put(view, &removal.dir);
    }
    view_reply_error(req, r);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, false);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, true);
}

void layers_ops_remove(struct fuse_lowlevel_ops *ops)
{
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
}
