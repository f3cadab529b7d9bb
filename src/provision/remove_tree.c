/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removal by descriptors. Each directory is opened without following links and compared with the file system that the
 * removal started on, so a mount that somebody put below is met as an error and not as files to delete. A bind mount
 * from the same file system is told apart by its mount id.
 */
#include "provision/remove_tree.h"

#include "base/fd.h"
#include "sys/dirent.h"
#include "sys/inode_fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define BUFFER_BYTES 32768

/* Where the removal may go. */
struct place {
    unsigned dev_major, dev_minor;
    uint64_t mount_id;
};

static int place_of(int fd, struct place *ret_place)
{
    struct statx stx;
    int r = inode_fd_statx(fd, &stx);
    if (r < 0)
        return r;
    *ret_place = (struct place){stx.stx_dev_major, stx.stx_dev_minor, stx.stx_mnt_id};
    return 0;
}

static bool is_same_place(const struct place *a, const struct place *b)
{
    return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor && a->mount_id == b->mount_id;
}

static int remove_entry(int dir_fd, const char *name, uint8_t type, const struct place *home);

/* Removes what is in the directory fd. Entries come and go while it is read, so it is read until nothing is left. */
static int empty_dir(int fd, const struct place *home)
{
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);
    int result = 0;
    bool removed;
    do {
        ssize_t n;
        removed = false;
        if (lseek(fd, 0, SEEK_SET) < 0)
            return -errno;
        while ((n = dirent_read(fd, buffer, BUFFER_BYTES)) > 0)
            for (ssize_t at = 0; at < n;) {
                const struct dirent_record *record = (const void *)(buffer + at);
                at += record->record_size_bytes;
                if (strcmp(record->name, ".") == 0 || strcmp(record->name, "..") == 0)
                    continue;
                int r = remove_entry(fd, record->name, record->type, home);
                removed |= r == 0;
                if (r < 0 && result == 0)
                    result = r;
            }
        if (n < 0)
            return (int)n;
    } while (removed);
    return result;
}

static int remove_dir(int dir_fd, const char *name, const struct place *home)
{
    struct place here;
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = place_of(fd, &here);
    if (r < 0)
        return r;
    if (!is_same_place(&here, home))
        return -EXDEV;
    r = empty_dir(fd, home);
    if (r < 0)
        return r;
    return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_entry(int dir_fd, const char *name, uint8_t type, const struct place *home)
{
    if (type != DT_DIR) {
        if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
            return 0;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
    }
    int r = remove_dir(dir_fd, name, home);
    return r == -ENOENT ? 0 : r;
}

int remove_tree(int dir_fd, const char *name)
{
    struct place home;
    int r = place_of(dir_fd, &home);
    return r < 0 ? r : remove_entry(dir_fd, name, DT_UNKNOWN, &home);
}
