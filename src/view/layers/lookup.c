/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* How often a lookup tries again beside copy-ups before it makes them wait. */
#define N_TRIES 8

/* After so many questions to its layers a directory is read instead. */
#define N_ASKED_MAX 16

/* Finds the members of a directory again that fell out of the cache, or that a dead worker knew. */
static int rebuild(struct view *view, struct inode *inode, struct merged **ret_merged)
{
    struct layers *layers = layers_of(view);
    struct layer_object object = {0};
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int r = own_fd < 0 ? -errno : 0;
    inode_table_put_fd(view->inodes, inode);
    if (r == 0)
        r = layer_object_from_member(layers->set, layers_layer_of(view, inode), own_fd, &object);
    /* A removed directory that is still somebody's working directory: it is empty, and can't be filled. */
    if (r == -ESTALE && own_fd >= 0)
        r = -ENOENT;
    if (r == 0)
        *ret_merged = members_set(layers->members, inode->nodeid, &object);
    return r;
}

int layers_dir_get(struct view *view, fuse_ino_t ino, struct layers_dir *ret_dir)
{
    struct inode *inode = inode_table_get(view->inodes, ino);
    if (!inode)
        return -ESTALE;
    if (inode->type != DT_DIR)
        return -ENOTDIR;
    struct merged *merged = members_get(layers_of(view)->members, inode->nodeid);
    int r = merged ? 0 : rebuild(view, inode, &merged);
    if (r == 0)
        *ret_dir = (struct layers_dir){.inode = inode, .merged = merged};
    return r;
}

void layers_dir_put(struct view *view, struct layers_dir *dir)
{
    members_put(layers_of(view)->members, dir->merged);
}

/* Puts the copy that the index has in the place of a lower object. */
static int follow_index(const struct layers *layers, struct layer_object *object)
{
    const struct layer_member *top = &object->members[0];
    if (top->layer == 0 || !index_covers(layers, &object->stx))
        return 0;
    auto_fd int fd = index_open(layers, top->layer, top->fd);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    struct layer_object copy = {0};
    int r = layer_object_push(&copy, 0, fd_steal(&fd));
    if (r < 0) {
        layer_object_clear(&copy);
        return r;
    }
    copy.is_indexed = true;
    layer_object_clear(object);
    *object = copy;
    return 0;
}

struct layer_names *layers_names_new(const struct layers *layers)
{
    return layers->is_fixed ? layer_names_new(layers->set->has_upper ? 1 : 0, layers->aufs) : NULL;
}

/* The names of a directory in which names are looked up again and again. NULL: ask each layer. */
static const struct layer_names *names_of(const struct layers *layers, struct merged *merged)
{
    const struct layer_names *known = merged_names(merged);
    unsigned n_members = merged->object.n_members;
    if (known || n_members < 2 || !layers->is_fixed ||
        atomic_fetch_add_explicit(&merged->n_asked, n_members, memory_order_relaxed) < N_ASKED_MAX)
        return known;
    atomic_store_explicit(&merged->n_asked, 0, memory_order_relaxed);
    struct layer_names *names = layers_names_new(layers);
    g_autoptr(layer_listing) listing = NULL;
    if (layer_object_list(&merged->object, names, &listing) < 0) {
        layer_names_free(names);
        return NULL;
    }
    merged_set_names(merged, names);
    return merged_names(merged);
}

int layers_find(struct view *view, const struct layers_dir *dir, const char *name, struct layer_object *ret_object)
{
    const struct layers *layers = layers_of(view);
    g_auto(layer_object) object = {0};
    int r = layer_object_lookup(layers->set, &dir->merged->object, names_of(layers, dir->merged), name, &object);
    if (r == 0)
        r = follow_index(layers, &object);
    if (r < 0)
        return r;
    *ret_object = object;
    object = (struct layer_object){0};
    return 0;
}

int layers_check_empty(const struct layer_object *object)
{
    g_autoptr(layer_listing) listing = NULL;
    size_t n_entries;
    int r = layer_object_list(object, NULL, &listing);
    if (r < 0)
        return r;
    layer_listing_entries(listing, &n_entries);
    return n_entries == 0 ? 0 : -ENOTEMPTY;
}

uint64_t layers_number_from_below(const struct layers *layers, const struct layer_object *object)
{
    struct statx stx;
    uint64_t ino;
    if (S_ISDIR(object->st.st_mode) && object->n_members > 1) {
        const struct layer_member *below = &object->members[1];
        return inode_fd_statx(below->fd, &stx) == 0 ? layers_ino(layers, below->layer, stx.stx_ino) : 0;
    }
    return !object->no_origin && origin_read_ino(layers, object->members[0].fd, &ino) == 0 ? ino : 0;
}

