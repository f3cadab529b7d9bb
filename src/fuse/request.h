/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/abi.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The request that a thread works on, in memory that outlives the worker.
 *
 * Each server thread has one slot and one buffer in the view's shared memory. The kernel writes a request straight into
 * the buffer, so whatever a dying worker had read is still there for its successor: a FORGET, which is never sent
 * again, and the journal entry of an operation that cannot be repeated (create, rename, unlink…), which is sent again
 * with ABI_UNIQUE_RESEND and must not be done twice.
 *
 * A slot belongs to its thread alone; a successor reads slots only before its own threads start.
 */
#define REQUEST_MAX_THREADS 64
#define REQUEST_KEY_BYTES   144

/* How far the journalled operation of a request has come. */
enum request_stage {
    REQUEST_STAGE_NONE = 0, /* nothing that cannot be repeated has begun */
    REQUEST_STAGE_BEGUN,    /* the effect may have taken place: compare with the identities noted */
    REQUEST_STAGE_DONE,     /* it has: result says how it ended */
};

/* The identity of an inode, as the inode table's keys; length 0 is "there was none". */
struct request_key {
    uint8_t length;
    uint8_t bytes[REQUEST_KEY_BYTES];
};

struct request_slot {
    uint64_t unique; /* without ABI_UNIQUE_RESEND; 0: empty */
    uint64_t nodeid;
    uint32_t opcode;
    uint32_t stage;        /* enum request_stage; written last */
    int32_t result;        /* 0 or a negative errno, with REQUEST_STAGE_DONE */
    uint32_t attempts;     /* workers that died on this request */
    uint32_t forgets_done; /* of a batch, so that none is counted twice */
    uint32_t reserved;
    uint64_t begun_ms;          /* CLOCK_MONOTONIC; of the worker that has it now */
    struct request_key subject; /* who was at the (old) name before the operation, or the link's inode */
    struct request_key object;  /* who was at the new name */
};

/* The slot of the calling thread; NULL outside the server's threads. */
struct request_slot *request_current_slot(void);

/* The request that the calling thread works on, as the kernel sent it. */
const struct fuse_in_header *request_current_header(void);

/* What a worker that died had noted of this very request; NULL unless it was sent again. */
const struct request_slot *request_replayed(void);
