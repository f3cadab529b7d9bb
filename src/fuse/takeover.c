/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking over from a dead worker.
 *
 * With FUSE_NOTIFY_RESEND the kernel puts all that was read and not answered in front of its queue again, marked. What
 * was noted of such a request waits in the orphans until it comes. Some orphans never come: their answer was sent, and
 * the worker died before it could clear the slot. Since all that is sent again comes first, the first request without
 * the mark says that the orphans left are of that kind.
 *
 * Without it (before Linux 6.9) the requests are still whole in the buffers, and are done again from there. An answer
 * that had been sent already is then refused by the kernel, which does no harm.
 *
 * A worker may die in the middle of all this. An orphan is written before its slot is cleared, and the slot that takes
 * it over is filled before the orphan is; so a request may be noted twice, and then the note in the slot is the newer.
 */
#include "fuse/takeover.h"

#include "fuse/request_check.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct takeover {
    struct transport_config config;
    uint64_t left; /* bit i: the request in buffer i is to be done again */
};

_Static_assert(REQUEST_MAX_THREADS <= 64, "a bit for each buffer");

static char *buffer_of(const struct takeover *t, unsigned number)
{
    return t->config.buffers + (size_t)number * TRANSPORT_BUFFER_BYTES;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void clear_slot(struct request_slot *slot)
{
    slot->unique = 0;
    request_fence();
    memset(slot, 0, sizeof(*slot));
}

/* What a dead worker had read of FORGETs and not counted yet. How far this comes is noted as a worker would. */
static void finish_forgets(struct takeover *t, struct request_slot *slot, const char *buffer)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)buffer;
    if (request_check(header, MIN(header->len, TRANSPORT_BUFFER_BYTES), true) < 0)
        return;
    slot->opcode = header->opcode; /* it may have died before it came to that */
    slot->unique = header->unique;
    request_enter(slot, header);
    if (header->opcode == FUSE_FORGET && slot->forgets_done == 0) {
        const struct fuse_forget_in *in = (const void *)(header + 1);
        t->config.forget(t->config.userdata, header->nodeid, in->nlookup);
    } else if (header->opcode == FUSE_BATCH_FORGET) {
        const struct fuse_batch_forget_in *in = (const void *)(header + 1);
        const struct fuse_forget_one *one = (const void *)(in + 1);
        for (uint32_t i = slot->forgets_done; i < in->count; i++)
            t->config.forget(t->config.userdata, one[i].nodeid, one[i].nlookup);
    }
    request_enter(NULL, NULL);
}

