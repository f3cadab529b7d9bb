/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/notify.h"

#include <errno.h>
#include <string.h>

int notify_inval_attributes(struct transport *transport, uint64_t nodeid)
{
    struct fuse_notify_inval_inode_out out = {.ino = nodeid, .off = -1};
    return transport_notify(transport, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL, 0);
}

int notify_inval_data(struct transport *transport, uint64_t nodeid)
{
    struct fuse_notify_inval_inode_out out = {.ino = nodeid};
    return transport_notify(transport, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL, 0);
}

int notify_inval_entry(struct transport *transport, uint64_t parent, const char *name)
{
    size_t length = strlen(name);
    struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)length};
    return transport_notify(transport, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out), name, length + 1);
}

int notify_prune(struct transport *transport, const uint64_t *nodeids, unsigned n_nodeids)
{
    struct abi_notify_prune_out out = {.count = n_nodeids};
    if (!transport_agreed(transport)->notify_prune)
        return -EOPNOTSUPP;
    return transport_notify(transport, ABI_NOTIFY_PRUNE, &out, sizeof(out), nodeids, n_nodeids * sizeof(*nodeids));
}

int notify_inc_epoch(struct transport *transport)
{
    if (!transport_agreed(transport)->notify_inc_epoch)
        return -EOPNOTSUPP;
    return transport_notify(transport, ABI_NOTIFY_INC_EPOCH, NULL, 0, NULL, 0);
}
