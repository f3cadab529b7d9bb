/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes, ACLs among them: ids inside an ACL are mapped both ways (behaviour B6), what the policy adds to
 * modes it adds to access ACLs (core/acl_policy.h), and a file capability reaches the disk only where setuid bits may.
 *
 * What a view does not show or take: see hides_xattr(). Names that the view keeps for itself (marks of layers) have
 * another name on disk when a client uses them (name_on_disk()).
 */
#include "core/acl_ids.h"
#include "core/acl_policy.h"
#include "sys/creds.h"
#include "sys/inode_fd.h"
#include "view/common/journal.h"
#include "view/common/view.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#define ACL_PREFIX           "system.posix_acl_"
#define ACL_ACCESS           "system.posix_acl_access"
#define ACL_MAX_BYTES        65536
#define CAPABILITY           "security.capability"
#define TRUSTED_PREFIX       "trusted."
#define XATTR_LIST_MAX_BYTES 65536

static bool is_acl(const char *name)
{
    return strncmp(name, ACL_PREFIX, strlen(ACL_PREFIX)) == 0;
}

/* Whether an attribute is not served at all. */
static bool hides_xattr(const struct view *view, const char *name)
{
    if (view->options->no_acl && is_acl(name))
        return true;
    return view->options->no_xattrs && !is_acl(name);
}

/* The name by which the disk has an attribute that a client names; buffer is room for it. 0 or -errno. */
static int name_on_disk(const struct view *view, const char *name, char buffer[XATTR_NAME_MAX + 1],
                        const char **ret_name)
{
    *ret_name = view->hooks->xattr_to_disk ? buffer : name;
    return view->hooks->xattr_to_disk ? view->hooks->xattr_to_disk(name, buffer) : 0;
}

/* The name that a client sees of one on disk, no longer than that, or false. */
static bool name_in_view(const struct view *view, const char *name, char ret_name[XATTR_NAME_MAX + 1])
{
    if (hides_xattr(view, name) || strlen(name) > XATTR_NAME_MAX)
        return false;
    if (view->hooks->xattr_to_view)
        return view->hooks->xattr_to_view(name, ret_name);
    strcpy(ret_name, name);
    return true;
}

static int acl_id_to_view(enum acl_ids_type type, uint32_t *id, void *data)
{
    const struct view *view = data;
    *id = id_map_to_view(type == ACL_IDS_USER ? view->options->uid_map : view->options->gid_map, *id);
    return 0;
}

static int acl_id_to_disk(enum acl_ids_type type, uint32_t *id, void *data)
{
    const struct view *view = data;
    return type == ACL_IDS_USER ? view_uid_to_disk(view, *id, id) : view_gid_to_disk(view, *id, id);
}

static bool maps_ids(const struct view *view)
{
    return view->options->uid_map || view->options->gid_map;
}

/* An ACL as it is on disk, to what the view reports, in place. */
static int acl_to_view(struct view *view, const struct inode *inode, const char *name, void *value, size_t size)
{
    const struct view_options *options = view->options;
    int r = 0;
    if (strcmp(name, ACL_ACCESS) == 0 && options->policy != MODE_POLICY_NONE)
        r = acl_policy_to_view(options->policy, view->read_only, DTTOIF(inode->type), value, size);
    if (r == 0 && maps_ids(view))
        r = acl_ids_map(value, size, acl_id_to_view, view);
    return r;
}

/* Takes what the policy has added out of an access ACL that a client writes. */
static int acl_without_policy(const struct view *view, int fd, void *value, size_t size)
{
    const struct view_options *options = view->options;
    struct statx stx;
    int r = inode_fd_statx(fd, &stx);
    if (r < 0)
        return r;
    g_autofree char *current = g_try_malloc(ACL_MAX_BYTES);
    ssize_t n = current ? inode_fd_getxattr(fd, ACL_ACCESS, current, ACL_MAX_BYTES) : -ENOMEM;
    if (n < 0 && n != -ENODATA)
        return (int)n;
    struct acl_policy_disk disk = {.mode = stx.stx_mode, .value = current, .size = n > 0 ? (size_t)n : 0};
    return acl_policy_to_disk(options->policy, view->read_only, &disk, value, size);
}

