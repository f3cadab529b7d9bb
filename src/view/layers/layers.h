/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "layer/layer_object.h"
#include "sys/fs_uuid.h"
#include "view/common/view.h"
#include "view/layers/members.h"
#include "view/layers/places.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * What the parts of the layered view share.
 *
 * An inode's key names its topmost member: the common key of that object and the number of its layer. So copy-up is a
 * change of key, from a lower layer's object to the upper's, and everything about an inode can be found again from its
 * record alone, but for the name that a lower object has in the view: that one is kept in `places`.
 */
enum {
    LAYERS_FLAG_UPPER = INODE_FLAG_USER_1,         /* the topmost member is in the upper: it can be written */
    LAYERS_FLAG_METACOPY = INODE_FLAG_USER_1 << 1, /* its data is below */
    LAYERS_FLAG_MERGED = INODE_FLAG_USER_1 << 2,   /* a directory of several members */
    LAYERS_FLAG_INDEXED = INODE_FLAG_USER_1 << 5,  /* the index has it: its links are counted in an xattr */
    LAYERS_FLAG_BOUND = INODE_FLAG_USER_1 << 4,    /* files are open on the lower object that it was copied from */
    LAYERS_FLAG_IMPURE = INODE_FLAG_USER_1 << 3,   /* a directory that is marked as holding copied-up entries */
};

struct layer_uuid {
    bool is_usable;
    uint8_t bytes[FS_UUID_BYTES];
};

struct layers {
    struct layer_set *set;
    bool *is_id_mapped;       /* of each layer: its mount shows the view's ids already, not the disk's */
    struct layer_uuid *uuids; /* of the file system of each layer */
    int index_fd;             /* copies of objects with several links; -1: links are broken up */
    int work_fd; /* directory for what is made before it is renamed into place, on the upper's mount; -1 without upper
                  */
    bool aufs;   /* whiteouts are written in the AUFS form */
    bool may_redirect;
    bool metacopy; /* the data of big files may stay below */
    bool sync;     /* copied data is on the disk before its name is */
    bool is_fixed; /* lower layers do not change: what was read of them holds */
    struct members *members;
    struct places *places;
    struct listings *listings;
    struct copy_ups *copy_ups;
    _Atomic uint32_t n_temporaries;

    /*
     * Between the rename that puts a copied-up object into place and the change of its inode's key, a lookup would make
     * a second inode of it. `switches` is odd meanwhile; a lookup that saw it change undoes itself and tries again.
     */
    _Atomic uint64_t switches;
    pthread_mutex_t switch_lock;
};

static inline struct layers *layers_of(const struct view *view)
{
    return view->hook_data;
}

/*
 * Something is mounted there in the upper: it stays. The kernel spares the mount points of the caller's own mount
 * namespace alone, and would take those of the host's away with what they are on.
 */
