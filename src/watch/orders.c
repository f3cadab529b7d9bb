/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/orders.h"

#include "fuse/notify.h"

#include <errno.h>
#include <string.h>

/* A name that hardly any directory has: to wait for the lock of one, and nothing else. */
#define NO_NAME "\1"

bool packet_add(struct packet *packet, const struct order *order, const char *name)
{
    size_t n_name = name ? strlen(name) + 1 : 0;
    size_t n_bytes = (sizeof(*order) + n_name + 7) & ~(size_t)7;
    if (packet->n_bytes + n_bytes > sizeof(packet->bytes))
        return false;
    struct order *added = (struct order *)(void *)(packet->bytes + packet->n_bytes);
    *added = *order;
    added->n_bytes = (uint32_t)n_bytes;
    if (name)
        memcpy(added->name, name, n_name);
    packet->n_bytes += n_bytes;
    return true;
}

/* Returns when no request that was being answered under the directory's lock is left. */
static void wait_for_lookups(struct transport *transport, uint64_t dir)
{
    notify_inval_entry(transport, dir, NO_NAME);
}

/*
 * The kernel does not know an inode that the table has: it was forgotten just now, or the answer that makes it known is
 * on its way, with attributes that were read before the change. Whoever waits for that answer holds the lock of the
 * directory.
 */
static void obey_inode(struct transport *transport, const struct order *order,
                       int (*notify)(struct transport *transport, uint64_t nodeid))
{
    if (notify(transport, order->nodeid) != -ENOENT || order->parent == 0)
        return;
    wait_for_lookups(transport, order->parent);
    notify(transport, order->nodeid);
}

static void obey(struct transport *transport, const struct order *order)
{
    switch ((enum order_kind)order->kind) {
    case ORDER_ENTRY:
        notify_inval_entry(transport, order->nodeid, order->name);
        break;
    case ORDER_ATTRIBUTES:
        obey_inode(transport, order, notify_inval_attributes);
        break;
    case ORDER_DATA:
        obey_inode(transport, order, notify_inval_data);
        break;
    case ORDER_WAIT:
        wait_for_lookups(transport, order->nodeid);
        break;
    case ORDER_EPOCH:
        notify_inc_epoch(transport);
        break;
    case ORDER_TOUCH:
        break;
    }
}

void orders_obey(struct transport *transport, const char *bytes, size_t n_bytes)
{
    for (size_t at = 0; at + sizeof(struct order) <= n_bytes;) {
        const struct order *order = (const struct order *)(const void *)(bytes + at);
        obey(transport, order);
        at += order->n_bytes;
    }
}
