/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking an image layer. libarchive only reads: everything is written here, by descriptors.
 *
 * The parent of an entry is opened component by component with O_NOFOLLOW, so no link, neither one of this tar nor one
 * that appears meanwhile, leads out of the directory. A directory's attributes are set at the end, deepest last made
 * first, since filling it changes its times and its mode may forbid to fill it.
 */
#include "provision/layer_tar.h"

#include "base/fd.h"
#include "base/log.h"
#include "core/overlay_xattr.h"
#include "core/whiteout.h"
#include "provision/remove_tree.h"
#include "sys/copy_meta.h"
#include "sys/inode_fd.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BLOCK_BYTES 65536

struct deferred_dir {
    char *path;
    struct stat st;
};

struct unpack {
    const char *tar_path;
    struct archive *archive;
    int root_fd;
    GArray *dirs; /* struct deferred_dir */
    struct provision_progress progress;
    provision_progress_fn callback;
    void *data;
    GError **error;
};

static int fail(struct unpack *unpack, int errnum, const char *path)
{
    return gidfs_error_errno(unpack->error, errnum, "%s: entry %s", unpack->tar_path, path);
}

static int fail_archive(struct unpack *unpack)
{
    int errnum = archive_errno(unpack->archive);
    const char *reason = archive_error_string(unpack->archive);
    return gidfs_error(unpack->error, errnum > 0 ? errnum : EINVAL, "%s: no readable layer tar: %s", unpack->tar_path,
                       reason ? reason : "unknown error");
}

/* The name of an entry without "/" and "." parts, "" for the root; NULL where it has "..". Caller frees. */
static char *clean_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GString) clean = g_string_new(NULL);
    for (char **part = parts; *part; part++) {
        if (strcmp(*part, "..") == 0)
            return NULL;
        if (**part == '\0' || strcmp(*part, ".") == 0)
            continue;
        g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", *part);
    }
    return g_string_free(g_steal_pointer(&clean), FALSE);
}

/*
 * Opens the directory that path's last component is in, and points *ret_name at that component. With make, missing
 * directories are made as image tools do: root's, 0755. Returns an fd or a negative errno, -ELOOP for a link.
 */
static int open_parent(int root_fd, const char *path, bool make, const char **ret_name)
{
    auto_fd int current = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (current < 0)
        return -errno;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        g_autofree char *name = g_strndup(path, slash - path);
        const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int next = openat(current, name, flags);
        if (next < 0 && errno == ENOENT && make && mkdirat(current, name, 0755) == 0)
            next = openat(current, name, flags);
        if (next < 0)
            return errno == ENOTDIR ? -ELOOP : -errno;
        fd_close(current);
        current = next;
    }
    *ret_name = path;
    return fd_steal(&current);
}

/* Names are bytes, or UTF-8 where a tar says so (pax), which libarchive would convert to the locale. */
static const char *entry_path(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    return path ? path : archive_entry_pathname_utf8(entry);
}

static const char *entry_hardlink(struct archive_entry *entry)
{
    const char *path = archive_entry_hardlink(entry);
    return path ? path : archive_entry_hardlink_utf8(entry);
}

static const char *entry_symlink(struct archive_entry *entry)
{
    const char *target = archive_entry_symlink(entry);
    return target ? target : archive_entry_symlink_utf8(entry);
}

static int copy_entry_data(struct unpack *unpack, int fd)
{
    const void *block;
    size_t size;
    int64_t at;
    int r;
    while ((r = archive_read_data_block(unpack->archive, &block, &size, &at)) == ARCHIVE_OK) {
        for (size_t done = 0; done < size;) {
            ssize_t n = pwrite(fd, (const char *)block + done, size - done, at + (off_t)done);
            if (n < 0)
                return -errno;
            done += (size_t)n;
        }
        unpack->progress.done_bytes += size;
        int stop = unpack->callback ? unpack->callback(&unpack->progress, unpack->data) : 0;
        if (stop < 0)
            return stop;
    }
    return r == ARCHIVE_EOF ? 0 : -EIO;
}

/* Makes the entry's object under name; *ret_fd is it. Directories that exist stay. */
static int make_object(struct unpack *unpack, struct archive_entry *entry, int dir_fd, const char *name, int *ret_fd)
{
    mode_t type = archive_entry_filetype(entry);
    int r = 0, flags = O_PATH;
    if (type == AE_IFREG) {
        auto_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        r = copy_entry_data(unpack, fd);
        if (r == 0 && ftruncate(fd, archive_entry_size(entry)) < 0)
            r = -errno;
    } else if (type == AE_IFDIR) {
        r = mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
        flags |= O_DIRECTORY;
    } else if (type == AE_IFLNK) {
        const char *target = entry_symlink(entry);
        r = !target ? -EINVAL : symlinkat(target, dir_fd, name) < 0 ? -errno : 0;
    } else if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO) {
        r = mknodat(dir_fd, name, type | 0600, archive_entry_rdev(entry)) < 0 ? -errno : 0;
    } else {
        return -EOPNOTSUPP;
    }
    if (r < 0)
        return r;
    int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

/* What is there already goes, unless both are directories: a later entry of a tar replaces an earlier one. */
static int make_way(int dir_fd, const char *name, bool for_dir)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    return for_dir && S_ISDIR(st.st_mode) ? 0 : remove_tree(dir_fd, name);
}

static int set_xattrs(struct archive_entry *entry, int fd)
{
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        char view_name[XATTR_NAME_MAX + 1];
        if (!name || strlen(name) > XATTR_NAME_MAX || !overlay_xattr_to_view(name, view_name))
            continue;
        int r = inode_fd_setxattr(fd, name, value, size, 0);
        if (r < 0 && r != -EOPNOTSUPP && r != -EPERM)
            return r;
    }
    return 0;
}

