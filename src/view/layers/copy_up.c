/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-up: an object of a lower layer becomes one of the upper, with everything about it the same, before it is
 * changed (behaviour D5).
 *
 *  - The copy is made whole in the work directory and renamed into place, so a crash leaves the old or the new.
 *  - The directories above it come first, each in the same way.
 *  - One copy-up of an inode at a time: `copy_ups` holds the inodes that are in work, and no lock is held while data
 *    is copied, so a big file holds up nobody who doesn't want that very file.
 *  - The inode keeps its nodeid and its number. Its key and its descriptor change between two steps of
 *    layers->switches, in which the rename happens too (layers.h).
 *
 * Files that were opened for reading before are open on the same inode, which is the copy from now on. Where the kernel
 * passes their data through, they go on reading the lower object: FUSE binds an open file to its backing file for good,
 * and takes no other on the same inode meanwhile. Such an inode is split off at the next open
 * (layers_split_if_bound()), and the kernel is made to look the name up again.
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
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct copy_ups {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    GHashTable *held; /* nodeids: an allocated copy of each is its own key */
};

struct copy_ups *copy_ups_new(void)
{
    struct copy_ups *copy_ups = g_new0(struct copy_ups, 1);
    pthread_mutex_init(&copy_ups->lock, NULL);
    pthread_cond_init(&copy_ups->ended, NULL);
    copy_ups->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    return copy_ups;
}

void copy_ups_free(struct copy_ups *copy_ups)
{
    if (!copy_ups)
        return;
    g_hash_table_unref(copy_ups->held);
    pthread_cond_destroy(&copy_ups->ended);
    pthread_mutex_destroy(&copy_ups->lock);
    g_free(copy_ups);
}

void layers_hold(struct layers *layers, uint64_t nodeid)
{
    struct copy_ups *copy_ups = layers->copy_ups;
    pthread_mutex_lock(&copy_ups->lock);
    while (g_hash_table_contains(copy_ups->held, &nodeid))
        pthread_cond_wait(&copy_ups->ended, &copy_ups->lock);
    g_hash_table_add(copy_ups->held, g_memdup2(&nodeid, sizeof(nodeid)));
    pthread_mutex_unlock(&copy_ups->lock);
}

void layers_release(struct layers *layers, uint64_t nodeid)
{
    struct copy_ups *copy_ups = layers->copy_ups;
    pthread_mutex_lock(&copy_ups->lock);
    g_hash_table_remove(copy_ups->held, &nodeid);
    pthread_cond_broadcast(&copy_ups->ended);
    pthread_mutex_unlock(&copy_ups->lock);
}

/* One copy-up under way. */
struct copy_up {
    struct view *view;
    struct layers *layers;
    struct inode *inode;
    enum copy_up_extent extent;
    struct layers_dir *parent; /* NULL: the inode has no name any more */
    const char *name;
    unsigned from_layer;
    int from_fd; /* O_PATH */
    struct statx stx;
    struct stat st;
    char temporary[LAYERS_TEMPORARY_SIZE];
    int fd;        /* the copy */
    bool to_index; /* it has more links */
    bool is_metacopy;
};

/*
 * The data that copy_object() has left out: that of a file whose metadata alone is below, or those of a big file,
 * unless they may stay there. As in copy_object(), they are on the disk before the name of the copy is.
 */
static int add_data(struct copy_up *c, int readable, int data_fd)
{
    int r = data_fd >= 0 ? metacopy_copy_data(data_fd, c->fd, &c->st)
                         : metacopy_make(c->layers, c->fd, readable, &c->st, &c->is_metacopy);
    if (r == 0 && !c->is_metacopy && c->layers->sync && fsync(c->fd) < 0)
        r = -errno;
    return r;
}

