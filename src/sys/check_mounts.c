/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of mounts and privileges. */
#include "sys/check.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "sys/mount_api.h"
#include "sys/userns.h"

#define SHIFT 100000 /* what the idmapped mount adds to each id */

int check_enter(GError **error)
{
    if (unshare(CLONE_NEWNS) < 0)
        return gidfs_error_errno(error, errno, "make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return gidfs_error_errno(error, errno, "make the mounts of a namespace private");
    return 0;
}

/* Clones dir's mount with the attributes: *ret_fd is the caller's. */
static int clone_mount(const char *dir, bool read_only, int userns_fd, int *ret_fd, GError **error)
{
    const struct mount_attributes attributes = {.read_only = read_only, .userns_fd = userns_fd};
    return mount_clone_detached(dir, &attributes, ret_fd, error);
}

int check_mount_api(const char *dir, char **ret_detail, GError **error)
{
    g_autofree char *target = NULL;
    auto_fd int mount_fd = -1;
    int r = check_make_dir(dir, "bound", &target, error);
    if (r < 0)
        return r;
    r = clone_mount(dir, true, 0, &mount_fd, error);
    if (r == 0) {
        auto_fd int target_fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = mount_attach(mount_fd, target_fd, target, error);
    }
    if (r == 0) {
        g_autofree char *file = g_build_filename(target, "written", NULL);
        auto_fd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EROFS)
            r = gidfs_error(error, EIO, "a read-only mount could be written");
        mount_fd = fd_close(mount_fd);
        mount_unmount(target, 0, MOUNT_UNMOUNT_DETACH, NULL);
    }
    rmdir(target);
    if (r == 0)
        *ret_detail = g_strdup("a mount was read-only before it appeared");
    return r;
}

int check_idmapped_mounts(const char *dir, char **ret_detail, GError **error)
{
    g_autofree char *file = NULL;
    auto_fd int userns_fd = -1;
    auto_fd int mount_fd = -1;
    struct stat on_disk, shown;
    int r = userns_for_maps("0 100000 65536", "0 100000 65536", &userns_fd, error);
    if (r == 0)
        r = clone_mount(dir, false, userns_fd, &mount_fd, error);
    if (r == 0)
        r = check_make_file(dir, "mapped", &file, error);
    if (r < 0)
        return r;
    r = stat(file, &on_disk) < 0 || fstatat(mount_fd, "mapped", &shown, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    unlink(file);
    if (r < 0)
        return gidfs_error_errno(error, r, "look at a file through an idmapped mount of %s", dir);
    if (shown.st_uid != on_disk.st_uid + SHIFT)
        return gidfs_error(error, EIO, "an idmapped mount of %s shows uid %u for %u", dir, shown.st_uid,
                           on_disk.st_uid);
    *ret_detail = g_strdup("ids were mapped");
    return 0;
}

static int mount_overlay(const char *merged, const char *lower, const char *upper, const char *work, GError **error)
{
    g_autofree char *options = g_strdup_printf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (mount("gidfs-check", merged, "overlay", 0, options) < 0)
        return gidfs_error_errno(error, errno, "mount an overlay on %s", merged);
    umount2(merged, MNT_DETACH | UMOUNT_NOFOLLOW);
    return 0;
}

int check_overlay(const char *dir, char **ret_detail, GError **error)
{
    static const char *const names[] = {"lower", "upper", "work", "merged"};
    char *paths[G_N_ELEMENTS(names)] = {0};
    int r = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(names) && r == 0; i++)
        r = check_make_dir(dir, names[i], &paths[i], error);
    if (r == 0)
        r = mount_overlay(paths[3], paths[0], paths[1], paths[2], error);
    if (r == 0)
        *ret_detail = g_strdup("an overlay was mounted with its upper here");
    if (paths[2]) {
        g_autofree char *inner = g_build_filename(paths[2], "work", NULL); /* the kernel makes it */
        rmdir(inner);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (paths[i])
            rmdir(paths[i]);
        g_free(paths[i]);
    }
    return r;
}

int check_capabilities(const char *dir, char **ret_detail, GError **error)
{
    static const unsigned needed[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                      CAP_FSETID, CAP_SETGID,       CAP_SETUID,          CAP_SETPCAP,
                                      CAP_MKNOD,  CAP_SYS_ADMIN,    CAP_LEASE,           CAP_SYS_PTRACE};
    g_autoptr(GString) missing = g_string_new(NULL);
    if (capng_get_caps_process() < 0)
        return gidfs_error(error, EIO, "the capabilities of this process can't be read");
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!capng_have_capability(CAPNG_EFFECTIVE, needed[i]))
            g_string_append_printf(missing, " %s", capng_capability_to_name(needed[i]));
    }
    if (missing->len)
        return gidfs_error(error, EPERM, "missing:%s", missing->str);
    *ret_detail = g_strdup("all that gidfs uses are there");
    return 0;
}
