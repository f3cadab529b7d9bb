/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing regular files; passthrough.
 *
 * An inode's open files all do their I/O the same way, as the kernel demands: the first open decides, and what it
 * decided holds until the last release (n_opens in the inode's record). One backing id serves them all.
 *
 * The id is kept beyond the last release, so that a file which is opened again and again costs no more than an answer.
 * It stands for an O_PATH descriptor that the table keeps anyhow, and is dropped with it: so it keeps neither a program
 * from being written, nor a lease from being given, nor a removed file on the disk for longer than that.
 *
 * The fh of an open file is its open flags: it means the same to whichever worker gets it.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "fuse/abi.h"
#include "fuse/notify.h"
#include "sys/fuse_dev.h"
#include "sys/inode_fd.h"
#include "view/common/data_files.h"
#include "view/common/view.h"

#include <errno.h>
#include <fcntl.h>

static bool opens_for_writing(int open_flags)
{
    return (open_flags & O_ACCMODE) != O_RDONLY;
}

/*
 * Whether the backing id of an earlier open will do. A writer needs one of its own: it is with the group of who was
 * first that the kernel writes, and may clear set-id bits.
 */
static bool is_chosen_already(const struct inode *inode, int open_flags)
{
    return inode->n_opens > 0 || (inode->backing_id != 0 && !opens_for_writing(open_flags));
}

/* Decides how the inode's files do their I/O, at the first open. With the inode locked. */
static void choose_io(struct view *view, struct inode *inode, int fd)
{
    int32_t id;
    view_drop_backing(view, inode);
    atomic_fetch_and(&inode->flags, (uint16_t)~INODE_FLAG_PASSTHROUGH);
    if (!atomic_load_explicit(&view->passthrough, memory_order_relaxed))
        return;
    view_begin_data_change(view, false); /* the kernel does the file's I/O with the credentials of this call */
    int r = fuse_dev_backing_open(view->dev_fd, fd, &id);
    view_end_data_change();
    FAULT_POINT("open-backing");
    if (r == 0) {
        inode->backing_id = id;
        atomic_fetch_or(&inode->flags, INODE_FLAG_PASSTHROUGH);
    } else if (r == -EPERM || r == -EOPNOTSUPP || r == -ELOOP) {
        atomic_store(&view->source->no_passthrough, 1);
        if (atomic_exchange(&view->passthrough, false))
            log_info("data goes through the server: passthrough is not possible here: %s", g_strerror(-r));
    }
}

/* Notes a change of the open count before and after it is made. With the inode locked. */
static void note_change(const struct inode *inode, int open_flags, bool release)
{
    struct request_slot *slot = request_current_slot();
    if (!slot)
        return;
    slot->open = (struct request_open){.nodeid = inode->nodeid,
                                       .n_before = inode->n_opens,
                                       .n_writers_before = inode->n_writers,
                                       .writes = opens_for_writing(open_flags),
                                       .release = release};
    request_fence();
    slot->open.stage = REQUEST_STAGE_BEGUN;
    request_fence();
}

static void note_changed(void)
{
    struct request_slot *slot = request_current_slot();
    request_fence();
    if (slot)
        slot->open.stage = REQUEST_STAGE_DONE;
    request_fence();
}

/* Whether a worker that died had made this change already for the current request. */
static bool was_changed(const struct inode *inode, bool release)
{
    const struct request_slot *before = request_replayed();
    return before && before->open.stage == REQUEST_STAGE_DONE && before->open.release == release &&
           before->open.nodeid == inode->nodeid;
}

/*
 * Counts an open. From its first writer on, the kernel is to ask for the attributes each time (view_attr_timeout()):
 * what a mapping changes of them is told to nobody.
 */
static void count_open(struct view *view, struct inode *inode, int fd, int open_flags)
{
    inode_table_lock(view->inodes, inode);
    note_change(inode, open_flags, false);
    inode_table_pin_fd(view->inodes, inode); /* best effort: see inode_table.h */
    if (!is_chosen_already(inode, open_flags))
        choose_io(view, inode, fd);
    FAULT_POINT("open-begun");
    inode->n_opens++;
    bool first_writer = opens_for_writing(open_flags) && inode->n_writers++ == 0;
    note_changed();
    inode_table_unlock(view->inodes, inode);
    FAULT_POINT("open-counted");
    if (first_writer && view->cached_s > 0)
        notify_inval_attributes(view->transport, inode->nodeid); /* takes no lock that a request holds */
}

void view_drop_backing(struct view *view, struct inode *inode)
{
    if (inode->backing_id != 0)
        fuse_dev_backing_close(view->dev_fd, inode->backing_id);
    FAULT_POINT("backing-closed");
    inode->backing_id = 0; /* after the other: closing one twice does no harm */
}

/* The inode of a layered view may be another file when it is opened next; and without a descriptor nobody drops it. */
static bool keeps_backing(const struct view *view, const struct inode *inode)
{
    return !view->hooks && atomic_load(&inode->flags) & INODE_FLAG_FD_PINNED;
}

void view_count_release(struct view *view, struct inode *inode, int open_flags)
{
    inode_table_lock(view->inodes, inode);
    note_change(inode, open_flags, true);
    bool last = inode->n_opens == 1;
    if (last && !keeps_backing(view, inode))
        view_drop_backing(view, inode);
    FAULT_POINT("release-begun");
    if (inode->n_opens > 0)
        inode->n_opens--;
    if (opens_for_writing(open_flags) && inode->n_writers > 0)
        inode->n_writers--;
    note_changed();
    inode_table_unlock(view->inodes, inode);
    FAULT_POINT("release-counted");
    if (last) {
        data_files_drop(view->data_files, inode);
        inode_table_unpin_fd(view->inodes, inode);
    }
}

static uint32_t answer_flags(const struct view *view, const struct inode *inode)
{
    uint32_t flags = FOPEN_NOFLUSH;
    if (atomic_load(&inode->flags) & INODE_FLAG_PASSTHROUGH)
        return flags | FOPEN_PASSTHROUGH;
    if (view->direct_io)
        return flags | FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
    return view->options->cache == VIEW_CACHE_ALWAYS ? flags | FOPEN_KEEP_CACHE : flags;
}

void view_entry_out(const struct fuse_entry_param *entry, struct fuse_entry_out *out)
{
    const struct stat *st = &entry->attr;
    *out = (struct fuse_entry_out){
        .nodeid = entry->ino,
        .generation = entry->generation,
        .entry_valid = (uint64_t)entry->entry_timeout,
        .attr_valid = (uint64_t)entry->attr_timeout,
        .attr = {.ino = st->st_ino,
                 .size = (uint64_t)st->st_size,
                 .blocks = (uint64_t)st->st_blocks,
                 .atime = (uint64_t)st->st_atim.tv_sec,
                 .mtime = (uint64_t)st->st_mtim.tv_sec,
                 .ctime = (uint64_t)st->st_ctim.tv_sec,
                 .atimensec = (uint32_t)st->st_atim.tv_nsec,
                 .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
                 .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
                 .mode = st->st_mode,
                 .nlink = (uint32_t)st->st_nlink,
                 .uid = st->st_uid,
                 .gid = st->st_gid,
                 .rdev = (uint32_t)st->st_rdev,
                 .blksize = (uint32_t)st->st_blksize},
    };
}

int view_count_open(struct view *view, struct inode *inode, int open_flags, struct abi_open_out *ret_out)
{
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    if (!was_changed(inode, false))
        count_open(view, inode, fd, open_flags);
    inode_table_put_fd(view->inodes, inode);
    *ret_out = (struct abi_open_out){
        .fh = (uint32_t)open_flags, .open_flags = answer_flags(view, inode), .backing_id = inode->backing_id};
    return 0;
}

/*
 * Whether an open must be tried on the disk: for writing (immutable and append-only files, a running program, a
 * read-only file system), and to truncate.
 */
static int try_open(struct view *view, int fd, int flags)
{
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & (O_TRUNC | O_NOATIME)))
        return 0;
    const struct fuse_open_in *in = (const void *)(request_current_header() + 1);
    view_begin_data_change(view, !(in->open_flags & FUSE_OPEN_KILL_SUIDGID));
    int opened = inode_fd_reopen(fd, (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW | O_DIRECTORY)) | O_NONBLOCK);
    view_end_data_change();
    if (opened < 0)
        return opened;
    fd_close(opened);
    return 0;
}

