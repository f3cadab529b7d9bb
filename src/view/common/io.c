/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that does not go through the kernel by itself, and what is asked of open files besides.
 *
 * Writes are done at the offset that the request names, never with O_APPEND: a request that is sent again after a
 * worker's death then writes the same bytes to the same place.
 */
#include "sys/ioctls.h"
#include "view/common/data_files.h"
#include "view/common/journal.h"
#include "view/common/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file of the request's inode that can do what the open flags in fh allow. */
static int get_file(struct view *view, fuse_ino_t ino, int flags, struct data_file *ret_file)
{
    struct inode *inode = inode_table_get(view->inodes, ino);
    return inode ? data_files_get(view->data_files, inode, flags, ret_file) : -ESTALE;
}

/* Opened for writing: read-write if the file can be, since one descriptor then serves reads too. */
static int get_writable(struct view *view, fuse_ino_t ino, uint64_t fh, struct data_file *ret_file)
{
    return get_file(view, ino, O_RDWR | ((int)fh & O_DIRECT), ret_file);
}

/* A thread's buffer, aligned for O_DIRECT; kept for as long as the thread lives. */
static GPrivate io_buffer = G_PRIVATE_INIT(free);
static __thread size_t io_buffer_bytes;

static char *reserve_io_buffer(size_t n_bytes)
{
    if (n_bytes > io_buffer_bytes) {
        g_private_replace(&io_buffer, NULL);
        io_buffer_bytes = 0;
        void *memory;
        if (posix_memalign(&memory, 4096, n_bytes) != 0)
            return NULL;
        g_private_set(&io_buffer, memory);
        io_buffer_bytes = n_bytes;
    }
    return g_private_get(&io_buffer);
}

/* What a file opened with O_DIRECT can write from: the bytes of a request begin wherever its header ends. */
static const char *align_for_direct(const char *bytes, size_t n_bytes, uint64_t fh)
{
    if (!(fh & O_DIRECT))
        return bytes;
    char *buffer = reserve_io_buffer(n_bytes);
    return buffer ? memcpy(buffer, bytes, n_bytes) : NULL;
}

