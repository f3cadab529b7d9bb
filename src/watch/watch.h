/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/transport.h"
#include "inode/inode_table.h"
#include "sys/handle.h"
#include "watch/watch_state.h"

#include <stdbool.h>

/*
 * Changes that are made behind a view become invalidations of what the kernel has cached of it. watch.c has the
 * reasoning.
 */
struct watch;

struct watch_config {
    struct watch_state *state; /* in shared memory; used as it is found */
    struct inode_table *inodes;
    struct transport *transport;
    /*
     * The nodeids that a handle may stand for, one with each call; *at starts with 0 and belongs to the callee. 0: no
     * more. One that does not fit does no harm.
     */
    uint64_t (*find)(void *data, const struct handle *handle, unsigned *at);
    /* The generation that the kernel has been told with the nodeid of a key. */
    uint32_t (*generation)(const struct inode_key *key);
    /* Opens the inode of a key anew, as O_PATH. Returns an fd or -errno. */
    int (*open_key)(void *data, const struct inode_key *key);
    void *data;
};

/*
 * Makes a watch, in the first worker or a successor. -EPERM where it is not permitted, -EINVAL or -ENOSYS where the
 * kernel can't.
 */
int watch_new(const struct watch_config *config, struct watch **ret_watch);

/* Begins to handle changes. Before requests are served. */
int watch_start(struct watch *watch);

/* Ends its thread. What it had queued stays for a successor. */
void watch_free(struct watch *watch);

/*
 * Watches an inode: a directory with all that is in it, or a file that has other names. fd is a descriptor of it.
 * Returns true if it is watched from now on and was not before: what was read of it before must be read again.
 */
bool watch_cover(struct watch *watch, struct inode *inode, int fd);

/*
 * To be called after attributes were read of an inode for the kernel, if it has INODE_FLAG_QUIET: from here on writes
 * to it are reported. Returns true if they were not before, and what was read must be read again.
 */
bool watch_listen(struct watch *watch, struct inode *inode, int fd);

/*
 * How many changes were heard of inodes that are not in the table. Whoever puts one there looks whether this is still
 * what it was before the inode's attributes were read.
 */
uint64_t watch_n_missed(const struct watch *watch);

/* As inode_table_forget(), for inodes that may be watched. */
void watch_forget(struct watch *watch, uint64_t nodeid, uint64_t n_lookups);
