/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "watch/orders.h"
#include "watch/watch_state.h"

/*
 * The notifier: a small process that tells the kernel what has changed.
 *
 * To drop an entry the kernel takes the lock of its directory, and to drop a page that page's lock, without a way to
 * give up. Who holds it may be a client that waits for an answer of the worker. Were the worker itself to wait there,
 * it could neither be replaced nor even be killed: it would be waiting for the lock, the lock's holder for an answer,
 * and the answer for a successor that starts only when it is gone. So another process waits there; it shares the
 * descriptors of the worker and nothing else that matters, and it is ended with it as soon as it can be.
 *
 * A packet is taken off the queue only after it was carried out: one that a notifier dies of is carried out again by
 * the next. That happens twice at most, and does no harm.
 */
/* Starts it; it takes packets from the state's queue, a SOCK_SEQPACKET socket, and ends with the calling thread. */
int notifier_start(struct transport *transport, struct watch_state *state, int *ret_pidfd);

/* To be called when pidfd polls readable: it has ended by itself. Closes pidfd. */
void notifier_reap(int pidfd);