/* Makes the copy in the work directory. */
static int make_copy(struct copy_up *c)
{
    bool is_file = S_ISREG(c->st.st_mode);
    bool has_data_below = atomic_load(&c->inode->flags) & LAYERS_FLAG_METACOPY;
    auto_fd int readable = is_file ? inode_fd_reopen(c->from_fd, O_RDONLY | O_NONBLOCK) : -1;
    auto_fd int data_fd = has_data_below ? metacopy_open_data(c->view, c->inode) : -1;
    if ((is_file && readable < 0) || (has_data_below && data_fd < 0))
        return readable < 0 ? readable : data_fd;
    bool leave_data = c->extent == COPY_UP_META && !has_data_below && metacopy_suits(c->layers, &c->stx);
    struct copy_job job = {
        .from_fd = is_file ? readable : c->from_fd,
        .st = &c->st,
        .flags = c->layers->sync ? COPY_SYNC : 0,
    };
    if (is_file && c->extent == COPY_UP_EMPTY)
        c->st.st_size = 0;
    if (is_file && (c->extent == COPY_UP_EMPTY || leave_data || has_data_below))
        job.flags = COPY_NO_DATA;
    int r;
    creds_set_fsetid(true);
    do {
        marks_temporary_name(c->layers, c->temporary);
        r = copy_object(&job, c->layers->work_fd, c->temporary, &c->fd);
    } while (r == -EEXIST);
    if (r == 0 && (leave_data || has_data_below) && c->extent != COPY_UP_EMPTY)
        r = add_data(c, readable, data_fd);
    creds_set_fsetid(false);
    if (r < 0) {
        marks_discard(c->layers, c->temporary);
        return r;
    }
    /* A copy of one of several links, when they are broken up, is another object: it has no origin. */
    c->to_index = r == 0 && index_covers(c->layers, &c->stx);
    if (r == 0 && (S_ISDIR(c->st.st_mode) || c->st.st_nlink < 2 || c->to_index) &&
        origin_write(c->layers, c->fd, c->from_layer, c->from_fd) < 0)
        c->to_index = false;
    return r;
}

static void switches_begin(struct layers *layers)
{
    pthread_mutex_lock(&layers->switch_lock);
    atomic_fetch_add(&layers->switches, 1);
}

static void switches_end(struct layers *layers)
{
    atomic_fetch_add(&layers->switches, 1);
    pthread_mutex_unlock(&layers->switch_lock);
}

/* Into the index first, then a link of it to its name: a crash between leaves a name below that leads to the index. */
static int place_by_index(struct copy_up *c, int parent_fd)
{
    int r = index_add(c->layers, c->from_layer, c->from_fd, c->temporary, c->fd);
    FAULT_POINT("layers-index-link");
    if (r == 0)
        r = inode_fd_link(c->fd, parent_fd, c->name);
    FAULT_POINT("layers-index-count");
    return r < 0 ? r : index_set_n_links(c->layers, c->fd, c->stx.stx_nlink);
}

