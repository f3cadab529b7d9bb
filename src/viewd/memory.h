/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/fault.h"
#include "fuse/transport.h"
#include "inode/inode_state.h"
#include "view/common/source.h"
#include "view/layers/places.h"
#include "viewd/memory_layout.h"
#include "watch/watch_state.h"

/*
 * The memory of a view that outlives its workers: one memfd, mapped at the same layout by the keeper and each worker.
 * Another program that takes over moves it into one of its own layout (viewd/memory_layout.h).
 *
 * Descriptors in it are numbers in the table that keeper and worker share (clone(CLONE_FILES)): a worker's death closes
 * none of them.
 */
#define MEMORY_MAX_KEPT_FDS 32

struct memory_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t n_structs_bytes; /* in layout 1, where it told what is in parts now */
    uint64_t n_bytes;
    uint32_t n_inodes_max;
    int32_t memory_fd;
    int32_t dev_fd;
    int32_t tree_fd;
    int32_t root_fd;
    uint32_t n_kept_fds;
    int32_t kept_fds[MEMORY_MAX_KEPT_FDS]; /* those that outlive a worker and are noted nowhere else */
    _Atomic uint32_t served;               /* 1: a worker has been serving */
    _Atomic uint32_t n_workers;            /* started so far */
    struct watch_state watch;
    uint32_t n_parts;
    struct memory_span parts[MEMORY_N_PARTS];
#ifdef GIDFS_FAULTS
    struct fault_order fault;
#endif
};

struct memory {
    struct memory_header *header;
    struct transport_state *transport;
    struct source_state *source;
    char *buffers;
    struct inode_state *inodes;
    struct places_state *places; /* of a layered view */
    uint32_t n_inodes_max;       /* this process's own copy, which no worker can change */
};

/* Makes and maps it. The descriptor is in the header. */
int memory_create(uint32_t n_inodes_max, struct memory *ret_memory, GError **error);

/* Whether this program can go on with what another one made, behind fd. -EPROTO with a message if not. */
int memory_check(int fd, GError **error);

/*
 * Maps what a predecessor made, behind fd; or moves it to where this program has it, and closes fd. To be called when
 * no worker runs.
 */
int memory_attach(int fd, struct memory *ret_memory, GError **error);
