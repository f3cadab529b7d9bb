/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on O_PATH descriptors.
 *
 * Two ways lead from an O_PATH descriptor to its inode: system calls with AT_EMPTY_PATH, and the magic link
 * /proc/self/fd/N. The first is used where the kernel has it (fchmodat2 came with 6.6, the *xattrat family with 6.13),
 * the second otherwise, through a descriptor of /proc that was opened while there was one.
 *
 * A sandboxed process has no /proc, and must not hold the whole of it either: root can change the host by /proc/sys.
 * It has a mount of its own of no more than its /proc/self/fd, by inode_fd_pin(), which is its working directory too:
 * calls that take a path alone reach descriptors by their number as a name.
 */
#include "sys/inode_fd.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat    463
#define SYS_getxattrat    464
#define SYS_listxattrat   465
#define SYS_removexattrat 466
#endif

/* linux/xattr.h, struct xattr_args */
struct xattr_at_args {
    uint64_t value __attribute__((aligned(8)));
    uint32_t size;
    uint32_t flags;
};

#define FD_PATH_SIZE 64

#define NO_PROC      (-1)

static int proc_fd = NO_PROC; /* of /proc, or of the own directory of descriptors once that is pinned */
static bool pinned;           /* proc_fd is the latter */
static bool entered;          /* ... and the working directory as well */

int inode_fd_init(void)
{
    if (proc_fd >= 0)
        return 0;
    proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return proc_fd < 0 ? -errno : 0;
}

void inode_fd_finish(void)
{
    fd_close(proc_fd);
    proc_fd = NO_PROC;
    pinned = entered = false;
}

int inode_fd_pin(void)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | O_CLOEXEC);
    if (fd < 0) /* no right to mount: a directory from which ".." leads on, which is no worse than what was */
        fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    inode_fd_finish();
    proc_fd = fd;
    pinned = true;
    return 0;
}

int inode_fd_enter(void)
{
    if (!pinned || fchdir(proc_fd) < 0)
        return pinned ? -errno : -ENOENT;
    entered = true;
    return 0;
}

/* A path, relative to proc_fd, that leads to the inode behind fd. */
static const char *fd_path(int fd, char buffer[FD_PATH_SIZE])
{
    snprintf(buffer, FD_PATH_SIZE, pinned ? "%d" : "self/fd/%d", fd);
    return buffer;
}

/* One for calls that take no directory. */
static const char *fd_path_alone(int fd, char buffer[FD_PATH_SIZE])
{
    snprintf(buffer, FD_PATH_SIZE, entered ? "%d" : "/proc/self/fd/%d", fd);
    return buffer;
}

/* Whether a system call that may be missing is to be tried; it is forgotten for good once it answers ENOSYS. */
static bool may_try(const bool *missing)
{
    return !__atomic_load_n(missing, __ATOMIC_RELAXED);
}

static bool is_missing(bool *missing)
{
    if (errno != ENOSYS)
        return false;
    __atomic_store_n(missing, true, __ATOMIC_RELAXED);
    return true;
}

int inode_fd_reopen(int fd, int flags)
{
    char path[FD_PATH_SIZE];
    int r = inode_fd_init();
    if (r < 0)
        return r;
    int opened = openat(proc_fd, fd_path(fd, path), flags | O_CLOEXEC | O_NOCTTY);
    return opened < 0 ? -errno : opened;
}

int inode_fd_path(int fd, char *buffer, size_t size_bytes)
{
    char path[FD_PATH_SIZE];
    int r = inode_fd_init();
    if (r < 0)
        return r;
    ssize_t length = readlinkat(proc_fd, fd_path(fd, path), buffer, size_bytes);
    if (length < 0)
        return -errno;
    if ((size_t)length >= size_bytes)
        return -ENAMETOOLONG;
    buffer[length] = '\0';
    return 0;
}

int inode_fd_statx_at(int dir_fd, const char *name, struct statx *ret_stx)
{
    struct statx stx;
    unsigned mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    if (statx(dir_fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, &stx) < 0)
        return -errno;
    *ret_stx = stx;
    return 0;
}

int inode_fd_statx(int fd, struct statx *ret_stx)
{
    return inode_fd_statx_at(fd, "", ret_stx);
}

void statx_to_stat(const struct statx *stx, struct stat *ret_st)
{
    *ret_st = (struct stat){
        .st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
        .st_ino = stx->stx_ino,
        .st_mode = stx->stx_mode,
        .st_nlink = stx->stx_nlink,
        .st_uid = stx->stx_uid,
        .st_gid = stx->stx_gid,
        .st_rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
        .st_size = (off_t)stx->stx_size,
        .st_blksize = stx->stx_blksize,
        .st_blocks = (blkcnt_t)stx->stx_blocks,
        .st_atim = {stx->stx_atime.tv_sec, stx->stx_atime.tv_nsec},
        .st_mtim = {stx->stx_mtime.tv_sec, stx->stx_mtime.tv_nsec},
        .st_ctim = {stx->stx_ctime.tv_sec, stx->stx_ctime.tv_nsec},
    };
}

int inode_fd_chmod(int fd, mode_t mode)
{
    static bool missing;
    char path[FD_PATH_SIZE];
    if (may_try(&missing)) {
        if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
            return 0;
        if (!is_missing(&missing))
            return -errno;
    }
    int r = inode_fd_init();
    if (r < 0)
        return r;
    return fchmodat(proc_fd, fd_path(fd, path), mode, 0) < 0 ? -errno : 0;
}

