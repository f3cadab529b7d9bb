/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "watch/orders.h"
#include "watch/watch_state.h"

/*
 * Makes inotify watchers in a view hear of changes that were made behind it.
 */

/* Whether changes may have to be echoed. */
bool echo_is_possible(const struct echo_state *echo);

/* Echoes that wait to be made; the notifier's. */
struct echo_backlog {
    size_t begin, end;
    size_t n_asked;   /* the keeper has been asked since these bytes were taken */
    unsigned n_looks; /* for its answer */
    _Alignas(8) char bytes[2 * ORDERS_PACKET_BYTES];
};

/* Takes what is to be echoed of a packet that was carried out; what finds no room is not echoed. */
void echo_take(struct echo_backlog *backlog, const struct echo_state *echo, const char *bytes, size_t n_bytes);

/* Makes the next echo, if it is time. Returns how long to wait before the next call; -1 if nothing is left to do. */
int echo_make_one(struct echo_backlog *backlog, struct watch_state *state, struct transport *transport);
