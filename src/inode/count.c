/* SPDX-License-Identifier: Apache-2.0 */
#include "inode/count.h"

#include "base/fault.h"

static bool is_forget(const struct request_slot *slot)
{
    return slot->opcode == FUSE_FORGET || slot->opcode == FUSE_BATCH_FORGET;
}

static void begin(struct inode_state *state, const struct inode *inode, uint64_t nodeid, uint64_t n_lookups)
{
    struct inode_change *change = &state->change;
    const struct request_slot *slot = request_current_slot();
    change->index = inode ? (uint32_t)(inode - state->records) : UINT32_MAX;
    change->nodeid = nodeid;
    change->n_lookups = n_lookups;
    change->unique = slot ? slot->unique : 0;
    change->n_noted = slot ? slot->n_lookups : 0;
    change->forgets_done = slot ? slot->forgets_done : 0;
}

static void set_begun(struct inode_state *state, uint32_t begun)
{
    request_fence();
    state->change.begun = begun;
    request_fence();
}

void count_begin_lookup(struct inode_state *state, const struct inode *inode, uint64_t nodeid)
{
    begin(state, inode, nodeid, inode->n_lookups + 1);
    if (request_put_lookup(nodeid))
        state->change.n_noted++;
    set_begun(state, 1);
}

uint64_t count_begin_forget(struct inode_state *state, const struct inode *inode, uint64_t nodeid, uint64_t n_lookups)
{
    const struct request_slot *slot = request_current_slot();
    uint64_t n_left = inode && inode->n_lookups > n_lookups ? inode->n_lookups - n_lookups : 0;
    begin(state, inode, nodeid, n_left);
    if (slot && is_forget(slot))
        state->change.forgets_done++;
    else if (n_lookups == 1 && request_last_lookup() == nodeid)
        state->change.n_noted--;
    set_begun(state, 1);
    return n_left;
}

static void note(const struct inode_change *change, struct request_slot *slot)
{
    slot->n_lookups = change->n_noted;
    slot->forgets_done = change->forgets_done;
}

void count_end(struct inode_state *state)
{
    struct request_slot *slot = request_current_slot();
    request_fence();
    FAULT_POINT("count-half");
    if (slot)
        note(&state->change, slot);
    set_begun(state, 0);
}

void count_recover(struct inode_state *state, struct request_slot *slots, unsigned n_slots)
{
    const struct inode_change *change = &state->change;
    if (!change->begun)
        return;
    bool is_known = change->index < atomic_load(&state->n_records_used);
    struct inode *inode = is_known ? &state->records[change->index] : NULL;
    bool is_there = inode && inode->nodeid == change->nodeid;
    if (is_there)
        inode->n_lookups = change->n_lookups;
    /* A record that is not there was taken back already, or was not published yet: then nothing has been counted. */
    for (unsigned i = 0; slots && (is_there || change->n_lookups == 0) && i < n_slots; i++) {
        if (change->unique != 0 && slots[i].unique == change->unique)
            note(change, &slots[i]);
    }
    set_begun(state, 0);
}
