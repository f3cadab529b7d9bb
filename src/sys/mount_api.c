/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts through open_tree, mount_setattr and move_mount.
 *
 * A clone of a mount lives in an anonymous namespace of its own until move_mount attaches it. mount_setattr works on it
 * there; that is the only moment at which read-only can be set without a window in which the mount is writable.
 *
 * umount2 takes paths only, and a descriptor inside a mount keeps it busy. So the parent of the mount point is opened,
 * and the name below it is unmounted through /proc/self/fd: with the parent pinned, UMOUNT_NOFOLLOW covers the one
 * component that is left.
 */
#include "sys/mount_api.h"

#include "base/fd.h"
#include "sys/mount_resolve.h"
#include "sys/proc_self.h"
#include "sys/spawn_lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

static const unsigned long propagation_flags[] = {
    [MOUNT_PROPAGATION_KEEP] = 0,
    [MOUNT_PROPAGATION_PRIVATE] = MS_PRIVATE,
    [MOUNT_PROPAGATION_SHARED] = MS_SHARED,
    [MOUNT_PROPAGATION_SLAVE] = MS_SLAVE,
    [MOUNT_PROPAGATION_UNBINDABLE] = MS_UNBINDABLE,
};

static int step_failed(GError **error, const char *step, const char *path)
{
    int errnum = errno;
    if (errnum == ENOSYS)
        return gidfs_error(error, EOPNOTSUPP, "%s %s: this kernel has no %s; it needs Linux 5.12 or later", step, path,
                           step);
    return gidfs_error_errno(error, errnum, "%s %s", step, path);
}

static bool wants_attributes(const struct mount_attributes *a)
{
    return a->read_only || a->nosuid || a->nodev || a->noexec || a->userns_fd > 0 ||
           a->propagation.type != MOUNT_PROPAGATION_KEEP;
}

static int set_attributes(int mount_fd, const char *source, const struct mount_attributes *a, GError **error)
{
    struct mount_attr attr = {
        .attr_set = (a->read_only ? MOUNT_ATTR_RDONLY : 0) | (a->nosuid ? MOUNT_ATTR_NOSUID : 0) |
                    (a->nodev ? MOUNT_ATTR_NODEV : 0) | (a->noexec ? MOUNT_ATTR_NOEXEC : 0) |
                    (a->userns_fd > 0 ? MOUNT_ATTR_IDMAP : 0),
        .propagation = propagation_flags[a->propagation.type],
        .userns_fd = a->userns_fd > 0 ? (uint64_t)a->userns_fd : 0,
    };
    unsigned int flags = AT_EMPTY_PATH | (a->recursive || a->propagation.recursive ? AT_RECURSIVE : 0);
    if (mount_setattr(mount_fd, "", flags, &attr, sizeof(attr)) < 0)
        return step_failed(error, "mount_setattr", source);
    return 0;
}

/*
 * A clone of a shared mount is its peer. "shared" means a group of the new mount's own, so it leaves the old one first.
 */
static int leave_peer_group(int mount_fd, const char *source, const struct mount_attributes *a, GError **error)
{
    struct mount_attributes private_first = {
        .recursive = a->recursive,
        .propagation = {MOUNT_PROPAGATION_PRIVATE, a->propagation.recursive},
    };
    if (a->propagation.type != MOUNT_PROPAGATION_SHARED)
        return 0;
    return set_attributes(mount_fd, source, &private_first, error);
}

int mount_clone_detached(const char *source, const struct mount_attributes *attributes, int *ret_mount_fd,
                         GError **error)
{
    unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    auto_fd int fd = open_tree(AT_FDCWD, source, flags | (attributes->recursive ? AT_RECURSIVE : 0));
    if (fd < 0)
        return step_failed(error, "open_tree", source);
    if (wants_attributes(attributes)) {
        int r = leave_peer_group(fd, source, attributes, error);
        if (r == 0)
            r = set_attributes(fd, source, attributes, error);
        if (r < 0)
            return r;
    }
    *ret_mount_fd = fd_steal(&fd);
    return 0;
}

/* Without asking a file system's server: the type of an inode never changes. */
static bool is_directory(int fd)
{
    struct statx stx;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) == 0 && S_ISDIR(stx.stx_mode);
}

int mount_attach(int mount_fd, int target_fd, const char *target, GError **error)
{
    if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
        return 0;
    /* the kernel says no more than EINVAL to this */
    if (errno == EINVAL && is_directory(mount_fd) != is_directory(target_fd))
        return gidfs_error(error, ENOTDIR, "move_mount %s: a directory goes on a directory, a file on a file", target);
    return step_failed(error, "move_mount", target);
}

int mount_bind(const char *source, int target_fd, const char *target, const struct mount_attributes *attributes,
               GError **error)
{
    auto_fd int mount_fd = -1;
    g_autoptr(GError) local = NULL;
    int r = mount_clone_detached(source, attributes, &mount_fd, &local);
    if (r == -EOPNOTSUPP)
        return mount_bind_staged(source, target_fd, target, attributes, error);
    if (r < 0) {
        g_propagate_error(error, g_steal_pointer(&local));
        return r;
    }
    return mount_attach(mount_fd, target_fd, target, error);
}