static inline bool layers_is_mount_point(const struct layer_object *object)
{
    return object->members[0].layer == 0 && object->stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static inline bool layers_is_upper(const struct inode *inode)
{
    return atomic_load_explicit(&inode->flags, memory_order_acquire) & LAYERS_FLAG_UPPER;
}

/* keys.c: keys of inodes, and inode numbers. */

int layers_key_of_fd(struct view *view, unsigned layer, int fd, const struct statx *stx, struct inode_key *ret_key,
                     enum inode_keep *ret_keep);

/* The same of a name in a directory of a layer, and its attributes; false where that needs a descriptor. */
bool layers_key_of_name(struct view *view, unsigned layer, int dir_fd, const char *name, struct statx *ret_stx,
                        struct inode_key *ret_key);

/* The layer of an inode's topmost member. */
unsigned layers_layer_of(const struct view *view, const struct inode *inode);

/* Turns the ids of an object of a layer whose mount maps them into those that are on disk. */
void layers_unmap_ids(const struct view *view, unsigned layer, struct statx *stx);

/* The number that the view shows for inode number ino on the file system of a layer: unique over the layers. */
uint64_t layers_ino(const struct layers *layers, unsigned layer, uint64_t ino);

/* origin.c: the overlay.origin xattr, which says what an upper object was copied from. */

#define ORIGIN_NAME_SIZE 256

/* Marks the upper object behind fd as copied from lower_fd of that layer. -EOPNOTSUPP where there are no origins. */
int origin_write(const struct layers *layers, int fd, unsigned lower_layer, int lower_fd);

/* The name under which the index has the copy of an object of a lower layer, and of what a copy was made from. */
int origin_name(const struct layers *layers, unsigned lower_layer, int lower_fd, char ret_name[ORIGIN_NAME_SIZE]);
int origin_name_of_copy(const struct layers *layers, int fd, char ret_name[ORIGIN_NAME_SIZE]);

/* Opens (O_PATH) the lower object that fd was copied up from; ret_layer may be NULL. -ENODATA if there is none to be
 * found. */
int origin_open(const struct layers *layers, int fd, unsigned *ret_layer);

/* The number of the object that fd was copied up from, as the view shows it: -ENODATA if there is none to be found. */
int origin_read_ino(const struct layers *layers, int fd, uint64_t *ret_ino);

/* lookup.c */

/* A directory in use: its inode, and what it is made of, held until layers_dir_put(). */
struct layers_dir {
    struct inode *inode;
    struct merged *merged;
};

int layers_dir_get(struct view *view, fuse_ino_t ino, struct layers_dir *ret_dir);
void layers_dir_put(struct view *view, struct layers_dir *dir);

/* An empty collection for the names of a directory, NULL where they would not hold: for merged_set_names(). */
struct layer_names *layers_names_new(const struct layers *layers);

/* Looks name up; as layer_object_lookup(), with the hard links of the index followed. */
int layers_find(struct view *view, const struct layers_dir *dir, const char *name, struct layer_object *ret_object);

/* Whether a merged directory shows nothing: 0, or -ENOTEMPTY. */
int layers_check_empty(const struct layer_object *object);

/* The number of an object whose topmost member is the upper's: that of what it was copied from. 0: its own. */
uint64_t layers_number_from_below(const struct layers *layers, const struct layer_object *object);

/*
 * Makes an object known to the kernel as name in dir, counting a lookup, and the answer that says so. Descriptors of
 * the object may be taken over, or all of it. Its topmost member may have a key instead of a descriptor.
 */
int layers_make_entry(struct view *view, const struct layers_dir *dir, const char *name, struct layer_object *object,
                      const struct inode_key *known_key, struct fuse_entry_param *ret_entry, struct inode **ret_inode);

/* find and make_entry in one, right also while the object is copied up. */
int layers_lookup(struct view *view, const struct layers_dir *dir, const char *name, struct fuse_entry_param *ret_entry,
                  struct inode **ret_inode);

/* Looks n listed names up; an entry that is gone is one without an inode. */
void layers_lookup_many(struct view *view, const struct layers_dir *dir,
                        const struct layer_listing_entry *const *listed, unsigned n,
                        struct fuse_entry_param *ret_entries);

/* index.c: copies of lower objects that have several links */

/* Whether an object of a lower layer is to be found by the index once it is copied up. */
bool index_covers(const struct layers *layers, const struct statx *stx);

/* An O_PATH descriptor of the copy of an object of a lower layer. -ENOENT if there is none. */
int index_open(const struct layers *layers, unsigned lower_layer, int lower_fd);

/*
 * Moves a copy, which is called temporary in the work directory, into the index. Its links are those of its original
 * until index_set_n_links().
 */
int index_add(struct layers *layers, unsigned lower_layer, int lower_fd, const char *temporary, int fd);

/* Has the view show n_links of a copy as it is linked now. */
int index_set_n_links(const struct layers *layers, int fd, uint32_t n_links);

/* Completes what a crash between these two has left. Before anything is looked up. */
void index_recover(const struct layers *layers);

/* How many links the view shows of an object of the upper that has n_links itself. */
uint32_t index_n_links(const struct layers *layers, int fd, uint32_t n_links);

/* A link of an indexed object that lies below is gone, or has become one in the upper: one less beside those there. */
int index_count_less(struct layers *layers, int fd);

/* Takes the object out of the index once the view shows no link of it. */
void index_tidy(struct layers *layers, int fd);

/* metacopy.c: upper objects whose data is still below */

/* Whether the metadata of an object of a lower layer may be copied up alone. */
bool metacopy_suits(const struct layers *layers, const struct statx *stx);

/*
 * Gives the copy fd, which has everything of the file data_fd but its data, either that too, shared, or the mark that
 * it lies below. *ret_is_metacopy tells which.
 */
int metacopy_make(const struct layers *layers, int fd, int data_fd, const struct stat *st, bool *ret_is_metacopy);

/* Fills the data of a copy that has everything else; times and file capabilities stay as they are. */
int metacopy_copy_data(int data_fd, int fd, const struct stat *st);

/* Opens the data of a metacopy for reading: that of the lowest member by which it was last looked up. */
int metacopy_open_data(struct view *view, struct inode *inode);

/* Brings the data of a metacopy of the upper up too. With the inode held. */
int metacopy_complete(struct view *view, struct inode *inode);

/* copy_up.c */

enum copy_up_extent {
    COPY_UP_META, /* the metadata will change: the data may stay below */
    COPY_UP_DATA,
    COPY_UP_EMPTY, /* it is about to be truncated to nothing */
};

/*
 * Makes sure that an inode is in the upper, and the directories above it. -EROFS without an upper, -ESTALE where its
 * name is not known (any more): the kernel looks it up again then and comes back.
 */
int layers_copy_up(struct view *view, struct inode *inode, enum copy_up_extent extent);

/*
 * Before an open: an inode whose open files are bound to a lower object is split off from its object, and the answer is
 * -ESTALE, on which the kernel looks the name up again and finds the object as another inode, with the same number.
 */
int layers_split_if_bound(struct view *view, struct inode *inode);

/* The same for a directory in use, whose members are renewed. */
int layers_copy_up_dir(struct view *view, struct layers_dir *dir);

/* A descriptor of an upper directory in use. */
static inline int layers_upper_fd(const struct layers_dir *dir)
{
    return dir->merged->object.members[0].fd;
}

/* marks.c: what is written to the upper to steer the merge. */

#define LAYERS_TEMPORARY_SIZE 32

/* A name for a passing object in the work directory, unlike any that is there. */
void marks_temporary_name(struct layers *layers, char ret_name[LAYERS_TEMPORARY_SIZE]);

int marks_set_opaque(const struct layers *layers, int dir_fd);
int marks_set_impure(const struct layers *layers, struct inode *dir, int dir_fd);

/* Whether a layer below the upper has something of that name in dir that would show without a whiteout. 1, 0, -errno.
 */
int marks_is_needed(const struct layers *layers, const struct layers_dir *dir, const char *name);

/* Whether the upper directory dir_fd has an overlayfs whiteout of that name. */
bool marks_is_whiteout(int dir_fd, const char *name);

/*
 * Hides name in the layers below. In the overlayfs form the whiteout takes the place of what is there (`over`), which
 * must be no directory; in the AUFS form it stands beside it.
 */
int marks_hide(struct layers *layers, int dir_fd, const char *name, bool over);

/* Takes an AUFS mark for name away, if there is one. */
void marks_unhide(struct layers *layers, int dir_fd, const char *name);

/* Takes the directory name out of dir_fd, with the marks in it; with a whiteout in its place if hide is set. */
int marks_take_dir(struct layers *layers, int dir_fd, const char *name, bool hide);

/* Removes a passing directory, with marks in it, or a whiteout from the work directory. */
void marks_discard(struct layers *layers, const char *temporary);

/* redirect.c */

/*
 * Makes the lower members of the upper directory dir_fd, which is called name in its parent, found after a rename: to
 * the same parent (beside it), or to another one (from the root).
 */
int redirect_write(const struct layers *layers, int dir_fd, const char *name, bool same_parent);

/* The groups of operations. */
void layers_ops_lookup(struct fuse_lowlevel_ops *ops);
void layers_ops_readdir(struct fuse_lowlevel_ops *ops);
void layers_ops_link(struct fuse_lowlevel_ops *ops);
void layers_ops_remove(struct fuse_lowlevel_ops *ops);
void layers_ops_rename(struct fuse_lowlevel_ops *ops);

/* create.c: for struct view_hooks. */
int layers_create(struct creation *c, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode);

/* readdir.c: listings between one READDIR and the next. */
struct listings *listings_new(void);
void listings_free(struct listings *listings);

/* copy_up.c: copies under way. */
struct copy_ups *copy_ups_new(void);
void copy_ups_free(struct copy_ups *copy_ups);

/* Excludes a copy-up of the inode while what its name is changes. */
void layers_hold(struct layers *layers, uint64_t nodeid);
void layers_release(struct layers *layers, uint64_t nodeid);
