/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/negotiate.h"
#include "fuse/request.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>

/*
 * One FUSE connection, as a worker sees it: who reads requests, which threads serve them, and how a successor takes
 * over.
 *
 * libfuse parses requests and builds replies; reading, INIT, threads and what libfuse 3.14 does not know are ours.
 */
#define TRANSPORT_N_OPCODES    64
#define TRANSPORT_HEAD_BYTES   8192U /* of a request, beside what it writes */
#define TRANSPORT_BUFFER_BYTES (FUSE_MAX_WRITE_BYTES + TRANSPORT_HEAD_BYTES)

/*
 * How much a worker's end tells against the requests that it worked on. Whoever kills workers at random may meet a slow
 * request many times; a request that workers crash on is failed after three.
 */
#define TRANSPORT_WEIGHT_KILLED  1
#define TRANSPORT_WEIGHT_CRASHED 64

/* The part of the view's shared memory that belongs to the transport. Zeroed at the beginning of a view's life. */
struct transport_state {
    uint32_t n_init_bytes; /* of init: 0 until INIT is answered */
    uint32_t n_orphans;
    uint32_t death_weight;    /* of the last worker's end: TRANSPORT_WEIGHT_*; set before its successor starts */
    uint32_t max_write_bytes; /* as told to the kernel; 0: FUSE_MAX_WRITE_BYTES, by a program that noted none */
    struct fuse_in_header init_header;
    struct fuse_init_in init;
    _Atomic uint64_t n_requests[TRANSPORT_N_OPCODES]; /* by opcode, since the view was mounted */
    _Atomic uint64_t n_notifications;
    struct request_slot slots[REQUEST_MAX_THREADS];
    struct request_slot orphans[REQUEST_MAX_ORPHANS]; /* requests that died with a worker and wait to be resent */
    uint64_t orphan_lookups[REQUEST_MAX_ORPHANS][REQUEST_MAX_LOOKUPS];
};

/* Handles opcodes that libfuse 3.14 does not know. Returns false if it does not know the opcode either. */
typedef bool (*transport_raw_fn)(void *userdata, const struct fuse_in_header *header, const void *body, size_t n_bytes);
/* Applies one forget that a dead worker had read (before threads start). */
typedef void (*transport_forget_fn)(void *userdata, uint64_t nodeid, uint64_t n_lookups);
/* Completes the changes of open counts that dead workers had begun (before threads start). */
typedef void (*transport_recover_fn)(void *userdata, struct request_slot *slots, unsigned n_slots);
/* Takes back an open that was counted for an answer that nobody got; clears slot->open. */
typedef void (*transport_undo_open_fn)(void *userdata, struct request_slot *slot);

struct transport_config {
    int dev_fd;                    /* /dev/fuse; not owned */
    struct transport_state *state; /* in shared memory */
    char *buffers;                 /* REQUEST_MAX_THREADS times TRANSPORT_BUFFER_BYTES, in shared memory */
    struct fuse_wants wants;
    const struct fuse_lowlevel_ops *ops;
    transport_raw_fn raw;
    transport_forget_fn forget;
    transport_recover_fn recover;         /* or NULL */
    transport_undo_open_fn undo_open;     /* or NULL */
    void (*thread_start)(void *userdata); /* in each thread before it serves */
    void *userdata;
    unsigned n_threads_max; /* at most REQUEST_MAX_THREADS */
};

struct transport;

/*
 * Makes a transport. With a state that holds an INIT already this is a successor: it agrees on the very same. Otherwise
 * it waits for INIT and answers it. -ENODEV if the view was unmounted meanwhile.
 */
int transport_new(const struct transport_config *config, struct transport **ret_transport);
void transport_free(struct transport *transport);

const struct fuse_agreed *transport_agreed(const struct transport *transport);

/*
 * Serves until the view is unmounted (0) or the connection fails (negative errno). A successor asks the kernel to send
 * again what was in flight. Threads come and go with the work: see pool.c.
 */
int transport_serve(struct transport *transport);

/* Tells transport_serve() to let go after the requests in work, leaving the connection to a successor. Any thread. */
void transport_stop(struct transport *transport);

/*
 * Sends a notification: a code and its payload. Never from a server thread (inval_entry waits for the directory's lock,
 * which a request may hold). 0, or -ENOENT when the kernel does not know what it is about.
 */
int transport_notify(struct transport *transport, int code, const void *payload, size_t n_bytes, const void *more,
                     size_t n_more_bytes);

/* Answers an opcode handled by a transport_raw_fn. -errno when nobody takes the answer. */
int transport_reply_raw(struct transport *transport, uint64_t unique, int error, const void *body, size_t n_bytes);
