/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/copy_meta.h"

#include "core/overlay_xattr.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define CAPABILITY_XATTR "security.capability"

/* What the kernel shows for an id that has no mapping (kernel.overflowuid; nobody changes it). */
#define OVERFLOW_ID 65534

/* The names of all xattrs, each with its NUL; *ret_size bytes. Caller frees. */
static int list_xattrs(int fd, char **ret_names, size_t *ret_size)
{
    for (;;) {
        ssize_t size = inode_fd_listxattr(fd, NULL, 0);
        if (size < 0)
            return size == -EOPNOTSUPP ? (*ret_size = 0, *ret_names = NULL, 0) : (int)size;
        g_autofree char *names = g_malloc(size + 1);
        size = inode_fd_listxattr(fd, names, size + 1);
        if (size == -ERANGE)
            continue;
        if (size < 0)
            return (int)size;
        *ret_names = g_steal_pointer(&names);
        *ret_size = size;
        return 0;
    }
}

/* The value of one xattr; -ENODATA if it has gone meanwhile. Caller frees. */
static int get_xattr(int fd, const char *name, char **ret_value, size_t *ret_size)
{
    for (;;) {
        ssize_t size = inode_fd_getxattr(fd, name, NULL, 0);
        if (size < 0)
            return (int)size;
        g_autofree char *value = g_malloc(size + 1);
        size = inode_fd_getxattr(fd, name, value, size + 1);
        if (size == -ERANGE)
            continue;
        if (size < 0)
            return (int)size;
        *ret_value = g_steal_pointer(&value);
        *ret_size = size;
        return 0;
    }
}

static bool is_acl(const char *name)
{
    return g_str_has_prefix(name, "system.posix_acl_");
}

static int copy_xattr(int from_fd, int to_fd, const char *name)
{
    g_autofree char *value = NULL;
    size_t size = 0;
    int r = get_xattr(from_fd, name, &value, &size);
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    r = inode_fd_setxattr(to_fd, name, value, size, 0);
    bool can_be_left_out = r == -EOPNOTSUPP || r == -EPERM || r == -EACCES;
    return can_be_left_out && !is_acl(name) ? 0 : r;
}

int copy_xattrs(int from_fd, int to_fd, bool keep_capability)
{
    g_autofree char *names = NULL;
    size_t size = 0;
    int r = list_xattrs(from_fd, &names, &size);
    if (r < 0)
        return r;
    for (size_t at = 0; at < size; at += strlen(names + at) + 1) {
        char shown[XATTR_NAME_MAX + 1];
        const char *name = names + at;
        if (!overlay_xattr_to_view(name, shown) || (!keep_capability && strcmp(name, CAPABILITY_XATTR) == 0))
            continue;
        r = copy_xattr(from_fd, to_fd, name);
        if (r < 0)
            return r;
    }
    return 0;
}

int copy_owner(int to_fd, const struct stat *st)
{
    int r = inode_fd_chown(to_fd, st->st_uid, st->st_gid);
    return r == -EINVAL ? -EOVERFLOW : r;
}

int copy_mode(int to_fd, const struct stat *st)
{
    return S_ISLNK(st->st_mode) ? 0 : inode_fd_chmod(to_fd, st->st_mode & 07777);
}

int copy_times(int to_fd, const struct stat *st)
{
    return inode_fd_utimens(to_fd, (const struct timespec[2]){st->st_atim, st->st_mtim});
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

void copy_meta_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_uid_map);
}

static bool owner_is_real(const struct stat *st)
{
    copy_meta_init();
    return have_all_ids || (st->st_uid != OVERFLOW_ID && st->st_gid != OVERFLOW_ID);
}

bool copy_may_keep_setid(int from_fd, const struct stat *st)
{
    struct statvfs fs;
    return fstatvfs(from_fd, &fs) == 0 && !(fs.f_flag & ST_NOSUID) && owner_is_real(st);
}
