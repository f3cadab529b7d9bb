/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of what a file system can do for a view: handles that outlive descriptors, and word of changes behind it. */
#include "sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "sys/handle.h"

#define EVENT_WAIT_MS 5000

#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0x00000c00
#endif

int check_make_dir(const char *dir, const char *name, char **ret_path, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    if (mkdir(path, 0700) < 0)
        return gidfs_error_errno(error, errno, "create directory %s", path);
    *ret_path = g_steal_pointer(&path);
    return 0;
}

int check_make_file(const char *dir, const char *name, char **ret_path, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "gidfs\n", 6) < 0)
        return gidfs_error_errno(error, errno, "create file %s", path);
    *ret_path = g_steal_pointer(&path);
    return 0;
}

static int open_again(const char *dir, const char *file, GError **error)
{
    struct handle handle;
    struct stat before, after;
    auto_fd int fd = open(file, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 || fstat(fd, &before) < 0 ? -errno : handle_of_fd(fd, &handle);
    if (r < 0)
        return gidfs_error_errno(error, r, "take a file handle in %s", dir);
    auto_fd int mount_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int again = mount_fd < 0 ? -errno : handle_open(mount_fd, &handle, O_RDONLY);
    if (again < 0)
        return gidfs_error_errno(error, again, "open a file by its handle in %s", dir);
    if (fstat(again, &after) < 0 || after.st_ino != before.st_ino)
        return gidfs_error(error, EIO, "a handle in %s led to another file", dir);
    return 0;
}

int check_file_handles(const char *dir, char **ret_detail, GError **error)
{
    g_autofree char *file = NULL;
    int r = check_make_file(dir, "handle", &file, error);
    if (r < 0)
        return r;
    r = open_again(dir, file, error);
    unlink(file);
    if (r == 0)
        *ret_detail = g_strdup("a file was opened by its handle");
    return r;
}

int check_fanotify(const char *dir, char **ret_detail, GError **error)
{
    char buffer[4096];
    auto_fd int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK,
                                   O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "fanotify_init with names");
    uint64_t events = FAN_CREATE | FAN_DELETE | FAN_ATTRIB | FAN_EVENT_ON_CHILD | FAN_ONDIR;
    if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, events, AT_FDCWD, dir) < 0)
        return gidfs_error_errno(error, errno, "watch %s with fanotify", dir);
    g_autofree char *file = NULL;
    int r = check_make_file(dir, "watched", &file, error);
    if (r < 0)
        return r;
    unlink(file);
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    if (poll(&pollfd, 1, EVENT_WAIT_MS) <= 0 || read(fd, buffer, sizeof(buffer)) < (ssize_t)FAN_EVENT_METADATA_LEN)
        return gidfs_error(error, EIO, "a change in %s was not told", dir);
    *ret_detail = g_strdup("a change was told with its name");
    return 0;
}