/* A file that was removed behind the view is not opened by a stale entry; ESTALE makes the kernel look it up again. */
static int check_not_removed(const struct inode *inode, int fd)
{
    struct statx stx;
    if (inode->n_opens > 0)
        return 0;
    int r = inode_fd_statx(fd, &stx);
    return r < 0 ? r : stx.stx_nlink == 0 ? -ESTALE : 0;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    int r = inode ? 0 : -ESTALE;
    if (r == 0 && view->hooks->prepare_open)
        r = view->hooks->prepare_open(view, inode, fi->flags);
    int fd = r < 0 ? r : inode_table_get_fd(view->inodes, inode);
    if (fd < 0) {
        view_reply_error(req, fd == -ENOENT ? -ESTALE : fd);
        return;
    }
    r = check_not_removed(inode, fd);
    if (r == 0 && !was_changed(inode, false)) /* or its O_TRUNC would cut off what was written since */
        r = try_open(view, fd, fi->flags);
    inode_table_put_fd(view->inodes, inode);
    struct abi_open_out out;
    if (r == 0)
        r = view_count_open(view, inode, fi->flags, &out);
    if (r < 0)
        view_reply_error(req, r);
    else if (request_answer_is_lost(fuse_reply_buf(req, (const char *)&out, sizeof(out))))
        view_count_release(view, inode, fi->flags); /* the caller was interrupted: no RELEASE will come */
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    if (inode && !was_changed(inode, true))
        view_count_release(view, inode, (int)fi->fh);
    view_reply_error(req, 0);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    view_reply_error(req, -ENOSYS); /* the kernel asks no more */
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    view_reply_error(req, -ENOSYS); /* directories need no open, and their contents may be cached */
}

void view_ops_open(struct fuse_lowlevel_ops *ops)
{
    ops->open = op_open;
    ops->release = op_release;
    ops->flush = op_flush;
}

void view_ops_open_cached_directories(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
}