/* An ACL as a client writes it, to what may reach the disk, in place; it may become shorter. */
static int acl_to_disk(struct view *view, int fd, const char *name, void *value, size_t *size)
{
    int r = view->options->has_gid ? acl_policy_fold_group(view->options->view_gid, value, size) : 0;
    if (r == 0 && maps_ids(view))
        r = acl_ids_map(value, *size, acl_id_to_disk, view);
    if (r == 0 && strcmp(name, ACL_ACCESS) == 0 && view->options->policy != MODE_POLICY_NONE)
        r = acl_without_policy(view, fd, value, *size);
    return r;
}

/* What answers a get or a list: the value, or its size when the caller has given no room. */
static void reply_value(fuse_req_t req, const char *value, ssize_t n, size_t size)
{
    if (n < 0)
        view_reply_error(req, (int)n);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)n);
    else if ((size_t)n > size)
        view_reply_error(req, -ERANGE);
    else
        fuse_reply_buf(req, value, (size_t)n);
}

static int get_fd(struct view *view, fuse_ino_t ino, struct inode **ret_inode)
{
    struct inode *inode = inode_table_get(view->inodes, ino);
    if (!inode)
        return -ESTALE;
    *ret_inode = inode;
    return inode_table_get_fd(view->inodes, inode);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct view *view = view_of_request(req);
    struct inode *inode;
    if (hides_xattr(view, name)) {
        view_reply_error(req, is_acl(name) ? -EOPNOTSUPP : -ENODATA);
        return;
    }
    char buffer[XATTR_NAME_MAX + 1];
    int r = name_on_disk(view, name, buffer, &name), fd = r < 0 ? r : get_fd(view, ino, &inode);
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    char small[1024], *value = small;
    size = MIN(size, XATTR_SIZE_MAX); /* there are no larger values, whatever is asked for */
    if (size > sizeof(small) && !(value = malloc(size))) {
        inode_table_put_fd(view->inodes, inode);
        view_reply_error(req, -ENOMEM);
        return;
    }
    ssize_t n = inode_fd_getxattr(fd, name, size ? value : NULL, size);
    inode_table_put_fd(view->inodes, inode);
    if (n > 0 && size > 0 && is_acl(name)) {
        r = acl_to_view(view, inode, name, value, (size_t)n);
        n = r < 0 ? r : n;
    }
    reply_value(req, value, n, size);
    if (value != small)
        free(value);
}

/*
 * Takes names out of a list that the view hides, and trusted ones for all but root: file systems keep those to
 * themselves, but they look at the lister, who is us here. Returns its new size.
 */
static size_t filter_list(struct view *view, bool shows_trusted, char *list, size_t n_bytes)
{
    size_t kept = 0;
    char shown[XATTR_NAME_MAX + 1];
    for (size_t at = 0; at < n_bytes;) {
        size_t length = strnlen(list + at, n_bytes - at) + 1;
        if (at + length > n_bytes)
            break;
        bool is_trusted = strncmp(list + at, TRUSTED_PREFIX, strlen(TRUSTED_PREFIX)) == 0;
        if ((shows_trusted || !is_trusted) && name_in_view(view, list + at, shown)) {
            strcpy(list + kept, shown);
            kept += strlen(shown) + 1;
        }
        at += length;
    }
    return kept;
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct view *view = view_of_request(req);
    struct inode *inode;
    int fd = get_fd(view, ino, &inode);
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    char *list = malloc(XATTR_LIST_MAX_BYTES);
    ssize_t n = list ? inode_fd_listxattr(fd, list, XATTR_LIST_MAX_BYTES) : -ENOMEM;
    inode_table_put_fd(view->inodes, inode);
    if (n > 0)
        n = (ssize_t)filter_list(view, fuse_req_ctx(req)->uid == 0, list, (size_t)n);
    reply_value(req, list, n, size);
    free(list);
}

/* What must not reach the disk: capabilities in a view that allows no setuid. */
static int may_set(const struct view *view, const char *name)
{
    if (hides_xattr(view, name))
        return is_acl(name) ? -EOPNOTSUPP : -EPERM;
    if (strcmp(name, CAPABILITY) == 0 && !view->allow_setid)
        return -EPERM;
    return 0;
}

