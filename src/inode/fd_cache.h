/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "inode/inode_table.h"

/*
 * The descriptors of an inode table's records. A record's fd is cached or pinned. Cached ones are bounded: a clock's
 * hand goes round them and closes those that were not used of late. One in use (n_fd_users) is never closed.
 *
 * `entries` is what the hand goes over: numbers of records. An entry may be stale (the record has lost its descriptor
 * since) and is dropped when the hand meets it. Part of the table: everything here is under the table's lock.
 */
struct fd_cache {
    const struct inode_table_config *config; /* the table's */
    uint32_t *entries;
    size_t n_entries, n_space, hand;
    unsigned n_fds; /* records with a descriptor that is not pinned */
    unsigned n_pinned;
};

void fd_cache_clear(struct fd_cache *cache);

/* Counts the descriptor that a record was left with by the worker before. */
void fd_cache_load(struct fd_cache *cache, struct inode *inode);

/* Gives the record *fd if it has none (leaving -1). Makes room for it first. */
void fd_cache_adopt(struct fd_cache *cache, struct inode *inode, int *fd);

/* Takes the descriptor out of the record, and closes it or returns it (-1: it has none). */
void fd_cache_close(struct fd_cache *cache, struct inode *inode);
int fd_cache_release(struct fd_cache *cache, struct inode *inode);

/* Closes a few descriptors that were not used of late. */
void fd_cache_evict(struct fd_cache *cache);

/* The descriptor, with one user more; -ESTALE if the record has none. */
int fd_cache_use(struct inode *inode);

/* Keeps a record's descriptor, if it has one, until it is unpinned or forgotten. */
void fd_cache_pin(struct fd_cache *cache, struct inode *inode);
void fd_cache_unpin(struct fd_cache *cache, struct inode *inode);

/* Gives the backing id of an inode back. It is noted until then: doing it twice does no harm. */
void fd_cache_drop_backing(struct fd_cache *cache, struct inode *inode);
