/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openat2 with RESOLVE_IN_ROOT, and a creation of what is missing that follows nothing: the longest part that exists
 * is opened by openat2; each missing component is made with mkdirat and opened with O_NOFOLLOW, relative to the one
 * before. A racer can make a call fail, but each descriptor was reached from root_fd by one component at a time or by
 * openat2, so none is outside. (A directory that is moved out of the root by the host while we hold it stays what it
 * was: the same directory.)
 */
#include "sys/mount_resolve.h"

#include "base/fd.h"
#include "sys/proc_self.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* openat2 answers EAGAIN when a rename races with ".."; a racer may do that for long, but not for ever. */
#define MAX_RACES 1000

static int open_how(int root_fd, const char *path, uint64_t resolve, int *ret_fd)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    for (int race = 0; race < MAX_RACES; race++) {
        long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        if (fd >= 0) {
            *ret_fd = (int)fd;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -EAGAIN;
}

static bool no_openat2(int r)
{
    /* EPERM is what old container sandboxes answer to a system call that they don't know. */
    return r == -ENOSYS || r == -EPERM;
}

static const char *skip_slashes(const char *path)
{
    return path + strspn(path, "/");
}

/* One component of a walk: *fd is replaced by what name is below it. */
static int step_into(int *fd, const char *name)
{
    struct stat st;
    auto_fd int next = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 || fstat(next, &st) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    fd_close(*fd);
    *fd = fd_steal(&next);
    return 0;
}

static int walk(int root_fd, const char *path, int *ret_fd)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    auto_fd int fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (char **part = parts; *part; part++) {
        if (!**part || strcmp(*part, ".") == 0)
            continue;
        int r = strcmp(*part, "..") == 0 ? -EXDEV : step_into(&fd, *part);
        if (r < 0)
            return r;
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

int mount_resolve_walk(int root_fd, const char *path, int *ret_fd, GError **error)
{
    int r = walk(root_fd, path, ret_fd);
    return r < 0 ? gidfs_error_errno(error, r, "open %s without following links", path) : 0;
}

int mount_resolve_nofollow(int root_fd, const char *path, int *ret_fd, GError **error)
{
    int r = open_how(root_fd, *skip_slashes(path) ? skip_slashes(path) : ".", RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
                     ret_fd);
    if (no_openat2(r))
        return mount_resolve_walk(root_fd, path, ret_fd, error);
    return r < 0 ? gidfs_error_errno(error, r, "open %s without following links", path) : 0;
}

static int open_in_root(int root_fd, const char *path, int *ret_fd)
{
    int r = open_how(root_fd, path, RESOLVE_IN_ROOT, ret_fd);
    return no_openat2(r) ? walk(root_fd, path, ret_fd) : r;
}

static int make_file(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    close(fd);
    return 0;
}

/* Makes name below *fd unless something is there, and steps into it. What is there must be of the right kind. */
static int make_component(int *fd, const char *name, bool file)
{
    struct stat st;
    int r = 0;
    if (file)
        r = make_file(*fd, name);
    else if (mkdirat(*fd, name, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (r == 0)
        r = step_into(fd, name);
    if (r < 0)
        return r == -ELOOP ? -EEXIST : r;
    if (fstat(*fd, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) == !file ? 0 : -EEXIST;
}

/* Makes the components of rest below *fd, the last one as a file if file says so. */
static int make_rest(int *fd, const char *rest, bool file)
{
    g_auto(GStrv) parts = g_strsplit(skip_slashes(rest), "/", -1);
    for (char **part = parts; *part; part++) {
        if (!**part || strcmp(*part, ".") == 0)
            continue;
        if (strcmp(*part, "..") == 0)
            return -EINVAL;
        bool last = part[1] == NULL;
        int r = make_component(fd, *part, file && last);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Opens the longest leading part of path that exists; *ret_rest points at what is missing, inside path. */
static int open_existing(int root_fd, const char *path, int *ret_fd, const char **ret_rest)
{
    g_autofree char *head = g_strdup(path);
    for (;;) {
        int r = open_in_root(root_fd, *head ? head : ".", ret_fd);
        if (r != -ENOENT) {
            *ret_rest = path + strlen(head);
            return r;
        }
        if (!*head)
            return r;
        char *slash = strrchr(head, '/');
        *(slash ? slash : head) = '\0';
    }
}

int mount_resolve(int root_fd, const char *path, enum mount_resolve_missing missing, int *ret_fd, GError **error)
{
    const char *relative = skip_slashes(path), *rest = NULL;
    auto_fd int fd = -1;
    int r = missing == MOUNT_RESOLVE_MUST_EXIST ? open_in_root(root_fd, *relative ? relative : ".", &fd)
                                                : open_existing(root_fd, relative, &fd, &rest);
    if (r < 0)
        return gidfs_error_errno(error, r, "open target %s beneath the root", path);
    if (rest && *rest) {
        r = make_rest(&fd, rest, missing == MOUNT_RESOLVE_MAKE_FILE);
        if (r == -EEXIST)
            return gidfs_error(error, EEXIST,
                               "make target %s: a dangling link or another kind of file is in the way; remove it",
                               path);
        if (r < 0)
            return gidfs_error_errno(error, r, "make target %s beneath the root", path);
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

char *mount_resolve_path_of_fd(int fd)
{
    char link[32];
    snprintf(link, sizeof(link), "%s/fd/%d", proc_self(), fd);
    return g_file_read_link(link, NULL);
}
