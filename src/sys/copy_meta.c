/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/copy_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What the kernel shows for an id that has no mapping (kernel.overflowuid; nobody changes it). */
#define OVERFLOW_ID 65534

/* The one way to name what an O_PATH descriptor refers to, a symlink itself included, in calls that take no fd. */
struct fd_path {
    char text[40];
};

static struct fd_path fd_path(int fd)
{
    struct fd_path path;
    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

/* The names of all xattrs, each with its NUL; *ret_size bytes. Caller frees. */
static int list_xattrs(const char *path, char **ret_names, size_t *ret_size)
{
    for (;;) {
        ssize_t size = listxattr(path, NULL, 0);
        if (size < 0)
            return errno == EOPNOTSUPP ? (*ret_size = 0, *ret_names = NULL, 0) : -errno;
        g_autofree char *names = g_malloc(size + 1);
        size = listxattr(path, names, size);
        if (size < 0 && errno == ERANGE)
            continue;
        if (size < 0)
            return -errno;
        *ret_names = g_steal_pointer(&names);
        *ret_size = size;
        return 0;
    }
}

/* The value of one xattr; -ENODATA if it has gone meanwhile. Caller frees. */
static int get_xattr(const char *path, const char *name, char **ret_value, size_t *ret_size)
{
    for (;;) {
        ssize_t size = getxattr(path, name, NULL, 0);
        if (size < 0)
            return -errno;
        g_autofree char *value = g_malloc(size + 1);
        size = getxattr(path, name, value, size);
        if (size < 0 && errno == ERANGE)
            continue;
        if (size < 0)
            return -errno;
        *ret_value = g_steal_pointer(&value);
        *ret_size = size;
        return 0;
    }
}

static bool is_acl(const char *name)
{
    return g_str_has_prefix(name, "system.posix_acl_");
}

static int copy_xattr(const char *from, const char *to, const char *name)
{
    g_autofree char *value = NULL;
    size_t size = 0;
    int r = get_xattr(from, name, &value, &size);
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    if (setxattr(to, name, value, size, 0) == 0)
        return 0;
    r = -errno;
    bool can_be_left_out = r == -EOPNOTSUPP || r == -EPERM || r == -EACCES;
    return can_be_left_out && !is_acl(name) ? 0 : r;
}

int copy_xattrs(int from_fd, int to_fd, copy_xattr_fn keep, void *data)
{
    struct fd_path from = fd_path(from_fd), to = fd_path(to_fd);
    g_autofree char *names = NULL;
    size_t size = 0;
    int r = list_xattrs(from.text, &names, &size);
    if (r < 0)
        return r;
    for (size_t at = 0; at < size; at += strlen(names + at) + 1) {
        const char *name = names + at;
        if (keep && !keep(name, data))
            continue;
        r = copy_xattr(from.text, to.text, name);
        if (r < 0)
            return r;
    }
    return 0;
}

int copy_owner(int to_fd, const struct stat *st)
{
    if (fchownat(to_fd, "", st->st_uid, st->st_gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return errno == EINVAL ? -EOVERFLOW : -errno;
}

int copy_mode(int to_fd, const struct stat *st)
{
    if (S_ISLNK(st->st_mode))
        return 0;
    return chmod(fd_path(to_fd).text, st->st_mode & 07777) < 0 ? -errno : 0;
}

int copy_times(int to_fd, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (utimensat(to_fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    /* Kernels before 5.8 know no empty path here; those name no symlink this way either, whose times don't matter. */
    if (errno != EINVAL || S_ISLNK(st->st_mode))
        return -errno;
    return utimensat(AT_FDCWD, fd_path(to_fd).text, times, 0) < 0 ? -errno : 0;
}

static bool have_all_ids;

/* The initial user namespace maps every id onto itself; in any other one, some owner may be nobody. */
static void read_uid_map(void)
{
    g_autofree char *text = NULL;
    unsigned inside = 0, outside = 0, count = 0;
    have_all_ids = g_file_get_contents("/proc/self/uid_map", &text, NULL, NULL) &&
                   sscanf(text, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && count == UINT32_MAX;
}

static bool owner_is_real(const struct stat *st)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_uid_map);
    return have_all_ids || (st->st_uid != OVERFLOW_ID && st->st_gid != OVERFLOW_ID);
}

bool copy_may_keep_setid(int from_fd, const struct stat *st)
{
    struct statvfs fs;
    return fstatvfs(from_fd, &fs) == 0 && !(fs.f_flag & ST_NOSUID) && owner_is_real(st);
}
