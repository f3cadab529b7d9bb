/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/file_id.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define HANDLE_BYTES_MAX 128 /* the kernel's MAX_HANDLE_SZ */
#define TYPE_BYTES       4
#define TYPE_INODE       0x80000000u /* our own: no file system gives a type with the sign bit */

void file_id_clear(struct file_id *id)
{
    g_clear_pointer(&id->handle, g_bytes_unref);
}

static GBytes *typed_bytes(uint32_t type, const void *bytes, size_t n_bytes)
{
    uint32_t type_le = GUINT32_TO_LE(type);
    GByteArray *array = g_byte_array_sized_new((guint)(TYPE_BYTES + n_bytes));
    g_byte_array_append(array, (const guint8 *)&type_le, TYPE_BYTES);
    g_byte_array_append(array, bytes, (guint)n_bytes);
    return g_byte_array_free_to_bytes(array);
}

/* Where a file system has no handles, inode number and birth time are the best there is. */
static GBytes *bytes_of_statx(const struct statx *st)
{
    uint64_t parts[3] = {GUINT64_TO_LE(st->stx_ino), 0, 0};
    if (st->stx_mask & STATX_BTIME) {
        parts[1] = GUINT64_TO_LE((uint64_t)st->stx_btime.tv_sec);
        parts[2] = GUINT64_TO_LE((uint64_t)st->stx_btime.tv_nsec);
    }
    return typed_bytes(TYPE_INODE, parts, sizeof(parts));
}

static int id_of_fd(int fd, struct file_id *ret_id)
{
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + HANDLE_BYTES_MAX];
    } u = {.handle.handle_bytes = HANDLE_BYTES_MAX};
    struct statx st;
    int mount_id = 0;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME | STATX_NLINK, &st) < 0)
        return -errno;
    ret_id->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    if (name_to_handle_at(fd, "", &u.handle, &mount_id, AT_EMPTY_PATH) == 0)
        ret_id->handle = typed_bytes((uint32_t)u.handle.handle_type, u.handle.f_handle, u.handle.handle_bytes);
    else
        ret_id->handle = bytes_of_statx(&st);
    return 0;
}

static char *path_of_fd(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    return g_file_read_link(link, NULL);
}

int file_id_of_directory(const char *path, struct file_id *ret_id, char **ret_real_path, GError **error)
{
    auto_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "%s", path);
    g_autofree char *real_path = path_of_fd(fd);
    if (!real_path)
        return gidfs_error_errno(error, EIO, "%s: its path cannot be read in /proc/self/fd", path);
    int r = id_of_fd(fd, ret_id);
    if (r < 0)
        return gidfs_error_errno(error, r, "%s: read its identity", path);
    *ret_real_path = g_steal_pointer(&real_path);
    return 0;
}

/* The nearest directory at or above path that is still there, opened for open_by_handle_at. */
static int open_nearest(const char *path)
{
    g_autofree char *at = g_strdup(path);
    for (;;) {
        int fd = open(at, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR) || strcmp(at, "/") == 0)
            return fd;
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
}

/* Opens the directory by its handle: an fd, -ESTALE when it was deleted, or another negative errno. */
static int open_by_id(int mount_fd, const struct file_id *id)
{
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + HANDLE_BYTES_MAX];
    } u;
    gsize size = 0;
    const guint8 *data = g_bytes_get_data(id->handle, &size);
    uint32_t type_le;

    if (size < TYPE_BYTES || size > TYPE_BYTES + HANDLE_BYTES_MAX)
        return -EINVAL;
    memcpy(&type_le, data, TYPE_BYTES);
    if (GUINT32_FROM_LE(type_le) == TYPE_INODE)
        return -EOPNOTSUPP;
    u.handle.handle_type = (int)GUINT32_FROM_LE(type_le);
    u.handle.handle_bytes = (unsigned int)(size - TYPE_BYTES);
    memcpy(u.handle.f_handle, data + TYPE_BYTES, size - TYPE_BYTES);
    int fd = open_by_handle_at(mount_fd, &u.handle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The path of the directory does not lead to it any more: was it renamed or deleted? */
static enum file_id_fate find_elsewhere(const struct file_id *id, const char *path, char **ret_path)
{
    struct stat st;

    auto_fd int near_fd = open_nearest(path);
    if (near_fd < 0 || fstat(near_fd, &st) < 0)
        return FILE_ID_UNKNOWN;
    if (st.st_dev != id->device)
        return FILE_ID_UNKNOWN;
    auto_fd int fd = open_by_id(near_fd, id);
    if (fd == -ESTALE || fd == -EOPNOTSUPP)
        return FILE_ID_GONE;
    if (fd < 0 || fstat(fd, &st) < 0)
        return FILE_ID_UNKNOWN;
    g_autofree char *found = path_of_fd(fd);
    if (st.st_nlink == 0 || !found || g_str_has_suffix(found, " (deleted)"))
        return FILE_ID_GONE;
    *ret_path = g_steal_pointer(&found);
    return FILE_ID_MOVED;
}

enum file_id_fate file_id_find(const struct file_id *id, const char *path, gboolean other_boot, char **ret_path)
{
    g_auto(file_id) now = {0};

    auto_fd int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && id_of_fd(fd, &now) == 0) {
        bool same_handle = g_bytes_equal(now.handle, id->handle);
        if (same_handle && (other_boot || now.device == id->device))
            return FILE_ID_SAME;
    } else if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        return FILE_ID_UNKNOWN;
    }
    return find_elsewhere(id, path, ret_path);
}

bool file_id_is_shown(const char *view, const char *source)
{
    const unsigned int mask = STATX_INO | STATX_BTIME;
    struct statx shown, own;

    if (statx(AT_FDCWD, view, AT_SYMLINK_NOFOLLOW, mask, &shown) < 0 ||
        statx(AT_FDCWD, source, AT_SYMLINK_NOFOLLOW, mask, &own) < 0)
        return false;
    return (shown.stx_mask & own.stx_mask & mask) == mask && shown.stx_ino == own.stx_ino &&
           shown.stx_btime.tv_sec == own.stx_btime.tv_sec && shown.stx_btime.tv_nsec == own.stx_btime.tv_nsec;
}