static bool wants_no_answer(uint32_t opcode)
{
    return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

static struct request_slot *find_orphan(struct transport_state *state, uint64_t unique)
{
    for (unsigned i = 0; i < state->n_orphans; i++) {
        if (state->orphans[i].unique == unique)
            return &state->orphans[i];
    }
    return NULL;
}

/* A place for an orphan: that of an older note of the same request, a free one, or a new one. */
static struct request_slot *place_for_orphan(struct transport_state *state, uint64_t unique)
{
    struct request_slot *place = find_orphan(state, unique);
    if (!place)
        place = find_orphan(state, 0);
    if (!place && state->n_orphans < G_N_ELEMENTS(state->orphans))
        place = &state->orphans[state->n_orphans++];
    return place;
}

static uint64_t *lookups_of_orphan(struct transport_state *state, const struct request_slot *orphan)
{
    return state->orphan_lookups[orphan - state->orphans];
}

static void make_orphan(struct takeover *t, struct request_slot *slot, char *buffer)
{
    struct request_slot *orphan = place_for_orphan(t->config.state, slot->unique);
    if (!orphan)
        return;
    uint64_t unique = slot->unique;
    orphan->unique = 0;
    request_fence();
    *orphan = *slot;
    orphan->unique = 0;
    orphan->n_lookups = MIN(slot->n_lookups, REQUEST_MAX_LOOKUPS);
    memcpy(lookups_of_orphan(t->config.state, orphan), request_lookups(buffer), orphan->n_lookups * sizeof(uint64_t));
    orphan->attempts += t->config.state->death_weight;
    request_fence();
    orphan->unique = unique;
}

/* A worker that died while it moved a request left it in two buffers. */
static bool is_left_elsewhere(const struct takeover *t, uint64_t unique)
{
    for (unsigned i = 0; i < REQUEST_MAX_THREADS; i++) {
        if (t->left & (1ULL << i) && ((struct fuse_in_header *)buffer_of(t, i))->unique == unique)
            return true;
    }
    return false;
}

static void adopt(struct takeover *t, unsigned number, bool resend)
{
    struct request_slot *slot = &t->config.state->slots[number];
    struct fuse_in_header *header = (struct fuse_in_header *)buffer_of(t, number);
    bool is_read = header->len >= sizeof(*header);
    if (is_read && wants_no_answer(header->opcode)) {
        finish_forgets(t, slot, (const char *)header);
    } else if (is_read && !resend && !is_left_elsewhere(t, header->unique)) {
        t->left |= 1ULL << number;
        slot->attempts += t->config.state->death_weight;
        return;
    } else if (resend && slot->unique != 0) {
        make_orphan(t, slot, (char *)header);
    }
    header->len = 0;
    request_fence();
    clear_slot(slot);
}

struct takeover *takeover_new(const struct transport_config *config, bool resend)
{
    struct takeover *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->config = *config;
    if (config->recover)
        config->recover(config->userdata, config->state->slots, REQUEST_MAX_THREADS);
    for (unsigned i = 0; i < REQUEST_MAX_THREADS; i++)
        adopt(t, i, resend);
    return t;
}

void takeover_free(struct takeover *t)
{
    free(t);
}

bool takeover_claim(struct takeover *t, struct request_slot *slot, struct fuse_in_header *header)
{
    struct transport_state *state = t->config.state;
    uint64_t unique = header->unique & ~ABI_UNIQUE_RESEND;
    struct request_slot *orphan = NULL;
    if (header->unique & ABI_UNIQUE_RESEND)
        orphan = find_orphan(state, unique);
    else if (!wants_no_answer(header->opcode))
        state->n_orphans = 0;
    if (orphan) {
        *slot = *orphan;
        slot->unique = 0;
        memcpy(request_lookups((char *)header), lookups_of_orphan(state, orphan),
               MIN(slot->n_lookups, REQUEST_MAX_LOOKUPS) * sizeof(uint64_t));
    }
    slot->opcode = header->opcode;
    slot->nodeid = header->nodeid;
    slot->begun_ms = now_ms();
    request_fence();
    slot->unique = unique;
    request_fence();
    if (orphan)
        orphan->unique = 0;
    return orphan;
}

bool takeover_next_left(struct takeover *t, unsigned number)
{
    if (t->left == 0)
        return false;
    unsigned from = t->left & (1ULL << number) ? number : (unsigned)__builtin_ctzll(t->left);
    struct request_slot *slot = &t->config.state->slots[number];
    struct fuse_in_header *header = (struct fuse_in_header *)buffer_of(t, number);
    if (from != number) {
        struct fuse_in_header *old = (struct fuse_in_header *)buffer_of(t, from);
        uint32_t n_bytes = old->len;
        memcpy((char *)header + sizeof(n_bytes), (char *)old + sizeof(n_bytes),
               TRANSPORT_BUFFER_BYTES - sizeof(n_bytes));
        *slot = t->config.state->slots[from];
        request_fence();
        header->len = n_bytes; /* here twice for a moment: see is_left_elsewhere() */
        request_fence();
        old->len = 0;
        clear_slot(&t->config.state->slots[from]);
    }
    slot->opcode = header->opcode;
    slot->nodeid = header->nodeid;
    slot->begun_ms = now_ms();
    slot->unique = header->unique;
    t->left &= ~(1ULL << from);
    return true;
}