int inode_fd_chown(int fd, uid_t uid, gid_t gid)
{
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int inode_fd_utimens(int fd, const struct timespec times[2])
{
    char path[FD_PATH_SIZE];
    if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOENT) /* AT_EMPTY_PATH came with 5.8 */
        return -errno;
    int r = inode_fd_init();
    if (r < 0)
        return r;
    return utimensat(proc_fd, fd_path(fd, path), times, 0) < 0 ? -errno : 0;
}

int inode_fd_truncate(int fd, off_t size_bytes)
{
    int writable = inode_fd_reopen(fd, O_WRONLY | O_NONBLOCK);
    if (writable < 0)
        return writable;
    int r = ftruncate(writable, size_bytes) < 0 ? -errno : 0;
    close(writable);
    return r;
}

int inode_fd_link(int fd, int dir_fd, const char *name)
{
    char path[FD_PATH_SIZE];
    if (linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT) /* what the kernel says to a caller without CAP_DAC_READ_SEARCH */
        return -errno;
    int r = inode_fd_init();
    if (r < 0)
        return r;
    return linkat(proc_fd, fd_path(fd, path), dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int inode_fd_readlink(int fd, char *buffer, size_t size_bytes)
{
    ssize_t length = readlinkat(fd, "", buffer, size_bytes);
    if (length < 0)
        return -errno;
    if ((size_t)length >= size_bytes)
        return -ENAMETOOLONG;
    buffer[length] = '\0';
    return (int)length;
}

/*
 * The *xattrat calls take no O_PATH descriptor with AT_EMPTY_PATH (EBADF), but they do go through the magic link below
 * a descriptor of /proc; before them only an absolute path does.
 */
static bool xattrat_missing;

static bool may_try_xattrat(void)
{
    return may_try(&xattrat_missing) && inode_fd_init() == 0;
}

ssize_t inode_fd_getxattr(int fd, const char *name, void *value, size_t size_bytes)
{
    char path[FD_PATH_SIZE];
    struct xattr_at_args args = {.value = (uintptr_t)value, .size = (uint32_t)size_bytes};
    if (may_try_xattrat()) {
        ssize_t r = syscall(SYS_getxattrat, proc_fd, fd_path(fd, path), 0, name, &args, sizeof(args));
        if (r >= 0 || !is_missing(&xattrat_missing))
            return r < 0 ? -errno : r;
    }
    ssize_t r = getxattr(fd_path_alone(fd, path), name, value, size_bytes);
    return r < 0 ? -errno : r;
}

ssize_t inode_fd_listxattr(int fd, char *list, size_t size_bytes)
{
    char path[FD_PATH_SIZE];
    if (may_try_xattrat()) {
        ssize_t r = syscall(SYS_listxattrat, proc_fd, fd_path(fd, path), 0, list, size_bytes);
        if (r >= 0 || !is_missing(&xattrat_missing))
            return r < 0 ? -errno : r;
    }
    ssize_t r = listxattr(fd_path_alone(fd, path), list, size_bytes);
    return r < 0 ? -errno : r;
}

ssize_t inode_fd_listxattr_at(int dir_fd, const char *name, char *list, size_t size_bytes)
{
    if (!may_try_xattrat())
        return -EOPNOTSUPP;
    ssize_t r = syscall(SYS_listxattrat, dir_fd, name, AT_SYMLINK_NOFOLLOW, list, size_bytes);
    return r >= 0 ? r : is_missing(&xattrat_missing) ? -EOPNOTSUPP : -errno;
}

int inode_fd_setxattr(int fd, const char *name, const void *value, size_t size_bytes, int flags)
{
    char path[FD_PATH_SIZE];
    struct xattr_at_args args = {.value = (uintptr_t)value, .size = (uint32_t)size_bytes, .flags = (uint32_t)flags};
    if (may_try_xattrat()) {
        if (syscall(SYS_setxattrat, proc_fd, fd_path(fd, path), 0, name, &args, sizeof(args)) == 0)
            return 0;
        if (!is_missing(&xattrat_missing))
            return -errno;
    }
    return setxattr(fd_path_alone(fd, path), name, value, size_bytes, flags) < 0 ? -errno : 0;
}

int inode_fd_removexattr(int fd, const char *name)
{
    char path[FD_PATH_SIZE];
    if (may_try_xattrat()) {
        if (syscall(SYS_removexattrat, proc_fd, fd_path(fd, path), 0, name) == 0)
            return 0;
        if (!is_missing(&xattrat_missing))
            return -errno;
    }
    return removexattr(fd_path_alone(fd, path), name) < 0 ? -errno : 0;
}

int inode_fd_mark(int group_fd, unsigned flags, uint64_t mask, int fd, bool is_dir)
{
    char path[FD_PATH_SIZE];
    if (is_dir) /* fanotify_mark(2) takes no O_PATH descriptor for the object itself */
        return fanotify_mark(group_fd, flags | FAN_MARK_ONLYDIR, mask, fd, ".") < 0 ? -errno : 0;
    int r = inode_fd_init();
    if (r < 0)
        return r;
    return fanotify_mark(group_fd, flags, mask, proc_fd, fd_path(fd, path)) < 0 ? -errno : 0;
}
