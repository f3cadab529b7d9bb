/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/copy_data.h"

#include <errno.h>
#include <glib.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* As much as is copied between two reports; also what a kernel copies before it looks at signals. */
#define CHUNK_BYTES ((size_t)16 << 20)

/* The buffer where data has to come through this process. */
#define BUFFER_BYTES ((size_t)256 << 10)

static int report(copy_progress_fn progress, uint64_t n_bytes, void *data)
{
    return progress ? progress(n_bytes, data) : 0;
}

/* Whether errnum of copy_file_range means "not for this pair of files", where reading and writing may still work. */
static bool is_unsupported(int errnum)
{
    return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == EPERM ||
           errnum == EBADF;
}

static int write_all(int fd, const char *buffer, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, buffer, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        buffer += n;
        size -= n;
        at += n;
    }
    return 0;
}

/* Bytes read from at and written there, 0 at the end of the source, or a negative errno. */
static ssize_t copy_through_buffer(int from_fd, int to_fd, off_t at, size_t size, char *buffer)
{
    ssize_t n;
    do {
        n = pread(from_fd, buffer, MIN(size, BUFFER_BYTES), at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    int r = write_all(to_fd, buffer, n, at);
    return r < 0 ? r : n;
}

/* The ranges still to copy, and how: once the kernel has refused to, a buffer is used to the end. */
struct copying {
    int from_fd, to_fd;
    char *buffer;
    copy_progress_fn progress;
    void *data;
};

static ssize_t copy_some(struct copying *copying, off_t at, size_t size)
{
    if (!copying->buffer) {
        off64_t in = at, out = at;
        ssize_t n = copy_file_range(copying->from_fd, &in, copying->to_fd, &out, MIN(size, CHUNK_BYTES), 0);
        if (n > 0)
            return n;
        if (n < 0 && errno == EINTR)
            return -EINTR;
        if (n < 0 && !is_unsupported(errno))
            return -errno;
        /* Some file systems answer 0 where they should have refused: only read(2) knows the end. */
        copying->buffer = g_malloc(BUFFER_BYTES);
    }
    return copy_through_buffer(copying->from_fd, copying->to_fd, at, size, copying->buffer);
}

static int copy_range(struct copying *copying, off_t begin, off_t end)
{
    while (begin < end) {
        ssize_t n = copy_some(copying, begin, end - begin);
        if (n == -EINTR)
            n = 0;
        else if (n == 0)
            return 0;
        if (n < 0)
            return n;
        begin += n;
        int r = report(copying->progress, n, copying->data);
        if (r < 0)
            return r;
    }
    return 0;
}

static int copy_extents(struct copying *copying, off_t size)
{
    for (off_t at = 0; at < size;) {
        off_t begin = lseek(copying->from_fd, at, SEEK_DATA);
        if (begin < 0 && errno == ENXIO)
            return 0;
        off_t end = begin < 0 ? size : lseek(copying->from_fd, begin, SEEK_HOLE);
        if (begin < 0)
            begin = at;
        if (end < 0)
            end = size;
        int r = copy_range(copying, begin, MIN(end, size));
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

int copy_data_by_sharing(int from_fd, int to_fd)
{
    return ioctl(to_fd, FICLONE, from_fd) == 0 ? 0 : -EOPNOTSUPP;
}

int copy_data(int from_fd, int to_fd, copy_progress_fn progress, void *data)
{
    struct stat st;
    if (fstat(from_fd, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return 0;
    if (copy_data_by_sharing(from_fd, to_fd) == 0)
        return report(progress, st.st_size, data);

    struct copying copying = {.from_fd = from_fd, .to_fd = to_fd, .progress = progress, .data = data};
    int r = copy_extents(&copying, st.st_size);
    g_free(copying.buffer);
    if (r < 0)
        return r;
    return ftruncate(to_fd, st.st_size) < 0 ? -errno : 0;
}
