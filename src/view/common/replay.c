/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open counts over the death of a worker.
 *
 * A worker notes in its slot what an inode's open count was before it changes it, with the inode locked. So a change
 * that a dead worker had begun can be completed (a release) or taken back (an open), whatever of it had been done; and
 * an open that was counted, but whose answer never left, is taken back before the request is done again.
 *
 * One thing leaves no note: a backing id, between the kernel's answer and the next write. Ids are given out in
 * ascending order, so those that were given out last and that no inode has are the lost ones.
 */
#include "base/log.h"
#include "sys/fuse_dev.h"
#include "view/common/view.h"

#include <fcntl.h>
#include <string.h>

/* What each of the threads may have lost at once. */
#define N_IDS (2 * REQUEST_MAX_THREADS)

struct recent_ids {
    int32_t first;
    bool noted[N_IDS];
};

static void strike_out(struct inode *inode, void *data)
{
    struct recent_ids *ids = data;
    if (inode->backing_id >= ids->first && inode->backing_id < ids->first + N_IDS)
        ids->noted[inode->backing_id - ids->first] = true;
}

/* Closes lost backing ids. inode is a regular file: another id for it shows how far the kernel has counted. */
static void close_lost_ids(struct view *view, struct inode *inode)
{
    int32_t next;
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return;
    int r = fuse_dev_backing_open(view->dev_fd, fd, &next);
    inode_table_put_fd(view->inodes, inode);
    if (r < 0)
        return;
    struct recent_ids ids = {.first = next - N_IDS + 1};
    inode_table_foreach(view->inodes, strike_out, &ids);
    for (int32_t id = MAX(ids.first, 1); id <= next; id++) {
        if (!ids.noted[id - ids.first])
            fuse_dev_backing_close(view->dev_fd, id);
    }
}

/* Brings one change to an end. Says whether a backing id may be lost by it. */
static bool complete(struct view *view, struct request_open *open, struct inode *inode)
{
    uint32_t n_opens = open->n_before, n_writers = open->n_writers_before;
    if (open->release && n_opens > 0)
        n_opens--;
    if (open->release && open->writes && n_writers > 0)
        n_writers--;
    inode->n_opens = n_opens;
    inode->n_writers = (uint16_t)n_writers;
    bool none_left = n_opens == 0;
    if (none_left) {
        view_drop_backing(view, inode);
        inode_table_unpin_fd(view->inodes, inode);
    }
    request_fence();
    open->stage = open->release ? REQUEST_STAGE_DONE : REQUEST_STAGE_NONE;
    return none_left && !open->release;
}

void view_recover_opens(void *data, struct request_slot *slots, unsigned n_slots)
{
    struct view *view = data;
    struct inode *lost = NULL;
    for (unsigned i = 0; i < n_slots; i++) {
        struct request_open *open = &slots[i].open;
        struct inode *inode = open->stage == REQUEST_STAGE_BEGUN ? inode_table_get(view->inodes, open->nodeid) : NULL;
        if (inode && complete(view, open, inode))
            lost = inode;
    }
    if (lost && atomic_load(&view->passthrough))
        close_lost_ids(view, lost);
}

void view_undo_open(void *data, struct request_slot *slot)
{
    struct view *view = data;
    struct request_open open = slot->open;
    if (open.release)
        return; /* done, and not to be done again: op_release() sees it */
    slot->open.stage = REQUEST_STAGE_NONE;
    struct inode *inode = open.stage == REQUEST_STAGE_DONE ? inode_table_get(view->inodes, open.nodeid) : NULL;
    if (inode)
        view_count_release(view, inode, open.writes ? O_WRONLY : O_RDONLY);
    memset(&slot->open, 0, sizeof(slot->open));
}
