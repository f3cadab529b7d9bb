/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/view_options.h"
#include "fuse/transport.h"
#include "inode/inode_table.h"
#include "view/common/source.h"
#include "watch/watch_state.h"

#include <linux/limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct watch;
struct data_files;
struct dir_streams;
struct helper;
struct pressure;

/*
 * What both views are made of: one mounted view, as its worker sees it. Built before threads start; what changes later
 * is atomic or has a lock of its own.
 *
 * The split: operations on one inode, by a descriptor of it, are here and the same for both views. Operations on names
 * belong to the view (view/gid, view/layers).
 */
struct view;

struct creation;

/* What a view adds. */
struct view_hooks {
    /* Fills in the operations on names: all but those of view/common/create.c. */
    void (*add_ops)(struct fuse_lowlevel_ops *ops);
    /* Makes what a request asks for in the directory `parent`, and what the kernel is told of it; counts a lookup. */
    int (*create)(struct creation *c, uint64_t parent, struct fuse_entry_param *ret_entry, struct inode **ret_inode);
    /* Makes an inode writable before it is changed (copy-up). NULL: every inode is. 0 or a negative errno. */
    int (*prepare_write)(struct view *view, struct inode *inode);
    /* The same before a file is opened with these flags, for reading too. NULL: nothing is to be done. */
    int (*prepare_open)(struct view *view, struct inode *inode, int flags);
    /* Last word on what statx says of an inode (numbers of a layered view). NULL: none. */
    void (*adjust_statx)(struct view *view, struct inode *inode, struct statx *stx);
    /* The name on disk of an extended attribute that a client names. NULL: the same. 0 or a negative errno. */
    int (*xattr_to_disk)(const char *view_name, char ret_disk_name[XATTR_NAME_MAX + 1]);
    /* The inverse: false for the view's own business (marks of layers). NULL with the other. */
    bool (*xattr_to_view)(const char *disk_name, char ret_view_name[XATTR_NAME_MAX + 1]);
};

struct view {
    const struct view_options *options; /* not owned */
    const struct view_hooks *hooks;     /* set by the view before it serves */
    void *hook_data;                    /* struct layers; NULL in the gid view */
    struct inode_table *inodes;
    struct source_state *source;
    struct transport *transport;
    struct watch *watch;           /* NULL: changes behind the view are not reported */
    const struct echo_state *echo; /* in shared memory; NULL with watch */
    struct data_files *data_files;
    struct dir_streams *dir_streams;
    struct helper *helper;     /* for answers about many names; NULL on one processor */
    struct pressure *pressure; /* NULL: the kernel can't be asked to forget */
    int dev_fd;
    _Atomic bool passthrough; /* new files may be opened for passthrough */
    bool read_only;
    /*
     * A caller that is root and that the id map leaves out creates as the root on disk: an engine that prepares the
     * root directory of a container with a user namespace.
     */
    bool unmapped_root_is_root;
    bool allow_setid; /* setuid and setgid bits may reach the disk */
    double cached_s;  /* how long the kernel may cache what is watched (or what nobody else changes), in seconds */
    double unwatched_s;
    bool direct_io; /* cache=none without passthrough: not even pages are cached */
};

/* Prepares what is common. options, state and inodes are the caller's and outlive the view. */
int view_init(struct view *view);
void view_finish(struct view *view);

