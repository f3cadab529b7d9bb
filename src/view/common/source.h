/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "inode/inode_table.h"
#include "sys/handle.h"

#include <stdatomic.h>
#include <sys/stat.h>

/*
 * From descriptors to keys of inodes and back.
 *
 * A key is a number of a mount and a file handle; where the file system has no handles, or ones that are too long, it
 * is device, inode number and birth time, and the inode's descriptor must be kept (INODE_KEEP_PINNED).
 *
 * The mounts are those of the served tree, in shared memory, as descriptors by which handles are opened. They are found
 * as lookups cross into them.
 */
#define SOURCE_MAX_MOUNTS 1024

struct source_state {
    _Atomic uint32_t n_mounts;
    uint32_t handles; /* 1: open_by_handle_at() is permitted */
    uint64_t root_dev;
    _Atomic uint32_t no_passthrough; /* 1: the kernel refused to pass data through; it is not asked again */
    uint32_t reserved;
    struct {
        uint64_t mount_id;
        int32_t fd; /* not O_PATH; -1: none could be opened */
        int32_t reserved;
    } mounts[SOURCE_MAX_MOUNTS];
};

/* Begins a state with the root of the served tree. root_fd is not O_PATH and stays open as long as the state. */
int source_state_init(struct source_state *state, int root_fd);

/* The key of the inode behind fd (O_PATH), whose statx the caller has. */
int source_key_of_fd(struct source_state *state, int fd, const struct statx *stx, struct inode_key *ret_key,
                     enum inode_keep *ret_keep);

/*
 * Attributes and key of what a name in dir_fd stands for, without opening it. False where it cannot be told that both
 * are of one inode, or where that must be opened: the caller opens the name then.
 */
bool source_key_of_name(const struct source_state *state, int dir_fd, const char *name, struct statx *ret_stx,
                        struct inode_key *ret_key);

/*
 * Who is at a name, by one system call where there are handles: for comparing with what this function said before, and
 * for nothing else. n_bytes 0 if nobody is.
 */
void source_identify(const struct source_state *state, int dir_fd, const char *name, struct inode_key *ret_key);

/*
 * The nodeids of the inodes with this handle, one with each call, 0 at the end; *at starts with 0. There is one for
 * each mount that the tree holds, and for each file system that has such a handle.
 */
uint64_t source_find(struct source_state *state, struct inode_table *inodes, const struct handle *handle, unsigned *at);

/* Opens a key as O_PATH. -ESTALE if it is gone, or if the key is none that can be opened. */
int source_open_key(struct source_state *state, const struct inode_key *key);

/*
 * What of a key makes a file handle of the view last: the inode number as its nodeid, and the generation. 0 where there
 * is none: only handles of the type that ext4 and its kin use, on the mount of the root, are opened by number alone.
 */
uint64_t source_lasting_id(const struct inode_key *key);
uint32_t source_generation(const struct inode_key *key);

/* Opens the inode with a lasting id as O_PATH, whatever its generation. -ESTALE if there is none. */
int source_open_lasting(struct source_state *state, uint64_t id);

/* An inode number that tells apart inodes of different devices in the tree (btrfs subvolumes, mounts). */
uint64_t source_ino(const struct source_state *state, const struct statx *stx);
