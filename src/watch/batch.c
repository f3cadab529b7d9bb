/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events into orders. Belongs to the watch thread.
 *
 * Orders on names go out in the order of events. Orders on inodes are collected, so that a thousand writes to one file
 * are one order, and follow behind: an order on a name has waited for the directory's lock by then, so no list or
 * lookup that began before the change is still under way.
 */
#include "watch/batch.h"

#include "base/fd.h"
#include "watch/echo.h"

#include <dirent.h>
#include <glib.h>
#include <unistd.h>

struct stale {
    uint64_t nodeid;
    uint64_t parent; /* 0: not known */
    bool data;       /* pages too, not attributes alone */
};

struct batch {
    struct watch_config config;
    struct batch_ops ops;
    void *data;
    pid_t self;
    int error; /* the first one; nothing is ordered any more after that */
    GArray *stales;
    struct packet packet;
};

struct batch *batch_new(const struct watch_config *config, const struct batch_ops *ops, void *data)
{
    struct batch *b = g_new0(struct batch, 1);
    b->config = *config;
    b->ops = *ops;
    b->data = data;
    b->self = getpid();
    b->stales = g_array_new(FALSE, FALSE, sizeof(struct stale));
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    g_array_unref(b->stales);
    g_free(b);
}

static void put_packet(struct batch *b)
{
    if (b->error == 0 && b->packet.n_bytes > 0)
        b->error = b->ops.put(b->data, &b->packet);
    b->packet.n_bytes = 0;
}

static void order_with(struct batch *b, const struct order *order, const char *name)
{
    if (packet_add(&b->packet, order, name))
        return;
    put_packet(b);
    packet_add(&b->packet, order, name);
}

static void order(struct batch *b, enum order_kind kind, uint64_t nodeid, uint64_t parent)
{
    order_with(b, &(struct order){.kind = (uint16_t)kind, .nodeid = nodeid, .parent = parent}, NULL);
}

static void add_stale(struct batch *b, uint64_t nodeid, uint64_t parent, bool data)
{
    struct stale stale = {.nodeid = nodeid, .parent = parent, .data = data};
    g_array_append_val(b->stales, stale);
}

static int compare_stales(const void *a, const void *b)
{
    const struct stale *one = a, *other = b;
    return one->nodeid < other->nodeid ? -1 : one->nodeid > other->nodeid;
}

/* Orders for the inodes collected, each once. */
static void order_stales(struct batch *b)
{
    g_array_sort(b->stales, compare_stales);
    for (guint i = 0; i < b->stales->len;) {
        struct stale all = g_array_index(b->stales, struct stale, i);
        for (i++; i < b->stales->len; i++) {
            const struct stale *same = &g_array_index(b->stales, struct stale, i);
            if (same->nodeid != all.nodeid)
                break;
            all.data |= same->data;
            all.parent = all.parent ? all.parent : same->parent;
        }
        order(b, all.data ? ORDER_DATA : ORDER_ATTRIBUTES, all.nodeid, all.parent);
    }
    g_array_set_size(b->stales, 0);
}

static uint64_t find_one(struct batch *b, const struct handle *handle)
{
    unsigned at = 0;
    return handle->n_bytes > 0 ? b->config.find(b->config.data, handle, &at) : 0;
}

/* The directory that a directory is in, 0 if the kernel does not know it. */
static uint64_t parent_of(struct batch *b, uint64_t nodeid)
{
    struct inode_view dir;
    struct handle handle;
    if (nodeid == 1 || !inode_table_look(b->config.inodes, nodeid, &dir))
        return 0;
    auto_fd int fd = b->config.open_key(b->config.data, &dir.key);
    return fd >= 0 && handle_of_name(fd, "..", &handle) == 0 ? find_one(b, &handle) : 0;
}

/* Whether the kernel may hold pages of a file: with passthrough it never does. */
static bool may_have_pages(struct batch *b, uint64_t nodeid)
{
    struct inode_view inode;
    return inode_table_look(b->config.inodes, nodeid, &inode) && !(inode.flags & INODE_FLAG_PASSTHROUGH);
}

/*
 * What came, went or moved: its number of names has changed. After a rename it may be in a directory that nobody
 * watches; the kernel may know it by an open file still.
 */
static void take_object(struct batch *b, const struct fanotify_change *change, uint64_t dir)
{
    unsigned at = 0;
    for (uint64_t nodeid; (nodeid = b->config.find(b->config.data, &change->object, &at));) {
        if (change->what & FANOTIFY_MOVED)
            b->ops.cover(b->data, nodeid);
        add_stale(b, nodeid, dir, false);
    }
}

/* The name in a change, for the kernel and for listeners. */
static void order_name(struct batch *b, enum order_kind kind, const struct fanotify_change *change, uint64_t dir,
                       unsigned echo)
{
    struct inode_view inode;
    struct order named = {.kind = (uint16_t)kind, .nodeid = dir};
    if (echo_is_possible(&b->config.state->echo) && inode_table_look(b->config.inodes, dir, &inode)) {
        named.echo = (uint16_t)echo;
        named.parent = find_one(b, &change->object);
        named.generation = dir == 1 ? 0 : b->config.generation(&inode.key);
    }
    if (kind == ORDER_ENTRY || named.echo != 0)
        order_with(b, &named, change->name);
}