/* Puts the copy in its place, or nowhere if the inode has no name. The directory keeps its times. */
static int place_copy(struct copy_up *c)
{
    struct statx parent_stx;
    struct stat parent_st;
    if (!c->parent)
        return unlinkat(c->layers->work_fd, c->temporary, S_ISDIR(c->st.st_mode) ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
    int parent_fd = layers_upper_fd(c->parent);
    int r = inode_fd_statx(parent_fd, &parent_stx);
    if (r < 0)
        return r;
    FAULT_POINT("layers-place-copy");
    if (c->to_index)
        r = place_by_index(c, parent_fd);
    else if (renameat2(c->layers->work_fd, c->temporary, parent_fd, c->name, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r < 0)
        return r == -EEXIST ? -ESTALE : r;
    statx_to_stat(&parent_stx, &parent_st);
    copy_times(parent_fd, &parent_st);
    return 0;
}

/* The directory has one member more. */
static int push_member(struct copy_up *c)
{
    struct layers_dir dir;
    struct layer_object object = {0};
    int r = layers_dir_get(c->view, c->inode->nodeid, &dir);
    if (r < 0)
        return r;
    r = layer_object_copy(&dir.merged->object, &object);
    layers_dir_put(c->view, &dir);
    int fd = r < 0 ? -1 : inode_fd_reopen(c->fd, O_PATH | O_DIRECTORY);
    if (r == 0)
        r = fd < 0 ? fd : layer_object_push(&object, 0, fd);
    if (r == 0)
        members_put(c->layers->members, members_set(c->layers->members, c->inode->nodeid, &object));
    layer_object_clear(&object);
    return r;
}

/*
 * Files that are open for passthrough keep the lower object as their backing file. The kernel takes no other on the
 * same inode, so the next open splits the inode off.
 */
static void note_bound(struct copy_up *c)
{
    inode_table_lock(c->view->inodes, c->inode);
    if (c->inode->n_opens > 0 && atomic_load(&c->inode->flags) & INODE_FLAG_PASSTHROUGH)
        atomic_fetch_or(&c->inode->flags, LAYERS_FLAG_BOUND);
    inode_table_unlock(c->view->inodes, c->inode);
}

/* From here on the inode is the copy. */
static int switch_inode(struct copy_up *c)
{
    struct statx stx;
    struct inode_key key;
    enum inode_keep keep;
    uint64_t ino = c->stx.stx_nlink > 1 && !c->to_index && !S_ISDIR(c->st.st_mode)
                       ? 0
                       : layers_ino(c->layers, c->from_layer, c->stx.stx_ino);
    auto_fd int fd = inode_fd_reopen(c->fd, O_PATH);
    int r = fd < 0 ? fd : inode_fd_statx(fd, &stx);
    if (r == 0)
        r = layers_key_of_fd(c->view, 0, fd, &stx, &key, &keep);
    if (r == 0 && S_ISDIR(c->st.st_mode))
        r = push_member(c);
    if (r < 0)
        return r;
    places_set(c->layers->places, c->inode->nodeid, c->parent ? c->parent->inode->nodeid : 0, c->parent ? c->name : "",
               ino);
    inode_table_move(c->view->inodes, c->inode, &key, &fd, c->parent ? keep : INODE_KEEP_PINNED);
    uint16_t flags = LAYERS_FLAG_UPPER | (S_ISDIR(c->st.st_mode) ? LAYERS_FLAG_MERGED : 0) |
                     (c->to_index ? LAYERS_FLAG_INDEXED : 0) | (c->is_metacopy ? LAYERS_FLAG_METACOPY : 0);
    if (!c->is_metacopy)
        atomic_fetch_and(&c->inode->flags, (uint16_t)~LAYERS_FLAG_METACOPY);
    atomic_fetch_or_explicit(&c->inode->flags, flags, memory_order_release);
    data_files_drop(c->view->data_files, c->inode);
    note_bound(c);
    return 0;
}

/* Copies the inode; its parent directory is in the upper. With the inode held. */
static int run(struct copy_up *c)
{
    int from_fd = inode_table_get_fd(c->view->inodes, c->inode);
    if (from_fd < 0)
        return from_fd;
    c->from_fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 3);
    int r = c->from_fd < 0 ? -errno : 0;
    inode_table_put_fd(c->view->inodes, c->inode);
    if (r == 0)
        r = inode_fd_statx(c->from_fd, &c->stx);
    if (r < 0)
        return r;
    c->from_layer = layers_layer_of(c->view, c->inode);
    layers_unmap_ids(c->view, c->from_layer, &c->stx);
    statx_to_stat(&c->stx, &c->st);
    r = make_copy(c);
    if (r < 0)
        return r;
    if (c->parent)
        r = marks_set_impure(c->layers, c->parent->inode, layers_upper_fd(c->parent));
    switches_begin(c->layers);
    if (r == 0)
        r = place_copy(c);
    if (r == 0)
        r = switch_inode(c);
    else
        marks_discard(c->layers, c->temporary);
    switches_end(c->layers);
    return r;
}

static int copy_up_held(struct view *view, struct inode *inode, struct layers_dir *parent, const char *name,
                        enum copy_up_extent extent)
{
    struct copy_up c = {
        .view = view,
        .layers = layers_of(view),
        .inode = inode,
        .extent = extent,
        .parent = parent,
        .name = name,
        .from_fd = -1,
        .fd = -1,
    };
    int r = run(&c);
    fd_close(c.from_fd);
    fd_close(c.fd);
    return r;
}

/* With the parent in use and in the upper: copies unless somebody else has meanwhile, or has taken the name away. */
static int copy_up_in(struct view *view, struct inode *inode, struct layers_dir *parent, const struct place *place,
                      enum copy_up_extent extent)
{
    struct layers *layers = layers_of(view);
    struct place now = {0};
    int r = 0;
    layers_hold(layers, inode->nodeid);
    if (!layers_is_upper(inode)) {
        r = places_get(layers->places, inode->nodeid, &now);
        if (r == 0 && (now.parent != place->parent || strcmp(now.name, place->name) != 0))
            r = -ESTALE;
        if (r == 0)
            r = copy_up_held(view, inode, parent, place->name, extent);
        g_free(now.name);
    }
    layers_release(layers, inode->nodeid);
    return r;
}

/* Brings the data up that an earlier copy-up left below. */
static int complete(struct view *view, struct inode *inode)
{
    struct layers *layers = layers_of(view);
    int r = 0;
    if (!(atomic_load(&inode->flags) & LAYERS_FLAG_METACOPY))
        return 0;
    layers_hold(layers, inode->nodeid);
    if (atomic_load(&inode->flags) & LAYERS_FLAG_METACOPY)
        r = metacopy_complete(view, inode);
    layers_release(layers, inode->nodeid);
    return r;
}

int layers_copy_up(struct view *view, struct inode *inode, enum copy_up_extent extent)
{
    struct layers *layers = layers_of(view);
    struct layers_dir parent;
    struct place place = {0};
    if (layers_is_upper(inode))
        return extent == COPY_UP_META ? 0 : complete(view, inode);
    if (!layers->set->has_upper)
        return -EROFS;
    int r = places_get(layers->places, inode->nodeid, &place);
    if (r < 0)
        return -ESTALE;
    if (place.parent == 0) {
        r = copy_up_in(view, inode, NULL, &place, extent);
    } else {
        r = layers_dir_get(view, place.parent, &parent);
        if (r == 0) {
            r = layers_copy_up_dir(view, &parent);
            if (r == 0)
                r = copy_up_in(view, inode, &parent, &place, extent);
            layers_dir_put(view, &parent);
        }
    }
    g_free(place.name);
    return r;
}

/* A key that no object on disk has: the inode goes on under its descriptor alone. */
static void private_key(const struct inode *inode, struct inode_key *ret_key)
{
    *ret_key = (struct inode_key){.n_bytes = 1 + sizeof(inode->nodeid) + sizeof(uint16_t), .bytes = {'S'}};
    memcpy(ret_key->bytes + 1, &inode->nodeid, sizeof(inode->nodeid));
}

static int split(struct view *view, struct inode *inode)
{
    struct inode_key key;
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    auto_fd int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    inode_table_put_fd(view->inodes, inode);
    if (own < 0)
        return -errno;
    private_key(inode, &key);
    inode_table_move(view->inodes, inode, &key, &own, INODE_KEEP_PINNED);
    return -ESTALE;
}

int layers_split_if_bound(struct view *view, struct inode *inode)
{
    struct layers *layers = layers_of(view);
    if (!(atomic_load(&inode->flags) & LAYERS_FLAG_BOUND))
        return 0;
    layers_hold(layers, inode->nodeid);
    inode_table_lock(view->inodes, inode);
    bool is_open = inode->n_opens > 0;
    if (!is_open)
        atomic_fetch_and(&inode->flags, (uint16_t)~LAYERS_FLAG_BOUND);
    inode_table_unlock(view->inodes, inode);
    int r = is_open ? split(view, inode) : 0;
    layers_release(layers, inode->nodeid);
    return r;
}

int layers_copy_up_dir(struct view *view, struct layers_dir *dir)
{
    struct layers *layers = layers_of(view);
    if (dir->merged->object.members[0].layer == 0 && layers->set->has_upper)
        return 0;
    int r = layers_copy_up(view, dir->inode, COPY_UP_DATA);
    if (r < 0)
        return r;
    struct layers_dir renewed;
    r = layers_dir_get(view, dir->inode->nodeid, &renewed);
    if (r < 0)
        return r;
    layers_dir_put(view, dir);
    *dir = renewed;
    return 0;
}
