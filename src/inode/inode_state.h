/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is known of inodes, in memory that outlives a worker.
 *
 * A record stands for one inode that the kernel knows (its lookup count is over 0). Root is record 0, nodeid 1. Another
 * nodeid is either lasting or made: a lasting one is the inode number on disk, so that a file handle that a client took
 * in the view still leads to the inode when the kernel has forgotten it, or in the next mount; a made one has
 * INODE_ID_MADE set and is the record's index, plus one, with a generation in the upper half, so that a stale number
 * never names another inode.
 *
 * Order of writes, for a successor that finds the memory as a dying worker left it: a record is published by writing
 * nodeid last, and taken back by writing 0 to nodeid first. A lookup is counted before the reply is sent, and noted
 * with the request (inode/count.h).
 */
#define INODE_KEY_MAX_BYTES 56
#define INODE_ID_MADE       (1ULL << 62)

static inline bool inode_id_is_lasting(uint64_t nodeid)
{
    return nodeid > 1 && nodeid < INODE_ID_MADE;
}

/* What makes an inode the same inode: opaque bytes, made by the view (view/common/source.h). */
struct inode_key {
    uint8_t n_bytes;
    uint8_t bytes[INODE_KEY_MAX_BYTES];
};

enum inode_flags {
    INODE_FLAG_FD_PINNED = 1 << 0,   /* fd is the only way to the inode: no handle, or no name left */
    INODE_FLAG_FD_RECENT = 1 << 1,   /* fd was used since the clock's hand passed */
    INODE_FLAG_WATCHED = 1 << 2,     /* has a mark of its own: its changes are reported (watch/watch.h) */
    INODE_FLAG_PASSTHROUGH = 1 << 3, /* how its open files do I/O; holds while n_opens is over 0 */
    INODE_FLAG_NO_HANDLE = 1 << 4,   /* fd is the only way to the inode */
    INODE_FLAG_COVERED = 1 << 5,     /* was last seen in a directory that is watched */
    INODE_FLAG_UNWATCHABLE = 1 << 6, /* its file system can't be watched */
    INODE_FLAG_WRITTEN = 1 << 7,     /* others than the worker were heard to write to it */
    INODE_FLAG_QUIET = 1 << 8,       /* writes to it are not reported, and the kernel knows no attributes of it */
    INODE_FLAG_USER_1 = 1 << 9,      /* from here on for the view that owns the table */
};

struct inode {
    uint64_t nodeid;    /* 0: free */
    uint64_t n_lookups; /* under the table's lock */
    uint32_t generation;
    int32_t fd;         /* O_PATH (or more), -1: none; in the table shared with the keeper */
    int32_t backing_id; /* 0: none. While nobody has the inode open it is kept as long as fd is, for the next open. */
    uint32_t n_opens;
    _Atomic uint16_t flags;
    uint16_t n_fd_users; /* of fd right now; under the table's lock */
    uint16_t n_writers;  /* of n_opens, those for writing; under the inode's lock */
    uint8_t type;        /* DT_* */
    struct inode_key key;
};

_Static_assert(sizeof(struct inode) <= 104, "a record is small: there may be millions");

/* The change of a lookup count that is under way (inode/count.h), as it will have been. */
struct inode_change {
    uint64_t unique; /* of the request that notes it; 0: none does */
    uint64_t nodeid;
    uint64_t n_lookups;
    uint32_t index;        /* of the record */
    uint32_t n_noted;      /* lookups that the request has noted */
    uint32_t forgets_done; /* of a batch */
    uint32_t begun;        /* 1: under way. Written last */
};

struct inode_state {
    uint32_t n_records_max;
    _Atomic uint32_t n_records_used; /* records that were ever used; those behind are zero */
    /* What the table counts, for whoever only looks: the keeper. */
    _Atomic uint32_t n_inodes;
    _Atomic uint32_t n_fds;           /* pinned ones too */
    _Atomic uint64_t n_private_bytes; /* of the worker, for its index over the records */
    struct inode_change change;
    struct inode records[];
};

/* The size in bytes of the state for this many records. */
static inline size_t inode_state_size(uint32_t n_records_max)
{
    return sizeof(struct inode_state) + (size_t)n_records_max * sizeof(struct inode);
}
