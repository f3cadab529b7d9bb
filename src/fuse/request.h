/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/abi.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The request that a thread works on, in memory that outlives the worker.
 *
 * Each server thread has one slot and one buffer in the view's shared memory. The kernel writes a request straight into
 * the buffer, so whatever a dying worker had read is still there for its successor. Most requests are simply done
 * again; the slot says what must not be, or what was counted for an answer that nobody got:
 *
 *  - a FORGET, which the kernel never sends again: how far a batch has come;
 *  - an operation that cannot be repeated (create, rename, unlink…): its stage and result (view/common/journal.h);
 *  - lookups, which are taken back before the request is done again;
 *  - the open count of an inode: what it was before this request changed it.
 *
 * A slot belongs to its thread alone; a successor reads slots only before its own threads start. A dying process leaves
 * its writes in the order of the program, so within a slot the order of writes is all that matters.
 */
#define REQUEST_MAX_THREADS 64
#define REQUEST_MAX_ORPHANS (2 * REQUEST_MAX_THREADS)
#define REQUEST_KEY_BYTES   144

/* How far the journalled operation of a request, or a change of an open count, has come. */
enum request_stage {
    REQUEST_STAGE_NONE = 0, /* nothing that cannot be repeated has begun */
    REQUEST_STAGE_BEGUN,    /* the effect may have taken place */
    REQUEST_STAGE_DONE,     /* it has: result says how it ended */
};

/* The identity of an inode, as the inode table's keys; length 0 is "there was none". */
struct request_key {
    uint8_t length;
    uint8_t bytes[REQUEST_KEY_BYTES];
};

/* A change of an inode's open count. Made with the inode locked, so n_before is what it was at a worker's death. */
struct request_open {
    uint64_t nodeid;
    uint32_t n_before;
    uint16_t n_writers_before; /* of them, for writing */
    uint8_t writes;            /* 1: this one is for writing */
    uint8_t release;           /* 1: one less, 0: one more */
    uint32_t stage;            /* enum request_stage; written last */
};

struct request_slot {
    uint64_t unique; /* without ABI_UNIQUE_RESEND; 0: empty. Written last. */
    uint64_t nodeid;
    uint32_t opcode;
    uint32_t stage;        /* enum request_stage; written after what belongs to it */
    int32_t result;        /* 0 or a negative errno, with REQUEST_STAGE_DONE */
    uint32_t attempts;     /* by the workers that died on it, each with its weight (transport.h) */
    uint32_t forgets_done; /* of a batch, so that none is counted twice */
    uint32_t n_lookups;    /* counted for the answer; their nodeids are in the buffer (request_lookups()) */
    uint64_t reserved;
    uint64_t begun_ms;   /* CLOCK_MONOTONIC; when the present worker got it */
    int64_t begun_at_ns; /* CLOCK_REALTIME; when the operation was first begun, with REQUEST_STAGE_BEGUN */
    struct request_open open;
    struct request_key subject; /* who was at the (old) name before the operation, or the link's inode */
    struct request_key object;  /* who was at the new name */
};

/* The slot of the calling thread; NULL outside the server's threads. */
struct request_slot *request_current_slot(void);

/* The request that the calling thread works on, as the kernel sent it. */
const struct fuse_in_header *request_current_header(void);

/* What a worker that died had noted of this very request; NULL if none had. */
const struct request_slot *request_replayed(void);

/*
 * Whether an answer that could not be sent (a negative errno) leaves nobody who knows of it, so that what was counted
 * for it is to be taken back. Not so if a worker that died may have sent it already.
 */
bool request_answer_is_lost(int sent);

/* Makes this the request that the calling thread works on. */
void request_enter(struct request_slot *slot, const struct fuse_in_header *header);

/*
 * Writes the nodeid of a lookup behind those that the current request has counted. False if there is no request, or no
 * room. It counts once the slot's n_lookups says so.
 */
bool request_put_lookup(uint64_t nodeid);

/* The last one that counts; 0: there is none. */
uint64_t request_last_lookup(void);

/* The nodeids that are noted so in the buffer of a request; slot->n_lookups of them. */
#define REQUEST_LOOKUPS_OFFSET 16384U
#define REQUEST_MAX_LOOKUPS    8192U /* over what the longest listing holds */
static inline uint64_t *request_lookups(char *buffer)
{
    return (uint64_t *)(void *)(buffer + REQUEST_LOOKUPS_OFFSET);
}

/* Keeps the compiler from moving writes over this point. */
static inline void request_fence(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
