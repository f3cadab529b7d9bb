/* SPDX-License-Identifier: Apache-2.0 */
#include "inode/fd_cache.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>

#define EVICT_AT_ONCE 16
#define N_SPACE_MIN   256

static bool is_pinned(const struct inode *inode)
{
    return atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_FLAG_FD_PINNED;
}

/* Makes a descriptor findable by the clock's hand. If there is no memory for that it stays until it is forgotten. */
static void remember(struct fd_cache *c, const struct inode *inode)
{
    if (c->n_entries == c->n_space) {
        size_t n_space = c->n_space ? c->n_space * 2 : N_SPACE_MIN;
        uint32_t *grown = realloc(c->entries, n_space * sizeof(*grown));
        if (!grown)
            return;
        c->entries = grown;
        c->n_space = n_space;
    }
    c->entries[c->n_entries++] = (uint32_t)(inode - c->config->state->records);
}

void fd_cache_clear(struct fd_cache *c)
{
    free(c->entries);
}

void fd_cache_load(struct fd_cache *c, struct inode *inode)
{
    if (inode->fd >= 0 && is_pinned(inode)) {
        c->n_pinned++;
    } else if (inode->fd >= 0) {
        c->n_fds++;
        remember(c, inode);
    }
}

/* Makes room first: an entry that the inode had left in the list would have its new descriptor closed at once. */
void fd_cache_adopt(struct fd_cache *c, struct inode *inode, int *fd)
{
    if (inode->fd >= 0 || *fd < 0)
        return;
    if (c->n_fds >= c->config->n_fds_max || c->n_entries > 2 * (size_t)c->config->n_fds_max)
        fd_cache_evict(c);
    inode->fd = fd_steal(fd);
    c->n_fds++;
    remember(c, inode);
}

int fd_cache_release(struct fd_cache *c, struct inode *inode)
{
    if (inode->fd < 0)
        return -1;
    if (is_pinned(inode))
        c->n_pinned--;
    else
        c->n_fds--;
    return fd_steal(&inode->fd);
}

void fd_cache_drop_backing(struct fd_cache *c, struct inode *inode)
{
    if (inode->backing_id != 0 && c->config->drop_backing)
        c->config->drop_backing(c->config->data, inode->backing_id);
    inode->backing_id = 0;
}

void fd_cache_close(struct fd_cache *c, struct inode *inode)
{
    if (inode->n_opens == 0) /* nor is an open being counted: that uses the descriptor, or has pinned it */
        fd_cache_drop_backing(c, inode);
    fd_close(fd_cache_release(c, inode));
}

void fd_cache_evict(struct fd_cache *c)
{
    unsigned n_closed = 0;
    for (size_t n = 2 * c->n_entries; n > 0 && c->n_entries > 0 && n_closed < EVICT_AT_ONCE; n--) {
        if (c->hand >= c->n_entries)
            c->hand = 0;
        struct inode *inode = &c->config->state->records[c->entries[c->hand]];
        bool stale = inode->nodeid == 0 || inode->fd < 0 || is_pinned(inode);
        if (!stale && inode->n_fd_users > 0) {
            c->hand++;
        } else if (!stale && atomic_load(&inode->flags) & INODE_FLAG_FD_RECENT) {
            atomic_fetch_and(&inode->flags, (uint16_t)~INODE_FLAG_FD_RECENT);
            c->hand++;
        } else {
            if (!stale) {
                fd_cache_close(c, inode);
                n_closed++;
            }
            c->entries[c->hand] = c->entries[--c->n_entries];
        }
    }
}

int fd_cache_use(struct inode *inode)
{
    if (inode->fd < 0)
        return -ESTALE;
    inode->n_fd_users++;
    if (!(atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_FLAG_FD_RECENT))
        atomic_fetch_or(&inode->flags, INODE_FLAG_FD_RECENT);
    return inode->fd;
}

void fd_cache_pin(struct fd_cache *c, struct inode *inode)
{
    if (is_pinned(inode) || inode->fd < 0)
        return;
    atomic_fetch_or(&inode->flags, INODE_FLAG_FD_PINNED);
    c->n_fds--;
    c->n_pinned++;
}

void fd_cache_unpin(struct fd_cache *c, struct inode *inode)
{
    if (!is_pinned(inode) || inode->fd < 0)
        return;
    atomic_fetch_and(&inode->flags, (uint16_t)~INODE_FLAG_FD_PINNED);
    c->n_pinned--;
    c->n_fds++;
    remember(c, inode);
}