static uint16_t flags_of(const struct layers *layers, const struct layer_object *object)
{
    uint16_t flags = 0;
    if (layers->set->has_upper && object->members[0].layer == 0)
        flags |= LAYERS_FLAG_UPPER;
    if (object->is_indexed || (flags && index_covers(layers, &object->stx)))
        flags |= LAYERS_FLAG_INDEXED;
    if (object->is_metacopy)
        flags |= LAYERS_FLAG_METACOPY;
    if (S_ISDIR(object->st.st_mode) && object->n_members > 1)
        flags |= LAYERS_FLAG_MERGED;
    return flags;
}

/* Keeps beside the record what can't be read off it. */
static void remember(struct view *view, const struct layers_dir *dir, const char *name, struct inode *inode,
                     struct layer_object *object, uint64_t ino)
{
    struct layers *layers = layers_of(view);
    if (ino != 0 || object->is_metacopy || (layers->set->has_upper && !layers_is_upper(inode)))
        places_set(layers->places, inode->nodeid, dir->inode->nodeid, name, ino);
    if (inode->type == DT_DIR) {
        struct merged *known = members_get(layers->members, inode->nodeid);
        members_put(layers->members, known ? known : members_set(layers->members, inode->nodeid, object));
    }
}

/* The key and the descriptor of an object's topmost member. The members of a directory are kept, a file's is not. */
static int take_top(struct view *view, struct layer_object *object, struct inode_key *ret_key, int *ret_fd,
                    enum inode_keep *ret_keep)
{
    struct layer_member *top = &object->members[0];
    *ret_fd = S_ISDIR(object->st.st_mode) ? fcntl(top->fd, F_DUPFD_CLOEXEC, 3) : fd_steal(&top->fd);
    return *ret_fd < 0 ? -errno : layers_key_of_fd(view, top->layer, *ret_fd, &object->stx, ret_key, ret_keep);
}

int layers_make_entry(struct view *view, const struct layers_dir *dir, const char *name, struct layer_object *object,
                      const struct inode_key *known_key, struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    struct layers *layers = layers_of(view);
    struct statx stx = object->stx;
    struct inode_key key;
    enum inode_keep keep = INODE_KEEP_NO_FD;
    auto_fd int fd = -1;
    uint16_t flags = flags_of(layers, object);
    uint64_t ino = flags & LAYERS_FLAG_UPPER ? layers_number_from_below(layers, object) : 0;
    int r = known_key ? 0 : take_top(view, object, &key, &fd, &keep);
    if (r == 0)
        r = view_intern(view, known_key ? known_key : &key, IFTODT(stx.stx_mode), &fd, keep, ret_inode);
    if (r < 0)
        return r;
    atomic_fetch_or(&(*ret_inode)->flags, flags);
    remember(view, dir, name, *ret_inode, object, ino);
    *ret_entry = (struct fuse_entry_param){.ino = (*ret_inode)->nodeid};
    view_attributes(view, *ret_inode, &stx, &ret_entry->attr);
    ret_entry->attr_timeout = view_attr_timeout(view, *ret_inode, &ret_entry->attr);
    ret_entry->entry_timeout = view_entry_timeout(view, dir->inode);
    return 0;
}

static int lookup_once(struct view *view, const struct layers_dir *dir, const char *name,
                       struct fuse_entry_param *ret_entry, struct inode **ret_inode)
{
    g_auto(layer_object) object = {0};
    int r = layers_find(view, dir, name, &object);
    return r < 0 ? r : layers_make_entry(view, dir, name, &object, NULL, ret_entry, ret_inode);
}

int layers_lookup(struct view *view, const struct layers_dir *dir, const char *name, struct fuse_entry_param *ret_entry,
                  struct inode **ret_inode)
{
    struct layers *layers = layers_of(view);
    for (int i = 0; i < N_TRIES; i++) {
        uint64_t before = atomic_load(&layers->switches);
        if (before % 2 != 0)
            continue;
        int r = lookup_once(view, dir, name, ret_entry, ret_inode);
        if (r < 0 || atomic_load(&layers->switches) == before)
            return r;
        inode_table_forget(view->inodes, ret_entry->ino, 1);
    }
    pthread_mutex_lock(&layers->switch_lock);
    int r = lookup_once(view, dir, name, ret_entry, ret_inode);
    pthread_mutex_unlock(&layers->switch_lock);
    return r;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct view *view = view_of_request(req);
    struct fuse_entry_param entry;
    struct layers_dir dir;
    struct inode *inode;
    int r = layers_dir_get(view, parent, &dir);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = layers_lookup(view, &dir, name, &entry, &inode);
    view_reply_lookup(req, dir.inode, r, &entry);
    layers_dir_put(view, &dir);
}

void layers_ops_lookup(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
}
