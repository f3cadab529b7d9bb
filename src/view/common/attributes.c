/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes: what is reported of an inode, and what a change of it puts on disk.
 */
#include "sys/creds.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/common/view.h"

#include <errno.h>
#include <limits.h>
#include <sys/statvfs.h>

void view_attributes(struct view *view, struct inode *inode, struct statx *stx, struct stat *ret_st)
{
    const struct view_options *options = view->options;
    if (inode && view->hooks->adjust_statx)
        view->hooks->adjust_statx(view, inode, stx);
    else
        stx->stx_ino = source_ino(view->source, stx);
    statx_to_stat(stx, ret_st);

    ret_st->st_uid = options->has_squash_uid ? options->squash_uid : id_map_to_view(options->uid_map, stx->stx_uid);
    if (options->has_gid)
        ret_st->st_gid = options->view_gid;
    else
        ret_st->st_gid = options->has_squash_gid ? options->squash_gid : id_map_to_view(options->gid_map, stx->stx_gid);
    ret_st->st_mode = mode_policy_to_view(options->policy, view->read_only, stx->stx_mode);
}

int view_uid_to_disk(const struct view *view, uid_t view_uid, uid_t *ret_disk_uid)
{
    return id_map_to_disk(view->options->uid_map, view_uid, ret_disk_uid) < 0 ? -EINVAL : 0;
}

int view_gid_to_disk(const struct view *view, gid_t view_gid, gid_t *ret_disk_gid)
{
    return id_map_to_disk(view->options->gid_map, view_gid, ret_disk_gid) < 0 ? -EINVAL : 0;
}

static int read_attributes(struct view *view, struct inode *inode, struct statx *ret_stx, struct stat *ret_st)
{
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    uint64_t n_missed = view_changes_missed(view);
    int r = inode_fd_statx(fd, ret_stx);
    inode_table_put_fd(view->inodes, inode);
    if (r == 0)
        r = view_cover_inode(view, NULL, inode, n_missed, ret_stx);
    if (r == 0)
        view_attributes(view, inode, ret_stx, ret_st);
    return r;
}

static void reply_attributes(fuse_req_t req, struct view *view, struct inode *inode)
{
    struct statx stx;
    struct stat st;
    int r = read_attributes(view, inode, &stx, &st);
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_attr(req, &st, view_attr_timeout(view, inode, &st));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    if (inode)
        reply_attributes(req, view, inode);
    else
        view_reply_error(req, -ESTALE);
}

/* Owner and group. A view with gid= has one group, and a change to it changes nothing. */
static int set_owner(struct view *view, int fd, const struct stat *wanted, int to_set)
{
    uid_t disk_uid = (uid_t)-1;
    gid_t disk_gid = (gid_t)-1;
    int r = 0;
    if (to_set & FUSE_SET_ATTR_UID)
        r = view_uid_to_disk(view, wanted->st_uid, &disk_uid);
    if (r == 0 && to_set & FUSE_SET_ATTR_GID) {
        if (!view->options->has_gid)
            r = view_gid_to_disk(view, wanted->st_gid, &disk_gid);
        else if (wanted->st_gid != view->options->view_gid && view->options->chgrp == VIEW_CHGRP_REFUSE)
            r = -EPERM;
    }
    if (r < 0)
        return r;
    /* chown clears setgid without group-execute unless the caller may keep it, and then the disk must think so too. */
    view_begin_data_change(view, request_current_header()->uid == 0);
    r = inode_fd_chown(fd, disk_uid, disk_gid);
    view_end_data_change();
    return r;
}

static int set_mode(struct view *view, int fd, mode_t view_mode)
{
    struct statx stx;
    int r = inode_fd_statx(fd, &stx);
    if (r < 0)
        return r;
    mode_t disk_mode =
        mode_policy_to_disk(view->options->policy, view->read_only, stx.stx_mode, view_mode, view->allow_setid);
    /* The kernel has cleared setgid already where the caller may not set it; without CAP_FSETID the disk would too. */
    bool keep_setgid = disk_mode & S_ISGID;
    if (keep_setgid)
        creds_set_fsetid(true);
    r = inode_fd_chmod(fd, disk_mode);
    if (keep_setgid)
        creds_set_fsetid(false);
    return r;
}

static int set_size(struct view *view, int fd, off_t size_bytes)
{
    const struct fuse_setattr_in *in = (const void *)(request_current_header() + 1);
    view_begin_data_change(view, !(in->valid & FATTR_KILL_SUIDGID));
    int r = inode_fd_truncate(fd, size_bytes);
    view_end_data_change();
    return r;
}