static int write_xattr(int fd, const char *name, const void *value, size_t size, const struct fuse_setxattr_in *in)
{
    /* Setting an ACL clears setgid for a caller outside the group; the kernel has found out which one this is. */
    bool keep_setgid = is_acl(name) && !(in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID);
    if (keep_setgid)
        creds_set_fsetid(true);
    int r = inode_fd_setxattr(fd, name, value, size, (int)in->flags);
    if (keep_setgid)
        creds_set_fsetid(false);
    return r;
}

static int set_xattr_once(struct view *view, int fd, const char *name, const void *value,
                          const struct fuse_setxattr_in *in)
{
    size_t size = in->size;
    if (!is_acl(name) || size == 0)
        return write_xattr(fd, name, value, size, in);
    /* A copy: the request must stay what it was, in case that it is done again. */
    g_autofree void *acl = g_try_malloc(size);
    if (!acl)
        return -ENOMEM;
    memcpy(acl, value, size);
    int r = acl_to_disk(view, fd, name, acl, &size);
    return r < 0 ? r : write_xattr(fd, name, acl, size, in);
}

static int set_xattr(struct view *view, struct inode *inode, const char *name, void *value,
                     const struct fuse_setxattr_in *in)
{
    char buffer[XATTR_NAME_MAX + 1];
    int r = may_set(view, name);
    if (r == 0)
        r = name_on_disk(view, name, buffer, &name);
    if (r == 0)
        r = view_prepare_write(view, inode);
    if (r < 0)
        return r;
    int fd = inode_table_get_fd(view->inodes, inode);
    if (fd < 0)
        return fd;
    if (!journal_is_done(&r)) {
        r = set_xattr_once(view, fd, name, value, in);
        /* Done before its worker died: that the name is there now is our own doing. */
        if (r == -EEXIST && request_replayed())
            r = 0;
        journal_note_done(r);
    }
    inode_table_put_fd(view->inodes, inode);
    return r;
}

/* FUSE_SETXATTR with the extension of 7.33, which libfuse 3.14 does not hand on. */
void view_raw_setxattr(struct view *view, const struct fuse_in_header *header, const void *body, size_t n_bytes)
{
    struct fuse_setxattr_in in = {0};
    bool extended = transport_agreed(view->transport)->flags & FUSE_SETXATTR_EXT;
    size_t n_head = extended ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
    struct inode *inode = inode_table_get(view->inodes, header->nodeid);
    int r = inode ? 0 : -ESTALE;
    if (n_bytes < n_head)
        r = -EINVAL;
    if (r == 0) {
        memcpy(&in, body, n_head);
        const char *name = (const char *)body + n_head;
        size_t n_name = strnlen(name, n_bytes - n_head) + 1;
        if (n_head + n_name > n_bytes || in.size > n_bytes - n_head - n_name)
            r = -EINVAL;
        else
            r = set_xattr(view, inode, name, (char *)name + n_name, &in);
    }
    transport_reply_raw(view->transport, header->unique, r, NULL, 0);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct view *view = view_of_request(req);
    struct inode *inode = inode_table_get(view->inodes, ino);
    char buffer[XATTR_NAME_MAX + 1];
    int r = inode ? name_on_disk(view, name, buffer, &name) : -ESTALE;
    if (r == 0 && hides_xattr(view, name))
        r = is_acl(name) ? -EOPNOTSUPP : -ENODATA;
    if (r == 0)
        r = view_prepare_write(view, inode);
    int fd = r < 0 ? r : inode_table_get_fd(view->inodes, inode);
    if (fd < 0) {
        view_reply_error(req, fd);
        return;
    }
    if (!journal_is_done(&r)) {
        r = inode_fd_removexattr(fd, name);
        if (r == -ENODATA && request_replayed())
            r = 0;
        journal_note_done(r);
    }
    inode_table_put_fd(view->inodes, inode);
    view_reply_error(req, r);
}

void view_ops_xattr(struct fuse_lowlevel_ops *ops)
{
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->removexattr = op_removexattr;
}
