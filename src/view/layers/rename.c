/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename, with exchange and no-replace. What moves is copied up first, so the rename itself happens in the upper:
 *
 *  - A directory with a lower part gets a redirect to it; without one it becomes opaque where something else would
 *    show through at its new name.
 *  - What the lower layers have at the old name is hidden: by the whiteout that renameat2(RENAME_WHITEOUT) leaves, so
 *    both happen at once.
 *  - Where a whiteout, or a directory with whiteouts in it, has the new name, a directory changes places with it, and
 *    what is then at the old name is taken away or made the whiteout.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "core/whiteout.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/layers/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One of the two names. */
struct side {
    struct layers_dir dir;
    const char *name;
    struct layer_object object; /* what is there: no members for nothing */
    struct inode_key key;
};

struct renaming {
    struct view *view;
    struct layers *layers;
    struct side old, new;
    bool exchange, no_replace;
    bool hide_old; /* the lower layers have something at the old name */
};

static bool is_dir(const struct side *side)
{
    return side->object.n_members > 0 && S_ISDIR(side->object.st.st_mode);
}

static bool is_merged_dir(const struct side *side)
{
    return is_dir(side) && side->object.n_members > 1;
}

/* Finds what is at a side; that nothing is there is no error. */
static int find_side(struct renaming *n, struct side *side)
{
    enum inode_keep keep;
    layer_object_clear(&side->object);
    side->key.n_bytes = 0;
    int r = layers_find(n->view, &side->dir, side->name, &side->object);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    const struct layer_member *top = &side->object.members[0];
    return layers_key_of_fd(n->view, top->layer, top->fd, &side->object.stx, &side->key, &keep);
}

/* Brings what is at a side into the upper, and finds it again there. */
static int copy_up_side(struct renaming *n, struct side *side)
{
    if (side->object.is_indexed) {
        int fd = side->object.members[0].fd;
        int r = inode_fd_link(fd, layers_upper_fd(&side->dir), side->name);
        if (r == 0)
            r = index_count_less(n->layers, fd);
        return r < 0 ? r : find_side(n, side);
    }
    if (side->object.members[0].layer == 0 && !side->object.is_metacopy)
        return 0;
    uint64_t nodeid = inode_table_find(n->view->inodes, &side->key);
    struct inode *inode = nodeid ? inode_table_get(n->view->inodes, nodeid) : NULL;
    int r = inode ? layers_copy_up(n->view, inode, COPY_UP_DATA) : -ESTALE;
    return r < 0 ? r : find_side(n, side);
}

static int check(const struct renaming *n)
{
    bool has_new = n->new.object.n_members > 0;
    if (n->old.object.n_members == 0 || (n->exchange && !has_new))
        return -ENOENT;
    if (has_new && n->no_replace)
        return -EEXIST;
    if (layers_is_mount_point(&n->old.object) || (has_new && layers_is_mount_point(&n->new.object)))
        return -EBUSY;
    if (!has_new || n->exchange)
        return 0;
    if (is_dir(&n->old) != is_dir(&n->new))
        return is_dir(&n->old) ? -ENOTDIR : -EISDIR;
    return is_dir(&n->new) ? layers_check_empty(&n->new.object) : 0;
}

/* Readies a directory that comes to another name. */
static int prepare_dir(struct renaming *n, const struct side *from, const struct side *to)
{
    if (!is_dir(from))
        return 0;
    int fd = from->object.members[0].fd;
    if (is_merged_dir(from)) {
        if (!n->layers->may_redirect)
            return -EXDEV;
        return redirect_write(n->layers, fd, from->name, from->dir.inode == to->dir.inode);
    }
    int covers = marks_is_needed(n->layers, &to->dir, to->name);
    return covers <= 0 ? covers : marks_set_opaque(n->layers, fd);
}

/* The inode of what is replaced has no name any more. */
static void detach_replaced(struct renaming *n)
{
    uint64_t nodeid = n->new.key.n_bytes ? inode_table_find(n->view->inodes, &n->new.key) : 0;
    if (nodeid && n->new.object.members[0].layer != 0)
        places_detach(n->layers->places, nodeid);
    if (n->new.object.n_members == 0 || n->new.object.members[0].layer != 0)
        return;
    int fd = n->new.object.members[0].fd;
    if (n->new.object.is_indexed)
        index_count_less(n->layers, fd);
    if (n->new.object.stx.stx_nlink > 1)
        index_tidy(n->layers, fd);
}

/* After a directory changed places with what was at its new name: that goes, or becomes the whiteout. */
static int settle_old_name(struct renaming *n)
{
    int dir_fd = layers_upper_fd(&n->old.dir);
    if (!marks_is_whiteout(dir_fd, n->old.name))
        return marks_take_dir(n->layers, dir_fd, n->old.name, n->hide_old);
    if (n->hide_old)
        return n->layers->aufs ? marks_hide(n->layers, dir_fd, n->old.name, false) : 0;
    return unlinkat(dir_fd, n->old.name, 0) < 0 ? -errno : 0;
}

