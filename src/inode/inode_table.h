/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/request.h"
#include "inode/inode_state.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The inode table of a view: records in shared memory, found by nodeid or by key, and a bounded cache of descriptors
 * over them. All functions are safe in any thread.
 *
 * A struct inode * stays valid as long as the kernel counts a lookup of it; the kernel never sends a request about an
 * inode that it has forgotten, and a lying client that does gets -ESTALE from inode_table_get().
 */
struct inode_table;

struct inode_table_config {
    struct inode_state *state;  /* shared; used as it is found: a successor's table is that of its predecessor */
    struct request_slot *slots; /* REQUEST_MAX_THREADS of them, as the predecessor left them; NULL: there are none */
    unsigned n_fds_max;         /* cached descriptors */
    unsigned n_pinned_max;      /* descriptors pinned by inode_table_pin_fd(), on top */
    /* Opens the inode of a key anew, as O_PATH. Returns an fd or -errno. */
    int (*open_key)(void *data, const struct inode *inode);
    /* The lasting nodeid of a key (2 to INODE_ID_MADE - 1), or 0 for a made one. NULL: every nodeid is made. */
    uint64_t (*lasting_id)(const struct inode_key *key);
    /* Gives a backing id back to the kernel. Called with the table's lock held. NULL: there are none. */
    void (*drop_backing)(void *data, int32_t backing_id);
    void *data;
};

int inode_table_new(const struct inode_table_config *config, struct inode_table **ret_table);
void inode_table_free(struct inode_table *table);

/* The inode that the kernel means by nodeid, or NULL. */
struct inode *inode_table_get(struct inode_table *table, uint64_t nodeid);

/* What becomes of the descriptor that a lookup brings. */
enum inode_keep {
    INODE_KEEP_NO_FD,
    INODE_KEEP_CACHED, /* until others are needed more */
    INODE_KEEP_PINNED, /* for the life of the inode: nothing else leads to it */
};

/*
 * The inode with this key, made if need be, with one lookup more. type is DT_*. *fd is an O_PATH descriptor of it,
 * which the table takes over (leaving -1) if keep says so and it has none. -ENFILE when the table is full.
 */
int inode_table_intern(struct inode_table *table, const struct inode_key *key, uint8_t type, int *fd,
                       enum inode_keep keep, struct inode **ret_inode);

/* Takes n_lookups away; the record is free when none is left. */
void inode_table_forget(struct inode_table *table, uint64_t nodeid, uint64_t n_lookups);

/* What is left of an inode when its record is free. */
struct inode_remains {
    struct inode_key key;
    uint16_t flags;
    uint8_t type;
    int fd; /* -1: none; the caller's */
};

/* The same. Returns whether the record is free now; *ret_remains is set if so. */
bool inode_table_forget_taking(struct inode_table *table, uint64_t nodeid, uint64_t n_lookups,
                               struct inode_remains *ret_remains);

/*
 * For a nodeid that no request is about, so that it may be forgotten at any time: what is known of it. False if it is
 * forgotten.
 */
struct inode_view {
    struct inode_key key;
    uint16_t flags;
    uint8_t type;
};
bool inode_table_look(struct inode_table *table, uint64_t nodeid, struct inode_view *ret_view);

/* The same for a caller that keeps all others from forgetting: the inode itself, or NULL. */
struct inode *inode_table_get_any(struct inode_table *table, uint64_t nodeid);

/* The nodeid of the inode with this key, 0 if the kernel knows none. */
uint64_t inode_table_find(struct inode_table *table, const struct inode_key *key);

/* The inode's key now: it may be moved at any time. */
struct inode_key inode_table_get_key(struct inode_table *table, const struct inode *inode);

/*
 * Gives the inode another key and another descriptor at once (copy-up). Users of the old descriptor go on with the new
 * one, which takes its number; *fd is taken over otherwise. keep as for inode_table_intern().
 */
void inode_table_move(struct inode_table *table, struct inode *inode, const struct inode_key *key, int *fd,
                      enum inode_keep keep);

/*
 * A descriptor of the inode (O_PATH, or more), to be given back with inode_table_put_fd(). -errno when it can't be
 * opened: -ESTALE if it is gone from the disk.
 */
int inode_table_get_fd(struct inode_table *table, struct inode *inode);
void inode_table_put_fd(struct inode_table *table, struct inode *inode);

/*
 * Keeps the descriptor of an inode while it has a file open: its last name may go meanwhile. -ENFILE when too many are
 * kept, which leaves the handle as the way to it; the kernel's own open file keeps the inode alive then.
 */
int inode_table_pin_fd(struct inode_table *table, struct inode *inode);
void inode_table_unpin_fd(struct inode_table *table, struct inode *inode);

/* A lock for the open state of an inode (n_opens, backing_id). One thread never holds two of them. */
void inode_table_lock(struct inode_table *table, const struct inode *inode);
void inode_table_unlock(struct inode_table *table, const struct inode *inode);

/* Calls fn for each inode that the kernel knows, under the table's lock: fn must not call into the table. */
void inode_table_foreach(struct inode_table *table, void (*fn)(struct inode *inode, void *data), void *data);

/* How many inodes the kernel knows now, and at most. Without a lock. */
uint32_t inode_table_count(const struct inode_table *table);
uint32_t inode_table_max(const struct inode_table *table);

/*
 * Some inodes that have no file open and were not used of late: up to n_max nodeids, picked by going round the table
 * from call to call. For one thread.
 */
unsigned inode_table_pick_idle(struct inode_table *table, uint64_t *nodeids, unsigned n_max);

struct inode_table_stats {
    uint64_t n_inodes;
    uint64_t n_fds;
    uint64_t n_bytes; /* of memory, shared and private */
};
void inode_table_get_stats(struct inode_table *table, struct inode_table_stats *ret_stats);
