/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/request.h"
#include "inode/inode_state.h"

/*
 * Lookup counts, and what the request that changes one notes of it in its slot: two places, and a worker may die
 * between them. So the change as a whole is written down first, and a successor completes it. All under the table's
 * lock: no more than one change is under way.
 *
 *     count_begin_…();  change inode->n_lookups (and publish or take back the record);  count_end();
 */

/* One lookup more of an inode, whose nodeid is or will be this one. */
void count_begin_lookup(struct inode_state *state, const struct inode *inode, uint64_t nodeid);

/*
 * n_lookups fewer, for a FORGET or because an answer was not sent. inode may be NULL: a FORGET of what is not known has
 * been seen to all the same. Returns what is left.
 */
uint64_t count_begin_forget(struct inode_state *state, const struct inode *inode, uint64_t nodeid, uint64_t n_lookups);

void count_end(struct inode_state *state);

/* Completes what a dead worker had begun. slots may be NULL: then nobody had noted anything. */
void count_recover(struct inode_state *state, struct request_slot *slots, unsigned n_slots);