static bool exists(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The rename in the upper. */
static int rename_in_upper(struct renaming *n)
{
    int old_fd = layers_upper_fd(&n->old.dir), new_fd = layers_upper_fd(&n->new.dir);
    bool aufs = n->layers->aufs;
    if (n->exchange)
        return renameat2(old_fd, n->old.name, new_fd, n->new.name, RENAME_EXCHANGE) < 0 ? -errno : 0;
    if (is_dir(&n->old) && exists(new_fd, n->new.name)) {
        /* Empty but for marks: should the machine stop now, nothing of the layers below shows in it at the old name. */
        int r = is_dir(&n->new) ? marks_set_opaque(n->layers, n->new.object.members[0].fd) : 0;
        if (r < 0)
            return r;
        if (renameat2(old_fd, n->old.name, new_fd, n->new.name, RENAME_EXCHANGE) < 0)
            return -errno;
        FAULT_POINT("layers-settle-old-name");
        return settle_old_name(n);
    }
    int r = n->hide_old && aufs ? marks_hide(n->layers, old_fd, n->old.name, false) : 0;
    if (r < 0)
        return r;
    unsigned flags = n->hide_old && !aufs ? RENAME_WHITEOUT : 0;
    return renameat2(old_fd, n->old.name, new_fd, n->new.name, flags) < 0 ? -errno : 0;
}

static int rename_once(void *data)
{
    struct renaming *n = data;
    int r = prepare_dir(n, &n->old, &n->new);
    if (r == 0 && n->exchange)
        r = prepare_dir(n, &n->new, &n->old);
    if (r == 0)
        r = marks_set_impure(n->layers, n->new.dir.inode, layers_upper_fd(&n->new.dir));
    if (r == 0 && n->exchange)
        r = marks_set_impure(n->layers, n->old.dir.inode, layers_upper_fd(&n->old.dir));
    if (r < 0)
        return r;
    FAULT_POINT("layers-rename");
    r = rename_in_upper(n);
    if (r == 0 && !n->exchange)
        detach_replaced(n);
    /* An AUFS mark at the new name would cut the directory off from its lower part. */
    if (r == 0 && is_merged_dir(&n->old))
        marks_unhide(n->layers, layers_upper_fd(&n->new.dir), n->new.name);
    if (r == 0 && n->exchange && is_merged_dir(&n->new))
        marks_unhide(n->layers, layers_upper_fd(&n->old.dir), n->old.name);
    return r;
}

static bool same(const struct inode_key *a, const struct inode_key *b)
{
    return a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

/*
 * What follows the exchange when a directory comes to a name that is taken (rename_in_upper()), after a death between
 * the two: the kernel still holds both names.
 */
static void complete(struct renaming *n)
{
    if (!is_dir(&n->new))
        return;
    n->hide_old = marks_is_needed(n->layers, &n->old.dir, n->old.name) > 0;
    if (exists(layers_upper_fd(&n->old.dir), n->old.name))
        settle_old_name(n);
    marks_unhide(n->layers, layers_upper_fd(&n->new.dir), n->new.name);
}

/*
 * Whether who was at the old name is at the new one now, and, in an exchange, the other way round. If so, the rename is
 * brought to its end.
 */
static bool has_happened(void *data, const struct inode_key *subject, const struct inode_key *object)
{
    struct renaming *n = data;
    if (!same(&n->new.key, subject) || same(subject, object))
        return false;
    if (n->exchange)
        return same(&n->old.key, object);
    if (same(&n->old.key, subject))
        return false;
    complete(n);
    return true;
}

/* Everything that can be done twice: finds both sides, checks, and brings into the upper what must be there. */
static int prepare(struct renaming *n)
{
    int r = find_side(n, &n->old);
    if (r == 0)
        r = find_side(n, &n->new);
    if (r == 0)
        r = check(n);
    if (r == 0)
        r = layers_copy_up_dir(n->view, &n->old.dir);
    if (r == 0)
        r = layers_copy_up_dir(n->view, &n->new.dir);
    if (r == 0)
        r = copy_up_side(n, &n->old);
    if (r == 0 && n->new.object.n_members > 0 && (n->exchange || index_covers(n->layers, &n->new.object.stx)))
        r = copy_up_side(n, &n->new); /* the links of what is replaced are counted with its copy */
    if (r < 0 || n->exchange)
        return r;
    r = marks_is_needed(n->layers, &n->old.dir, n->old.name);
    n->hide_old = r > 0;
    return r < 0 ? r : 0;
}

static int rename_between(struct renaming *n)
{
    int r = prepare(n);
    /* Sent again after it was done: the old name is gone, and the journal knows. */
    if (r < 0 && !request_replayed())
        return r;
    if (r == 0 && !n->exchange && same(&n->old.key, &n->new.key))
        return 0; /* two links of one file */
    return journal_run_rename(rename_once, n, &n->old.key, &n->new.key, has_happened);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned int flags)
{
    struct view *view = view_of_request(req);
    struct renaming n = {
        .view = view,
        .layers = layers_of(view),
        .old = {.name = name},
        .new = {.name = new_name},
        .exchange = flags &RENAME_EXCHANGE,
        .no_replace = flags &RENAME_NOREPLACE,
    };
    int r = flags & ~(unsigned)(RENAME_EXCHANGE | RENAME_NOREPLACE) ? -EINVAL : 0;
    if (r == 0 && whiteout_is_mark(new_name))
        r = -EPERM;
    if (r == 0)
        r = layers_dir_get(view, parent, &n.old.dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = layers_dir_get(view, new_parent, &n.new.dir);
    if (r == 0) {
        r = rename_between(&n);
        layer_object_clear(&n.old.object);
        layer_object_clear(&n.new.object);
        layers_dir_put(view, &n.new.dir);
    }
    layers_dir_put(view, &n.old.dir);
    view_reply_error(req, r);
}

void layers_ops_rename(struct fuse_lowlevel_ops *ops)
{
    ops->rename = op_rename;
}