static void take_name(struct batch *b, const struct fanotify_change *change)
{
    unsigned at = 0, echo = change->what & FANOTIFY_IS_DIR ? ECHO_IS_DIR : 0;
    uint64_t dir = 0;
    echo |= change->what & FANOTIFY_CAME ? ECHO_CAME : 0;
    echo |= change->what & FANOTIFY_GONE ? ECHO_GONE : 0;
    for (uint64_t nodeid; (nodeid = b->config.find(b->config.data, &change->dir, &at));) {
        dir = nodeid;
        order_name(b, ORDER_ENTRY, change, dir, echo);
        add_stale(b, dir, 0, true);
    }
    if (change->object.n_bytes > 0)
        take_object(b, change, dir);
}

static void touch_name(struct batch *b, const struct fanotify_change *change)
{
    unsigned at = 0, echo = change->what & FANOTIFY_DATA ? ECHO_DATA : 0;
    echo |= change->what & FANOTIFY_ATTRIBUTES ? ECHO_ATTRIBUTES : 0;
    if (!echo_is_possible(&b->config.state->echo) || change->name[0] == '\0')
        return;
    for (uint64_t dir; (dir = b->config.find(b->config.data, &change->dir, &at));)
        order_name(b, ORDER_TOUCH, change, dir, echo);
}

static bool take_known(struct batch *b, const struct fanotify_change *change)
{
    bool of_itself = change->object.n_bytes == 0, known = false;
    const struct handle *handle = of_itself ? &change->dir : &change->object;
    uint64_t parent = of_itself ? 0 : find_one(b, &change->dir);
    unsigned at = 0;
    for (uint64_t nodeid; (nodeid = b->config.find(b->config.data, handle, &at)); known = true) {
        bool pages = change->what & FANOTIFY_DATA && may_have_pages(b, nodeid);
        if (change->what & FANOTIFY_DATA && !pages)
            b->ops.hush(b->data, nodeid);
        add_stale(b, nodeid, parent == nodeid ? 0 : parent, pages);
    }
    return known;
}

/* Whoever makes the inode known meanwhile either sees that a change was missed, or is seen by the second look. */
static void take_inode(struct batch *b, const struct fanotify_change *change)
{
    if (take_known(b, change))
        return;
    b->ops.miss(b->data);
    take_known(b, change);
}

/* Directories whose own parent is not known yet: it may be needed (orders.c). */
static void find_parents(struct batch *b)
{
    uint64_t last = 0, parent = 0;
    g_array_sort(b->stales, compare_stales);
    for (guint i = 0; i < b->stales->len; i++) {
        struct stale *stale = &g_array_index(b->stales, struct stale, i);
        if (stale->parent != 0)
            continue;
        if (stale->nodeid != last)
            parent = parent_of(b, stale->nodeid);
        last = stale->nodeid;
        stale->parent = parent;
    }
}

static void take_change(struct batch *b, const struct fanotify_change *change, bool *lost)
{
    struct watch_state *state = b->config.state;
    atomic_fetch_add_explicit(&state->n_changes, 1, memory_order_relaxed);
    if (change->what & FANOTIFY_LOST) {
        atomic_fetch_add_explicit(&state->n_overflows, 1, memory_order_relaxed);
        *lost = true;
        return;
    }
    if (change->pid == b->self)
        return;
    atomic_fetch_add_explicit(&state->n_foreign, 1, memory_order_relaxed);
    if (change->what & (FANOTIFY_CAME | FANOTIFY_GONE))
        take_name(b, change);
    if (change->what & (FANOTIFY_ATTRIBUTES | FANOTIFY_DATA)) {
        take_inode(b, change);
        touch_name(b, change);
    }
}

int batch_take(struct batch *b, const void *events, size_t n_bytes)
{
    struct fanotify_change change;
    bool lost = false;
    b->error = 0;
    for (size_t at = 0; fanotify_next_change(events, n_bytes, &at, &change);)
        take_change(b, &change, &lost);
    find_parents(b);
    order_stales(b);
    put_packet(b);
    return lost && b->error == 0 ? batch_drop_all(b) : b->error;
}

static void collect(struct inode *inode, void *data)
{
    struct batch *b = data;
    add_stale(b, inode->nodeid, 0, inode->type == DT_DIR || !(atomic_load(&inode->flags) & INODE_FLAG_PASSTHROUGH));
}

int batch_drop_all(struct batch *b)
{
    b->error = 0;
    b->ops.miss(b->data);
    inode_table_foreach(b->config.inodes, collect, b);
    order(b, ORDER_EPOCH, 0, 0);
    for (guint i = 0; i < b->stales->len; i++) {
        const struct stale *stale = &g_array_index(b->stales, struct stale, i);
        struct inode_view inode;
        if (inode_table_look(b->config.inodes, stale->nodeid, &inode) && inode.type == DT_DIR)
            order(b, ORDER_WAIT, stale->nodeid, 0);
    }
    order_stales(b);
    put_packet(b);
    return b->error;
}