static int set_times(int fd, const struct stat *wanted, int to_set)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        times[0].tv_nsec = UTIME_NOW;
    else if (to_set & FUSE_SET_ATTR_ATIME)
        times[0] = wanted->st_atim;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        times[1].tv_nsec = UTIME_NOW;
    else if (to_set & FUSE_SET_ATTR_MTIME)
        times[1] = wanted->st_mtim;
    return inode_fd_utimens(fd, times);
}

static int set_attributes(struct view *view, int fd, const struct stat *wanted, int to_set)
{
    int r = 0;
    /* Nothing to set: a chown that names neither, or a write that is to come. Both clear set-id bits on disk. */
    if (to_set == 0 || to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
        r = set_owner(view, fd, wanted, to_set);
    if (r == 0 && to_set & FUSE_SET_ATTR_MODE)
        r = set_mode(view, fd, wanted->st_mode);
    if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
        r = set_size(view, fd, wanted->st_size);
    if (r == 0 && to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME))
        r = set_times(fd, wanted, to_set);
    return r;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int to_set, struct fuse_file_info *fi)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    int r = inode ? 0 : -ESTALE;
    if (r == 0 && view_is_echo(req)) {
        reply_attributes(req, view, inode);
        return;
    }
    if (r == 0)
        r = view_prepare_write(view, inode);
    int fd = r < 0 ? r : inode_table_get_fd(view->inodes, inode);
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    if (!journal_is_done(&r)) {
        r = set_attributes(view, fd, wanted, to_set);
        journal_note_done(r);
    }
    inode_table_put_fd(view->inodes, inode);
    if (r < 0)
        view_reply_error(req, r);
    else
        reply_attributes(req, view, inode);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[PATH_MAX + 1];
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    int fd = inode ? inode_table_get_fd(view->inodes, inode) : -ESTALE;
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    int r = inode_fd_readlink(fd, target, sizeof(target));
    inode_table_put_fd(view->inodes, inode);
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_readlink(req, target);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino ? ino : FUSE_ROOT_ID);
    int fd = inode ? inode_table_get_fd(view->inodes, inode) : -ESTALE;
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    struct statvfs st;
    int r = fstatvfs(fd, &st) < 0 ? -errno : 0;
    inode_table_put_fd(view->inodes, inode);
    if (r < 0)
        view_reply_error(req, r);
    else
        fuse_reply_statfs(req, &st);
}

static struct abi_sx_time sx_time(struct timespec t)
{
    return (struct abi_sx_time){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

/* FUSE_STATX: what getattr says, and the birth time. */
static int statx_reply(struct view *view, struct inode *inode, struct abi_statx_out *out)
{
    struct statx stx;
    struct stat st;
    int r = read_attributes(view, inode, &stx, &st);
    if (r < 0)
        return r;
    double timeout_s = view_attr_timeout(view, inode, &st);
    *out = (struct abi_statx_out){
        .attr_valid = (uint64_t)timeout_s,
        .attr_valid_nsec = (uint32_t)((timeout_s - (double)(uint64_t)timeout_s) * 1e9),
        .stat = {.mask = stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
                 .blksize = stx.stx_blksize,
                 .attributes = stx.stx_attributes,
                 .attributes_mask = stx.stx_attributes_mask,
                 .nlink = (uint32_t)st.st_nlink,
                 .uid = st.st_uid,
                 .gid = st.st_gid,
                 .mode = (uint16_t)st.st_mode,
                 .ino = st.st_ino,
                 .size = stx.stx_size,
                 .blocks = stx.stx_blocks,
                 .atime = sx_time(st.st_atim),
                 .mtime = sx_time(st.st_mtim),
                 .ctime = sx_time(st.st_ctim),
                 .btime = {.tv_sec = stx.stx_btime.tv_sec, .tv_nsec = stx.stx_btime.tv_nsec},
                 .rdev_major = stx.stx_rdev_major,
                 .rdev_minor = stx.stx_rdev_minor},
    };
    return 0;
}

void view_raw_statx(struct view *view, const struct fuse_in_header *header)
{
    struct abi_statx_out out = {0};
    struct inode *inode = inode_table_get(view->inodes, header->nodeid);
    int r = inode ? statx_reply(view, inode, &out) : -ESTALE;
    transport_reply_raw(view->transport, header->unique, r, &out, sizeof(out));
}

void view_ops_attributes(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->setattr = op_setattr;
    ops->readlink = op_readlink;
    ops->statfs = op_statfs;
}
