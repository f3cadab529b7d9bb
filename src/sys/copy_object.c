/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters: the object is made for its maker alone (0600, 0700), then data, owner (which clears set-id bits
 * and capabilities), mode, xattrs (an ACL's mask and a capability both come after the mode), and times at the end.
 */
#include "sys/copy_object.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

static int make_symlink(const struct copy_job *job, int dir_fd, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(job->from_fd, "", target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    return symlinkat(target, dir_fd, name) < 0 ? -errno : 0;
}

/* Makes name, empty and private; *ret_fd is it. */
static int make_object(const struct copy_job *job, int dir_fd, const char *name, int *ret_fd)
{
    mode_t type = job->st->st_mode & S_IFMT;
    if (type == S_IFREG) {
        int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        *ret_fd = fd;
        return 0;
    }
    int r;
    if (type == S_IFDIR)
        r = mkdirat(dir_fd, name, 0700) < 0 ? -errno : 0;
    else if (type == S_IFLNK)
        r = make_symlink(job, dir_fd, name);
    else
        r = mknodat(dir_fd, name, type | 0600, job->st->st_rdev) < 0 ? -errno : 0;
    if (r < 0)
        return r;
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        r = -errno;
        unlinkat(dir_fd, name, type == S_IFDIR ? AT_REMOVEDIR : 0);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int fill_data(const struct copy_job *job, int fd)
{
    if (job->flags & COPY_NO_DATA)
        return ftruncate(fd, job->st->st_size) < 0 ? -errno : 0;
    return copy_data(job->from_fd, fd, job->progress, job->progress_data);
}

int copy_object_meta(const struct copy_job *job, int fd)
{
    struct stat st = *job->st;
    bool keep_setid = copy_may_keep_setid(job->from_fd, &st);
    if (!keep_setid && !S_ISDIR(st.st_mode))
        st.st_mode &= ~(S_ISUID | S_ISGID);
    int r = copy_owner(fd, &st);
    if (r == 0)
        r = copy_mode(fd, &st);
    if (r == 0)
        r = copy_xattrs(job->from_fd, fd, keep_setid);
    if (r == 0)
        r = copy_times(fd, &st);
    return r;
}

int copy_object(const struct copy_job *job, int dir_fd, const char *name, int *ret_fd)
{
    auto_fd int fd = -1;
    int r = make_object(job, dir_fd, name, &fd);
    if (r < 0)
        return r;
    bool is_file = S_ISREG(job->st->st_mode);
    if (is_file)
        r = fill_data(job, fd);
    if (r == 0)
        r = copy_object_meta(job, fd);
    if (r == 0 && is_file && (job->flags & COPY_SYNC) && fsync(fd) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dir_fd, name, S_ISDIR(job->st->st_mode) ? AT_REMOVEDIR : 0);
        return r;
    }
    if (ret_fd)
        *ret_fd = fd_steal(&fd);
    return 0;
}