static inline struct view *view_of_request(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* inode_table_intern(), which waits for room in a full table if the kernel can be asked to make some. */
int view_intern(struct view *view, const struct inode_key *key, uint8_t type, int *fd, enum inode_keep keep,
                struct inode **ret_inode);

/* Modes and ids: attributes.c. The line that decides the gid of an entry is in view_attributes(). */

/* What the view reports of an inode. */
void view_attributes(struct view *view, struct inode *inode, struct statx *stx, struct stat *ret_st);

/* Ids that a client named, on disk. -EINVAL for one that the map does not have. */
int view_uid_to_disk(const struct view *view, uid_t view_uid, uid_t *ret_disk_uid);
int view_gid_to_disk(const struct view *view, gid_t view_gid, gid_t *ret_disk_gid);

/*
 * Whether the caller only repeats a change that was made behind the view (watch/echo.c): what it asks for is answered
 * as if it had been done, and never done.
 */
static inline bool view_is_echo(fuse_req_t req)
{
    return fuse_req_ctx(req)->uid == ECHO_UID;
}

/* What the kernel may cache, and how long: coherence.c. */

/*
 * Watches the source for changes behind the view, where cache=auto asks for it and it is possible; view->watch tells.
 * After the transport is there, before it serves.
 */
void view_watch(struct view *view, struct watch_state *state);
void view_unwatch(struct view *view);

/* To be called before anything is read of a directory for the kernel: from here on changes behind the view are seen. */
void view_cover_directory(struct view *view, struct inode *dir, int dir_fd);
/* How many changes of unknown inodes were heard of. To be asked before attributes are read for the kernel. */
uint64_t view_changes_missed(const struct view *view);
/*
 * To be called after attributes were read of an inode for the kernel, and it is in the table; dir is where it was
 * looked up, NULL if it was not; n_missed is what view_changes_missed() said before. From here on changes are seen.
 * Reads the attributes again where one may have been missed. -errno if that fails.
 */
int view_cover_inode(struct view *view, const struct inode *dir, struct inode *inode, uint64_t n_missed,
                     struct statx *stx);
/* How long the kernel may cache attributes, and entries of a directory (present or absent). Seconds. */
double view_attr_timeout(const struct view *view, const struct inode *inode, const struct stat *st);
double view_entry_timeout(const struct view *view, const struct inode *dir);

/* Identity of what is created: create_as.c. */

/*
 * Takes on the ids and the umask of the caller of the current request, for creating in the directory whose attributes
 * on disk are parent_stx. -EOVERFLOW if the disk has no name for the caller. Undone by view_become_server().
 */
int view_become_caller(const struct view *view, mode_t umask_of_caller, const struct statx *parent_stx);
void view_become_server(void);
/*
 * Takes on what of the caller decides whether setuid and setgid bits survive a change of data, since the disk's file
 * system asks the thread that does it: its group (a member keeps setgid where the group may not execute), and, where
 * the view allows the bits and keep_setid says so, CAP_FSETID. Undone by view_end_data_change().
 */
void view_begin_data_change(const struct view *view, bool keep_setid);
void view_end_data_change(void);
/* The mode to create with on disk, of the mode that a client asked for. Device nodes may be refused. */
int view_create_mode(const struct view *view, mode_t view_mode, mode_t *ret_disk_mode);

/* Opened files: open.c. */

/*
 * Counts an open of a regular file that has succeeded, and makes the answer to it. To be undone by view_count_release()
 * if the answer finds no taker.
 */
int view_count_open(struct view *view, struct inode *inode, int open_flags, struct abi_open_out *ret_out);
void view_count_release(struct view *view, struct inode *inode, int open_flags);
/* Gives back the backing id of an inode that has no open file any more. With the inode locked. */
void view_drop_backing(struct view *view, struct inode *inode);

/* Open counts as a dead worker left them: replay.c. data is the view; for struct transport_config. */
void view_recover_opens(void *data, struct request_slot *slots, unsigned n_slots);
void view_undo_open(void *data, struct request_slot *slot);

/* The entry part of an answer to create, as libfuse would make it. */
void view_entry_out(const struct fuse_entry_param *entry, struct fuse_entry_out *out);

/* Reply helpers: every failure leaves by view_reply_error(). error is a negative errno, or 0. */
void view_reply_error(fuse_req_t req, int error);
/* Answers with an entry, or with the error that r is. The entry's lookup is taken back if nobody gets the answer. */
void view_reply_entry(fuse_req_t req, int r, const struct fuse_entry_param *entry);
/* The same for a name that was looked up in dir: that there is none may be cached too. */
void view_reply_lookup(fuse_req_t req, const struct inode *dir, int r, const struct fuse_entry_param *entry);

/* Makes an inode writable before it is changed: the view's prepare_write(). */
int view_prepare_write(struct view *view, struct inode *inode);

/* The table of operations of a view whose hooks are set. */
void view_ops(const struct view *view, struct fuse_lowlevel_ops *ops);
/* The opcodes that libfuse 3.14 does not know: a transport_raw_fn. view is the struct view. */
bool view_raw(void *view, const struct fuse_in_header *header, const void *body, size_t n_bytes);

/* What these are put together from: each fills in its group. */
void view_ops_attributes(struct fuse_lowlevel_ops *ops);
void view_ops_open(struct fuse_lowlevel_ops *ops);
/* Only where directory contents may be cached: it switches OPENDIR off. */
void view_ops_open_cached_directories(struct fuse_lowlevel_ops *ops);
void view_ops_io(struct fuse_lowlevel_ops *ops);
void view_ops_xattr(struct fuse_lowlevel_ops *ops);
void view_ops_create(struct fuse_lowlevel_ops *ops);

void view_raw_statx(struct view *view, const struct fuse_in_header *header);
void view_raw_setxattr(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes);
void view_raw_tmpfile(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes);

/* Takes lookups of an inode back. view is the struct view. */
void view_forget_one(void *view, uint64_t nodeid, uint64_t n_lookups);