static ssize_t read_fully(int fd, char *buffer, size_t n_bytes, off_t offset)
{
    size_t done = 0;
    while (done < n_bytes) {
        ssize_t n = pread(fd, buffer + done, n_bytes - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return done > 0 ? (ssize_t)done : -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct data_file file;
    char *buffer = reserve_io_buffer(MIN(size, FUSE_MAX_WRITE_BYTES));
    int r = buffer ? get_file(view, ino, O_RDONLY | ((int)fi->fh & O_DIRECT), &file) : -ENOMEM;
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    ssize_t n = read_fully(file.fd, buffer, MIN(size, FUSE_MAX_WRITE_BYTES), offset);
    data_files_put(view->data_files, &file);
    if (n < 0)
        view_reply_error(req, (int)n);
    else
        fuse_reply_buf(req, buffer, (size_t)n);
}

/* Answers with a number of bytes, or an error. */
static void reply_count(fuse_req_t req, int result)
{
    if (result < 0)
        view_reply_error(req, result);
    else
        fuse_reply_write(req, (size_t)result);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct data_file file;
    int r;
    if (journal_is_done(&r)) {
        reply_count(req, r);
        return;
    }
    bytes = align_for_direct(bytes, size, fi->fh);
    r = bytes ? get_writable(view, ino, fi->fh, &file) : -ENOMEM;
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    size_t done = 0;
    view_begin_data_change(view, request_current_header()->uid == 0);
    while (r == 0 && done < size) {
        ssize_t n = pwrite(file.fd, bytes + done, size - done, offset + (off_t)done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            r = n == 0 ? -EIO : -errno;
    }
    view_end_data_change();
    if (done > 0 && fi->fh & (O_SYNC | O_DSYNC) && fdatasync(file.fd) < 0)
        r = -errno;
    data_files_put(view->data_files, &file);
    r = r < 0 && done == 0 ? r : (int)done;
    journal_note_done(r);
    reply_count(req, r);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct data_file file;
    int r = view->options->volatile_upper ? 0 : get_file(view, ino, O_RDONLY, &file);
    if (r == 0 && !view->options->volatile_upper) {
        r = (datasync ? fdatasync(file.fd) : fsync(file.fd)) < 0 ? -errno : 0;
        data_files_put(view->data_files, &file);
    }
    view_reply_error(req, r);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct data_file file;
    int r;
    if (journal_is_done(&r)) {
        view_reply_error(req, r);
        return;
    }
    r = get_writable(view, ino, fi->fh, &file);
    if (r == 0) {
        view_begin_data_change(view, request_current_header()->uid == 0);
        r = fallocate(file.fd, mode, offset, length) < 0 ? -errno : 0;
        journal_note_done(r);
        view_end_data_change();
        data_files_put(view->data_files, &file);
    }
    view_reply_error(req, r);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct data_file file;
    int r = get_file(view, ino, O_RDONLY, &file); /* shared, but offset and answer do not depend on where it stands */
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    off_t found = lseek(file.fd, offset, whence);
    int error = found < 0 ? -errno : 0;
    data_files_put(view->data_files, &file);
    if (error < 0)
        view_reply_error(req, error);
    else
        fuse_reply_lseek(req, found);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in,
                               fuse_ino_t ino_out, off_t offset_out, struct fuse_file_info *fi_out, size_t length,
                               int flags)
{
    struct view *view = view_of_request(req);
    struct data_file in, out;
    int r;
    if (journal_is_done(&r)) {
        reply_count(req, r);
        return;
    }
    r = get_file(view, ino_in, O_RDONLY, &in);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    r = get_writable(view, ino_out, 0, &out);
    if (r == 0) {
        /* Less than asked for is a valid answer, and the reply has 32 bits. */
        size_t part = MIN(length, (size_t)1 << 30);
        view_begin_data_change(view, request_current_header()->uid == 0);
        ssize_t n = copy_file_range(in.fd, &offset_in, out.fd, &offset_out, part, (unsigned)flags);
        r = n < 0 ? -errno : (int)n;
        journal_note_done(r);
        view_end_data_change();
        data_files_put(view->data_files, &out);
    }
    data_files_put(view->data_files, &in);
    reply_count(req, r);
}

static void reply_ioctl(fuse_req_t req, int result, const void *value, size_t n_bytes)
{
    if (result < 0)
        view_reply_error(req, result);
    else
        fuse_reply_ioctl(req, result, value, n_bytes);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument, struct fuse_file_info *fi,
                     unsigned flags, const void *in, size_t n_in_bytes, size_t n_out_bytes)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    char value[IOCTL_VALUE_MAX_BYTES] = {0};
    size_t n_bytes;
    bool changes;
    int r = inode ? ioctl_of_inode(command, &n_bytes, &changes) : -ESTALE;
    if (r == 0 && (n_in_bytes > sizeof(value) || n_out_bytes > sizeof(value)))
        r = -EINVAL;
    int result;
    if (r == 0 && changes && journal_is_done(&result)) {
        reply_ioctl(req, result, NULL, 0);
        return;
    }
    if (r == 0 && changes)
        r = view_prepare_write(view, inode);
    struct data_file file;
    if (r == 0)
        r = data_files_get(view->data_files, inode, O_RDONLY, &file);
    if (r < 0) {
        view_reply_error(req, r);
        return;
    }
    if (n_in_bytes > 0) /* otherwise there may be nowhere to copy from */
        memcpy(value, in, n_in_bytes);
    r = ioctl_run(file.fd, command, value);
    if (changes)
        journal_note_done(r);
    data_files_put(view->data_files, &file);
    reply_ioctl(req, r, n_out_bytes ? value : NULL, n_out_bytes);
}

void view_ops_io(struct fuse_lowlevel_ops *ops)
{
    ops->read = op_read;
    ops->write = op_write;
    ops->fsync = op_fsync;
    ops->fsyncdir = op_fsync;
    ops->fallocate = op_fallocate;
    ops->lseek = op_lseek;
    ops->copy_file_range = op_copy_file_range;
    ops->ioctl = op_ioctl;
}
