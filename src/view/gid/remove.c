/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mount_probe.h"
#include "view/common/journal.h"
#include "view/gid/names.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct removal {
    struct dir dir;
    const char *name;
    int flags; /* of unlinkat(2) */
};

/*
 * The kernel spares the mount points of the caller's own mount namespace alone. In the host's, from which the source
 * was taken, the mount would go with its directory.
 */
static int remove_once(void *data)
{
    struct removal *removal = data;
    if (mount_probe_is_mounted_at(removal->dir.fd, removal->name))
        return -EBUSY;
    return unlinkat(removal->dir.fd, removal->name, removal->flags) < 0 ? -errno : 0;
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
    struct view *view = view_of_request(req);
    struct removal removal = {.name = name, .flags = flags};
    int r = view_is_echo(req) ? 0 : dir_get(view, parent, &removal.dir);
    if (r == 0 && !view_is_echo(req)) {
        r = journal_run(remove_once, &removal, -ENOENT);
        dir_put(view, &removal.dir);
    }
    view_reply_error(req, r);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, 0);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, AT_REMOVEDIR);
}

void gid_ops_remove(struct fuse_lowlevel_ops *ops)
{
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
}
