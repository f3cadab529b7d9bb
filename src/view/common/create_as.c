/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns what is created.
 *
 * An entry is created on disk by a thread that has the caller's ids as its file system ids, so its owner is right from
 * the first moment, a setgid directory on disk hands on its group, and default ACLs and the umask apply as POSIX says.
 * With gid= the group is that of the parent directory on disk (behaviour B4): never the view's.
 *
 * Threads of a worker have file system attributes of their own (unshare(CLONE_FS)), so each has its own umask, and keep
 * their capabilities over setfsuid (creds.h).
 */
#include "sys/creds.h"
#include "view/common/view.h"

#include <errno.h>
#include <string.h>

/* Whether this thread has raised CAP_FSETID. */
static __thread bool has_fsetid;

/*
 * The group that the kernel sends along with a create (FUSE_CREATE_SUPP_GROUP): that of the parent, if the caller is in
 * it. It stands behind the request's own data, in extensions that the header's total_extlen counts in units of 8 bytes.
 */
static bool supplementary_group(const struct fuse_in_header *header, gid_t *ret_gid)
{
    size_t n_left = (size_t)header->total_extlen * 8;
    if (n_left == 0 || n_left + sizeof(*header) > header->len)
        return false;
    const char *at = (const char *)header + header->len - n_left;
    while (n_left >= sizeof(struct fuse_ext_header)) {
        struct fuse_ext_header extension;
        memcpy(&extension, at, sizeof(extension));
        if (extension.size < sizeof(extension) || extension.size > n_left)
            return false;
        if (extension.type == ABI_EXT_GROUPS && extension.size >= sizeof(extension) + 2 * sizeof(uint32_t)) {
            uint32_t groups[2];
            memcpy(groups, at + sizeof(extension), sizeof(groups));
            *ret_gid = groups[1];
            return groups[0] > 0;
        }
        at += extension.size;
        n_left -= extension.size;
    }
    return false;
}

/* Whether a caller without an id on disk is root and may act as the root there (struct view). */
static bool is_unmapped_root(const struct view *view, uint32_t view_id, const struct id_map *map)
{
    return view->unmapped_root_is_root && view_id == 0 && id_map_to_view(map, 0) != ID_MAP_OVERFLOW;
}

static int become_with_own_groups(const struct view *view, uid_t disk_uid, gid_t view_gid)
{
    gid_t disk_gid, group;
    if (view_gid_to_disk(view, view_gid, &disk_gid) < 0) {
        if (!is_unmapped_root(view, view_gid, view->options->gid_map))
            return -EOVERFLOW;
        disk_gid = 0;
    }
    if (supplementary_group(request_current_header(), &group) && view_gid_to_disk(view, group, &group) == 0)
        creds_set_groups(&group, 1);
    creds_set_fsids(disk_uid, disk_gid);
    return 0;
}

int view_become_caller(const struct view *view, mode_t umask_of_caller, const struct statx *parent_stx)
{
    const struct fuse_in_header *caller = request_current_header();
    uid_t disk_uid;
    int r = view_uid_to_disk(view, caller->uid, &disk_uid);
    if (r < 0) {
        if (!is_unmapped_root(view, caller->uid, view->options->uid_map))
            return -EOVERFLOW; /* what the kernel says to a caller that a file system cannot name */
        disk_uid = 0;
    }
    if (view->options->has_gid) {
        creds_set_fsids(disk_uid, parent_stx->stx_gid);
    } else {
        r = become_with_own_groups(view, disk_uid, caller->gid);
        if (r < 0)
            return r;
    }
    umask(umask_of_caller & 0777);
    return 0;
}

void view_become_server(void)
{
    creds_set_fsids(0, 0);
    creds_set_groups(NULL, 0);
    umask(0);
}

void view_begin_data_change(const struct view *view, bool keep_setid)
{
    gid_t disk_gid;
    if (view_gid_to_disk(view, request_current_header()->gid, &disk_gid) == 0)
        creds_set_fsgid(disk_gid);
    if (keep_setid && view->allow_setid) {
        creds_set_fsetid(true);
        has_fsetid = true;
    }
}

void view_end_data_change(void)
{
    creds_set_fsgid(0);
    if (has_fsetid)
        creds_set_fsetid(false);
    has_fsetid = false;
}

int view_create_mode(const struct view *view, mode_t view_mode, mode_t *ret_disk_mode)
{
    if (view->options->has_gid && (S_ISCHR(view_mode) || S_ISBLK(view_mode)))
        return -EPERM;
    *ret_disk_mode = view->allow_setid ? view_mode : view_mode & ~(mode_t)(S_ISUID | S_ISGID);
    return 0;
}
