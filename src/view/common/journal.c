/* SPDX-License-Identifier: Apache-2.0 */
#include "view/common/journal.h"

#include "base/fault.h"
#include "fuse/request.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

_Static_assert(INODE_KEY_MAX_BYTES <= REQUEST_KEY_BYTES, "a slot holds every key");

/* A dying process leaves its writes in their order: the stage last. */
static void set_stage(struct request_slot *slot, enum request_stage stage)
{
    request_fence();
    slot->stage = stage;
    request_fence();
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

#define NS_PER_S 1000000000LL

/* How far the clock that stamps files may be behind ours: not at all, unless it is that of another machine. */
static int64_t clock_skew_ns(int fd)
{
    struct statfs st;
    if (fstatfs(fd, &st) == 0) {
        switch (st.f_type) {
        case EXT4_SUPER_MAGIC:
        case XFS_SUPER_MAGIC:
        case BTRFS_SUPER_MAGIC:
        case TMPFS_MAGIC:
        case F2FS_SUPER_MAGIC:
            return 0;
        default:
            break;
        }
    }
    return 10 * NS_PER_S;
}

bool journal_is_recent(int fd, const struct statx_timestamp *stamp)
{
    const struct request_slot *before = request_replayed();
    return before && stamp->tv_sec * NS_PER_S + stamp->tv_nsec >= before->begun_at_ns - clock_skew_ns(fd);
}

static void begin(struct request_slot *slot)
{
    struct timespec now;
    if (!slot || slot->stage != REQUEST_STAGE_NONE)
        return;                                 /* begun by a worker that died: its time counts */
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the one that stamps files */
    slot->begun_at_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
    set_stage(slot, REQUEST_STAGE_BEGUN);
}

static int finish(struct request_slot *slot, int result)
{
    FAULT_POINT("journal-undone");
    if (slot) {
        slot->result = result;
        set_stage(slot, REQUEST_STAGE_DONE);
    }
    FAULT_POINT("journal-done");
    return result;
}

int journal_run_checked(int (*op)(void *data), void *data, int already, bool (*is_ours)(void *data))
{
    const struct request_slot *before = request_replayed();
    struct request_slot *slot = request_current_slot();
    int r;
    FAULT_POINT("journal-start");
    if (journal_is_done(&r))
        return r;
    begin(slot);
    FAULT_POINT("journal-begun");
    r = op(data);
    if (r == already && before && before->stage == REQUEST_STAGE_BEGUN && (!is_ours || is_ours(data)))
        r = 0;
    return finish(slot, r);
}

void journal_note_done(int result)
{
    finish(request_current_slot(), result);
}

int journal_run(int (*op)(void *data), void *data, int already)
{
    return journal_run_checked(op, data, already, NULL);
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
            return finish(slot, 0);
    } else if (slot) {
        note_key(&slot->subject, subject);
        note_key(&slot->object, object);
    }
    begin(slot);
    FAULT_POINT("journal-begun");
    return finish(slot, op(data));
}
