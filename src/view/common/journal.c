/* SPDX-License-Identifier: Apache-2.0 */
#include "view/common/journal.h"

#include "fuse/request.h"

#include <stdatomic.h>
#include <string.h>

_Static_assert(INODE_KEY_MAX_BYTES <= REQUEST_KEY_BYTES, "a slot holds every key");

/* A dying process leaves its writes in their order: the stage last. */
static void set_stage(struct request_slot *slot, enum request_stage stage)
{
    atomic_signal_fence(memory_order_seq_cst);
    slot->stage = stage;
    atomic_signal_fence(memory_order_seq_cst);
}

static void note_key(struct request_key *noted, const struct inode_key *key)
{
    noted->length = key->n_bytes;
    memcpy(noted->bytes, key->bytes, key->n_bytes);
}

static void read_key(const struct request_key *noted, struct inode_key *ret_key)
{
    ret_key->n_bytes = noted->length <= INODE_KEY_MAX_BYTES ? noted->length : 0;
    memcpy(ret_key->bytes, noted->bytes, ret_key->n_bytes);
}

bool journal_is_done(int *ret_result)
{
    const struct request_slot *before = request_replayed();
    if (!before || before->stage != REQUEST_STAGE_DONE)
        return false;
    *ret_result = before->result;
    return true;
}

static int run(int (*op)(void *data), void *data)
{
    struct request_slot *slot = request_current_slot();
    if (slot)
        set_stage(slot, REQUEST_STAGE_BEGUN);
    int r = op(data);
    if (slot) {
        slot->result = r;
        set_stage(slot, REQUEST_STAGE_DONE);
    }
    return r;
}

int journal_run(int (*op)(void *data), void *data, int already)
{
    const struct request_slot *before = request_replayed();
    int r;
    if (journal_is_done(&r))
        return r;
    r = run(op, data);
    return before && before->stage == REQUEST_STAGE_BEGUN && r == already ? 0 : r;
}

int journal_run_rename(int (*op)(void *data), void *data, const struct inode_key *subject,
                       const struct inode_key *object,
                       bool (*happened)(void *data, const struct inode_key *subject, const struct inode_key *object))
{
    const struct request_slot *before = request_replayed();
    struct request_slot *slot = request_current_slot();
    int r;
    if (journal_is_done(&r))
        return r;
    if (before && before->stage == REQUEST_STAGE_BEGUN) {
        struct inode_key subject_before, object_before;
        read_key(&before->subject, &subject_before);
        read_key(&before->object, &object_before);
        if (happened(data, &subject_before, &object_before))
            return 0;
    }
    if (slot) {
        note_key(&slot->subject, subject);
        note_key(&slot->object, object);
    }
    return run(op, data);
}
