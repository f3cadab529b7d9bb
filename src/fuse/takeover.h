/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/transport.h"

/*
 * What a worker finds of its predecessors' requests. Single-threaded, but for takeover_claim(), which the one thread
 * calls that reads requests.
 */
struct takeover;

/*
 * Goes through slots and buffers as dead workers left them: finishes FORGETs, has half-made counts completed
 * (config->recover) and keeps the rest: for the kernel to send again (resend), or in place, to be done again from the
 * buffers. NULL when memory runs out.
 */
struct takeover *takeover_new(const struct transport_config *config, bool resend);
void takeover_free(struct takeover *takeover);

/*
 * Fills in the slot of a thread for a request that the kernel has sent (header, in the thread's buffer): empty, or, if
 * it was sent again, with what was noted of it, its lookups in the buffer. True if something was.
 */
bool takeover_claim(struct takeover *takeover, struct request_slot *slot, struct fuse_in_header *header);

/*
 * Where the kernel does not send again: moves one request that is left into the buffer and slot of this thread. False
 * when none is left.
 */
bool takeover_next_left(struct takeover *takeover, unsigned number);