static int remount_staged(const char *stage, const struct mount_attributes *a, GError **error)
{
    unsigned long flags = (a->read_only ? MS_RDONLY : 0) | (a->nosuid ? MS_NOSUID : 0) | (a->nodev ? MS_NODEV : 0) |
                          (a->noexec ? MS_NOEXEC : 0);
    if (flags && mount(NULL, stage, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
        return step_failed(error, "remount", stage);
    if (mount(NULL, stage, NULL, MS_PRIVATE, NULL) < 0)
        return step_failed(error, "make private", stage);
    if (a->propagation.type > MOUNT_PROPAGATION_PRIVATE &&
        mount(NULL, stage, NULL, propagation_flags[a->propagation.type], NULL) < 0)
        return step_failed(error, "set propagation of", stage);
    return 0;
}

/* Binds inside the private tmpfs at dir, and moves the result. What fails stays in dir, which is taken down whole. */
static int bind_and_move(const char *dir, const char *source, int target_fd, const char *target,
                         const struct mount_attributes *attributes, GError **error)
{
    g_autofree char *stage = g_strdup_printf("%s/mount", dir);
    g_autofree char *target_link = g_strdup_printf("%s/fd/%d", proc_self(), target_fd);
    struct stat st;

    if (lstat(source, &st) < 0)
        return step_failed(error, "stat", source);
    if (S_ISDIR(st.st_mode) ? mkdir(stage, 0700) < 0 : mknod(stage, S_IFREG | 0600, 0) < 0)
        return step_failed(error, "make", stage);
    if (mount(source, stage, NULL, MS_BIND, NULL) < 0)
        return step_failed(error, "bind", source);
    int r = remount_staged(stage, attributes, error);
    if (r < 0)
        return r;
    if (mount(stage, target_link, NULL, MS_MOVE, NULL) < 0)
        return step_failed(error, "move mount to", target);
    return 0;
}

int mount_bind_staged(const char *source, int target_fd, const char *target, const struct mount_attributes *attributes,
                      GError **error)
{
    if (attributes->recursive || attributes->userns_fd > 0)
        return gidfs_error(error, EOPNOTSUPP, "bind %s to %s: recursive and idmapped binds need Linux 5.12 or later",
                           source, target);

    char dir[] = "/tmp/gidfs-stage-XXXXXX";
    if (!mkdtemp(dir))
        return step_failed(error, "make", dir);
    int r;
    if (mount("gidfs-stage", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64k") < 0) {
        r = step_failed(error, "mount tmpfs on", dir);
    } else {
        if (mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0)
            r = step_failed(error, "make private", dir);
        else
            r = bind_and_move(dir, source, target_fd, target, attributes, error);
        umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    rmdir(dir);
    return r;
}

int mount_id_of_fd(int fd, int *ret_mount_id)
{
    char path[64], line[128];
    int r = -ENODATA;
    snprintf(path, sizeof(path), "%s/fdinfo/%d", proc_self(), fd);
    FILE *info = fopen(path, "re");
    if (!info)
        return -errno;
    while (r && fgets(line, sizeof(line), info)) {
        if (sscanf(line, "mnt_id: %d", ret_mount_id) == 1)
            r = 0;
    }
    fclose(info);
    return r;
}

/* -ESTALE unless name below parent_fd is the root of the mount with this id. The descriptor is closed again here. */
static int check_mount_id(int parent_fd, const char *name, const char *path, int expected, GError **error)
{
    auto_fd int fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int mount_id;
    if (fd < 0)
        return step_failed(error, "open", path);
    int r = mount_id_of_fd(fd, &mount_id);
    if (r < 0)
        return gidfs_error_errno(error, r, "read the mount id of %s", path);
    if (mount_id != expected)
        return gidfs_error(error, ESTALE, "unmount %s: another mount (id %d, not %d) is there; it is left alone", path,
                           mount_id, expected);
    return 0;
}

static int unmount_at(int root_fd, const char *path, int expected_mount_id, int flags, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    auto_fd int parent_fd = -1;
    int r = mount_resolve_nofollow(root_fd, parent, &parent_fd, error);
    if (r == 0 && expected_mount_id)
        r = check_mount_id(parent_fd, name, path, expected_mount_id, error);
    if (r < 0)
        return r;
    g_autofree char *link = g_strdup_printf("%s/fd/%d/%s", proc_self(), parent_fd, name);
    if (umount2(link, UMOUNT_NOFOLLOW | flags) == 0)
        return 0;
    if (errno == EBUSY)
        return gidfs_error(error, EBUSY, "unmount %s: in use; end the processes that use it, or detach by force", path);
    if (errno == EINVAL)
        return gidfs_error(error, EINVAL, "unmount %s: not a mount point", path);
    return step_failed(error, "unmount", path);
}

int mount_unmount_beneath(int root_fd, const char *path, int expected_mount_id, enum mount_unmount_mode mode,
                          GError **error)
{
    if (mode == MOUNT_UNMOUNT_DETACH)
        return unmount_at(root_fd, path, expected_mount_id, MNT_DETACH, error);
    spawn_lock_for_unmount(); /* or a child that is about to exec keeps it busy */
    int r = unmount_at(root_fd, path, expected_mount_id, 0, error);
    spawn_unlock_for_unmount();
    return r;
}

int mount_unmount(const char *path, int expected_mount_id, enum mount_unmount_mode mode, GError **error)
{
    auto_fd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return step_failed(error, "open", "/");
    return mount_unmount_beneath(root_fd, path, expected_mount_id, mode, error);
}

int mount_set_propagation(const char *path, struct mount_propagation propagation, GError **error)
{
    unsigned long flags = propagation_flags[propagation.type] | (propagation.recursive ? MS_REC : 0);
    if (mount(NULL, path, NULL, flags, NULL) < 0)
        return step_failed(error, "set propagation of", path);
    return 0;
}
