/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/abi.h"

#include <stdbool.h>

/*
 * The agreement at FUSE_INIT, as a pure function of what the kernel offers and what the view wants. A successor worker
 * repeats it with the saved request and must come to the same end.
 */
struct fuse_wants {
    bool passthrough;         /* data through the kernel */
    uint32_t max_stack_depth; /* 1, or 2 for a source that is itself stacked */
    bool cache;               /* directory contents and symbolic links may be cached */
    bool posix_acl;
    bool no_resend; /* do as before Linux 6.9, which does not send requests of a dead server again */
    bool export;    /* file handles of the view last: "." and ".." are looked up by nodeid */
};

/* What both sides have. */
struct fuse_agreed {
    uint64_t flags; /* FUSE_* flags of flags and flags2 */
    uint32_t minor;
    uint32_t max_write_bytes;
    bool passthrough;
    bool resend;
    bool notify_inc_epoch;
    bool notify_prune;
};

/*
 * The most that a write request carries. With passthrough there are none, as a rule, and each server thread saves the
 * memory for them.
 */
#define FUSE_MAX_WRITE_BYTES             (1024U * 1024U)
#define FUSE_MAX_WRITE_PASSTHROUGH_BYTES (256U * 1024U)

/* -EPROTO if the kernel's protocol is older than 7.31 (Linux 5.4). */
int fuse_negotiate(const struct fuse_init_in *in, const struct fuse_wants *wants, struct abi_init_out *ret_out,
                   struct fuse_agreed *ret_agreed);