static struct stat stat_of_entry(struct archive_entry *entry)
{
    struct stat st = *archive_entry_stat(entry);
    if (!archive_entry_atime_is_set(entry))
        st.st_atim = st.st_mtim;
    return st;
}

static int set_attributes(const struct stat *st, int fd)
{
    int r = copy_owner(fd, st);
    if (r == 0)
        r = copy_mode(fd, st);
    return r;
}

static void defer_dir(struct unpack *unpack, const char *path, const struct stat *st)
{
    struct deferred_dir dir = {.path = g_strdup(path), .st = *st};
    g_array_append_val(unpack->dirs, dir);
}

static int unpack_hardlink(struct unpack *unpack, const char *target, int dir_fd, const char *name)
{
    const char *target_name;
    g_autofree char *path = clean_path(target);
    if (!path || !*path)
        return -EINVAL;
    auto_fd int target_dir = open_parent(unpack->root_fd, path, false, &target_name);
    if (target_dir < 0)
        return target_dir;
    return linkat(target_dir, target_name, dir_fd, name, 0) < 0 ? -errno : 0;
}

static int unpack_object(struct unpack *unpack, struct archive_entry *entry, const char *path, int dir_fd,
                         const char *name)
{
    auto_fd int fd = -1;
    struct stat st = stat_of_entry(entry);
    bool is_dir = S_ISDIR(st.st_mode);
    int r = make_object(unpack, entry, dir_fd, name, &fd);
    if (r == 0 && is_dir)
        defer_dir(unpack, path, &st);
    else if (r == 0)
        r = set_attributes(&st, fd);
    if (r == 0)
        r = set_xattrs(entry, fd);
    return r == 0 && !is_dir ? copy_times(fd, &st) : r;
}

/* Whether the name is a mark that hides nothing: left out, and said so unless it is one of AUFS's own. */
static bool is_refused(struct unpack *unpack, const char *name)
{
    const char *hidden;
    if (whiteout_parse_name(name, &hidden) != WHITEOUT_NAME_REFUSED)
        return false;
    if (!g_str_has_prefix(name, ".wh..wh."))
        log_warning("%s: left out %s: a whiteout of no name", unpack->tar_path, name);
    return true;
}

static int unpack_entry(struct unpack *unpack, struct archive_entry *entry)
{
    const char *name, *given = entry_path(entry);
    g_autofree char *path = given ? clean_path(given) : NULL;
    if (!path)
        return gidfs_error(unpack->error, EINVAL, "%s: entry %s leads out of the layer: the tar is damaged or hostile",
                           unpack->tar_path, given ? given : "without a name");
    const char *hardlink = entry_hardlink(entry);
    struct stat st = stat_of_entry(entry);
    if (!*path) {
        defer_dir(unpack, "", &st);
        return 0;
    }
    auto_fd int dir_fd = open_parent(unpack->root_fd, path, true, &name);
    if (dir_fd < 0)
        return fail(unpack, dir_fd, given);
    if (is_refused(unpack, name))
        return 0;
    int r = make_way(dir_fd, name, !hardlink && S_ISDIR(st.st_mode));
    if (r == 0)
        r = hardlink ? unpack_hardlink(unpack, hardlink, dir_fd, name)
                     : unpack_object(unpack, entry, path, dir_fd, name);
    if (r == -EIO && archive_error_string(unpack->archive))
        return fail_archive(unpack);
    return r < 0 ? fail(unpack, r, given) : 0;
}

static int finish_dirs(struct unpack *unpack)
{
    for (guint i = unpack->dirs->len; i-- > 0;) {
        const struct deferred_dir *dir = &g_array_index(unpack->dirs, struct deferred_dir, i);
        const char *name;
        auto_fd int parent = open_parent(unpack->root_fd, dir->path, false, &name);
        auto_fd int fd =
            parent < 0 ? parent : openat(parent, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue; /* a later entry took its place */
        int r = set_attributes(&dir->st, fd);
        if (r == 0)
            r = copy_times(fd, &dir->st);
        if (r < 0)
            return fail(unpack, r, dir->path);
    }
    return 0;
}

static int unpack_all(struct unpack *unpack)
{
    struct archive_entry *entry;
    int r;
    while ((r = archive_read_next_header(unpack->archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        int failed = unpack_entry(unpack, entry);
        if (failed < 0)
            return failed;
        unpack->progress.done_entries++;
    }
    return r == ARCHIVE_EOF ? finish_dirs(unpack) : fail_archive(unpack);
}

static void clear_deferred_dir(void *data)
{
    g_free(((struct deferred_dir *)data)->path);
}

/* A reader of tars and of what they are compressed with here; none that runs another program. */
static struct archive *new_reader(void)
{
    struct archive *archive = archive_read_new();
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_empty(archive);
    return archive;
}

int layer_tar_unpack(const char *path, int dir_fd, provision_progress_fn progress, void *data, GError **error)
{
    g_autoptr(GArray) dirs = g_array_new(FALSE, FALSE, sizeof(struct deferred_dir));
    g_array_set_clear_func(dirs, clear_deferred_dir);
    struct unpack unpack = {
        .tar_path = path,
        .archive = new_reader(),
        .root_fd = dir_fd,
        .dirs = dirs,
        .callback = progress,
        .data = data,
        .error = error,
    };
    int r = archive_read_open_filename(unpack.archive, path, READ_BLOCK_BYTES);
    r = r == ARCHIVE_OK ? unpack_all(&unpack) : fail_archive(&unpack);
    archive_read_free(unpack.archive);
    return r;
}
