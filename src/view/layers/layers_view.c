/* SPDX-License-Identifier: Apache-2.0 */
#include "view/layers/layers_view.h"

#include "base/fd.h"
#include "sys/copy_meta.h"
#include "sys/dirent.h"
#include "sys/inode_fd.h"
#include "sys/mount_table.h"
#include "view/layers/layers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#define WORK_NAME     "work"
#define INDEX_NAME    "index"
#define PROBE_BYTES   32768
#define N_FDS_DEFAULT 1024

/* Empties the work directory: what a crash left there has no name anywhere else. */
static void empty_work(struct layers *layers)
{
    g_autofree char *buffer = g_malloc(PROBE_BYTES);
    auto_fd int fd = openat(layers->work_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = dirent_read(fd, buffer, PROBE_BYTES)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(buffer + at);
            at += record->record_size_bytes;
            if (record->name[0] == '#')
                marks_discard(layers, record->name);
        }
}

static int open_index(struct layers *layers, int workdir_fd, const struct view_options *options, GError **error)
{
    if (mkdirat(workdir_fd, INDEX_NAME, 0700) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "workdir %s", options->work_dir);
    layers->index_fd = openat(workdir_fd, INDEX_NAME, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (layers->index_fd < 0)
        return gidfs_error_errno(error, errno, "workdir %s/" INDEX_NAME, options->work_dir);
    return 0;
}

/* Opens workdir/work, through the very mount of the upper: a rename does not cross mounts. */
static int open_work(struct layers *layers, const struct view_options *options, GError **error)
{
    struct stat upper, work;
    auto_fd int fd = open(options->work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gidfs_error_errno(error, errno, "workdir %s", options->work_dir);
    if (stat(options->upper_dir, &upper) < 0 || fstat(fd, &work) < 0)
        return gidfs_error_errno(error, errno, "upperdir %s", options->upper_dir);
    if (upper.st_dev != work.st_dev)
        return gidfs_error(error, EXDEV, "workdir %s: must be on the file system of upperdir %s", options->work_dir,
                           options->upper_dir);
    if (mkdirat(fd, WORK_NAME, 0700) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "workdir %s", options->work_dir);
    layers->work_fd = openat(fd, WORK_NAME, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (layers->work_fd < 0)
        return gidfs_error_errno(error, errno, "workdir %s/" WORK_NAME, options->work_dir);
    inode_fd_removexattr(layers->work_fd, "system.posix_acl_default"); /* or all that is made in it would inherit it */
    empty_work(layers);
    return options->no_index ? 0 : open_index(layers, fd, options, error);
}

/* Whether another file system among the layers has the same UUID: origins could not be told apart. */
static bool has_twin(const struct layers *layers, unsigned index)
{
    const struct layer_set *set = layers->set;
    for (unsigned i = 0; i < set->n_layers; i++)
        if (set->layers[i].fs != set->layers[index].fs &&
            memcmp(layers->uuids[i].bytes, layers->uuids[index].bytes, FS_UUID_BYTES) == 0)
            return true;
    return false;
}

/* One that is not told (btrfs) counts as all zero, as it does for the kernel's overlayfs. */
static void read_uuids(struct layers *layers)
{
    unsigned n = layers->set->n_layers;
    layers->uuids = g_new0(struct layer_uuid, n);
    for (unsigned i = 0; i < n; i++)
        fs_uuid_of_fd(layers->set->layers[i].root_fd, layers->uuids[i].bytes);
    for (unsigned i = 0; i < n; i++)
        layers->uuids[i].is_usable = !has_twin(layers, i);
}

/*
 * containers/storage gives id-mapped mounts of the layers to a mount program, and the map as an option as well. What
 * such a mount shows is mapped once already.
 */
static void find_id_mapped_layers(struct layers *layers, const struct view_options *options)
{
    g_autoptr(mount_table) table = NULL;
    layers->is_id_mapped = g_new0(bool, layers->set->n_layers);
    if ((!options->uid_map && !options->gid_map) || mount_table_read(0, &table, NULL) < 0)
        return;
    for (unsigned i = layers->set->has_upper ? 1 : 0; i < layers->set->n_layers; i++) {
        struct statx stx;
        auto_fd int fd = open(layers->set->layers[i].path, O_PATH | O_CLOEXEC);
        if (fd < 0 || inode_fd_statx(fd, &stx) < 0)
            continue;
        const struct mount_entry *entry = mount_table_find_id(table, (int)stx.stx_mnt_id);
        layers->is_id_mapped[i] = entry && mount_entry_has_option(entry, "idmapped");
    }
}

/* Marks are trusted.overlay.* where that may be set and nothing else is said, as with the kernel's overlayfs. */
static enum overlay_xattr_form choose_form(const struct view_options *options)
{
    if (options->user_xattr)
        return OVERLAY_XATTR_USER;
    auto_fd int fd = options->work_dir ? open(options->work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return OVERLAY_XATTR_TRUSTED;
    const char *name = overlay_xattr_name(OVERLAY_XATTR_TRUSTED, OVERLAY_XATTR_OPAQUE);
    if (inode_fd_setxattr(fd, name, "0", 1, 0) == -EPERM)
        return OVERLAY_XATTR_USER;
    inode_fd_removexattr(fd, name);
    return OVERLAY_XATTR_TRUSTED;
}

int layers_open(const struct view_options *options, struct layers **ret_layers, GError **error)
{
    struct layers *layers = g_new0(struct layers, 1);
    copy_meta_init();
    layers->work_fd = layers->index_fd = -1;
    layers->aufs = options->whiteouts == VIEW_WHITEOUTS_AUFS;
    layers->may_redirect = options->redirect == VIEW_REDIRECT_ON;
    layers->sync = !options->volatile_upper;
    layers->metacopy = !options->no_metacopy && layers->may_redirect;
    struct layer_set_options set_options = {
        .lower_dirs = (const char *const *)options->lower_dirs,
        .n_lower_dirs = options->n_lower_dirs,
        .upper_dir = options->upper_dir,
        .form = choose_form(options),
        .follow_redirects = options->redirect != VIEW_REDIRECT_NOFOLLOW,
    };
    int r = layer_set_open(&set_options, &layers->set, error);
    if (r == 0) {
        read_uuids(layers);
        find_id_mapped_layers(layers, options);
        r = options->upper_dir ? open_work(layers, options, error) : 0;
    }
    if (r < 0)
        layers_free(layers);
    else
        *ret_layers = layers;
    return r;
}

void layers_free(struct layers *layers)
{
    if (!layers)
        return;
    members_free(layers->members);
    places_free(layers->places);
    listings_free(layers->listings);
    copy_ups_free(layers->copy_ups);
    fd_close(layers->work_fd);
    fd_close(layers->index_fd);
    layer_set_free(layers->set);
    g_free(layers->uuids);
    g_free(layers->is_id_mapped);
    g_free(layers);
}

int layers_top_fd(const struct layers *layers)
{
    return layers->set->layers[0].root_fd;
}

int layers_view_root(struct view *view)
{
    struct layers *layers = layers_of(view);
    g_auto(layer_object) object = {0};
    struct inode_key key;
    enum inode_keep keep;
    struct inode *root;
    if (inode_table_get(view->inodes, FUSE_ROOT_ID))
        return 0;
    int r = layer_object_root(layers->set, &object);
    if (r < 0)
        return r;
    auto_fd int fd = inode_fd_reopen(object.members[0].fd, O_PATH | O_DIRECTORY);
    r = fd < 0 ? fd : layers_key_of_fd(view, 0, fd, &object.stx, &key, &keep);
    if (r == 0)
        r = inode_table_intern(view->inodes, &key, DT_DIR, &fd, INODE_KEEP_PINNED, &root);
    if (r < 0)
        return r;
    uint16_t flags = layers->set->has_upper ? LAYERS_FLAG_UPPER : 0;
    atomic_fetch_or(&root->flags, (uint16_t)(flags | (object.n_members > 1 ? LAYERS_FLAG_MERGED : 0)));
    members_put(layers->members, members_set(layers->members, root->nodeid, &object));
    return 0;
}

static void adjust_statx(struct view *view, struct inode *inode, struct statx *stx)
{
    struct layers *layers = layers_of(view);
    layers_unmap_ids(view, layers_layer_of(view, inode), stx);
    uint64_t ino = layers_is_upper(inode) ? places_get_ino(layers->places, inode->nodeid) : 0;
    if (atomic_load(&inode->flags) & LAYERS_FLAG_INDEXED) {
        int fd = inode_table_get_fd(view->inodes, inode);
        if (fd >= 0) {
            stx->stx_nlink = index_n_links(layers, fd, stx->stx_nlink);
            inode_table_put_fd(view->inodes, inode);
        }
    }
    stx->stx_ino = ino ? ino : layers_ino(layers, layers_layer_of(view, inode), stx->stx_ino);
    /* What a merged directory holds is in several: as with the kernel's overlayfs, its links are not counted. */
    if (S_ISDIR(stx->stx_mode) && (view->options->static_nlink || atomic_load(&inode->flags) & LAYERS_FLAG_MERGED))
        stx->stx_nlink = 1;
}

/* Whether the request in work changes metadata alone. */
static bool changes_metadata_only(void)
{
    const struct fuse_in_header *header = request_current_header();
    if (header->opcode == FUSE_SETXATTR || header->opcode == FUSE_REMOVEXATTR)
        return true;
    const struct fuse_setattr_in *in = (const void *)(header + 1);
    return header->opcode == FUSE_SETATTR && !(in->valid & FATTR_SIZE);
}

static int prepare_write(struct view *view, struct inode *inode)
{
    return layers_copy_up(view, inode, changes_metadata_only() ? COPY_UP_META : COPY_UP_DATA);
}

static int prepare_open(struct view *view, struct inode *inode, int flags)
{
    bool has_data_below = atomic_load(&inode->flags) & LAYERS_FLAG_METACOPY;
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC) && !has_data_below)
        return layers_split_if_bound(view, inode);
    int r = layers_copy_up(view, inode, flags & O_TRUNC ? COPY_UP_EMPTY : COPY_UP_DATA);
    return r < 0 ? r : layers_split_if_bound(view, inode);
}

static void add_ops(struct fuse_lowlevel_ops *ops)
{
    layers_ops_lookup(ops);
    layers_ops_readdir(ops);
    layers_ops_link(ops);
    layers_ops_remove(ops);
    layers_ops_rename(ops);
}

static const struct view_hooks hooks = {
    .add_ops = add_ops,
    .create = layers_create,
    .prepare_write = prepare_write,
    .prepare_open = prepare_open,
    .adjust_statx = adjust_statx,
    .xattr_to_disk = overlay_xattr_to_disk,
    .xattr_to_view = overlay_xattr_to_view,
};

/* An eighth of what the process may have is for the members of directories. */
static unsigned n_member_fds(void)
{
    struct rlimit limit = {.rlim_cur = 8 * N_FDS_DEFAULT};
    getrlimit(RLIMIT_NOFILE, &limit);
    return (unsigned)MIN(limit.rlim_cur / 8, 8192);
}

int layers_start(struct layers *layers, struct view *view, struct places_state *places)
{
    view->hooks = &hooks;
    view->hook_data = layers;
    view->unmapped_root_is_root = true;
    pthread_mutex_init(&layers->switch_lock, NULL);
    layers->members = members_new(n_member_fds());
    layers->places = places_new(places);
    layers->listings = listings_new();
    layers->copy_ups = copy_ups_new();
    index_recover(layers);
    layers->is_fixed = view->options->cache != VIEW_CACHE_NONE && !view->options->has_timeout;
    /* Nobody but the view changes the layers: what the kernel knows it may keep, unless told otherwise. */
    if (view->options->cache == VIEW_CACHE_AUTO && !view->options->has_timeout)
        view->unwatched_s = view->cached_s;
    return 0;
}
