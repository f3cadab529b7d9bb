/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch of a view: marks, and the thread that hears of changes.
 *
 * What is watched. A directory is marked before the first thing is read of it for the kernel; the mark reports what
 * happens to its entries and, by FAN_EVENT_ON_CHILD, to the attributes and data of what is in it, by whichever process.
 * A file with several names may be changed by one in a directory that is not watched, so it gets a mark of its own
 * (INODE_FLAG_WATCHED of a file). A mark goes when the kernel forgets the inode: there are as many as there are
 * directories in the kernel's cache. Where there is no mark the kernel is given short timeouts instead.
 *
 * Not seen: a link that is made from a file with one name into a directory that is not watched, and then written
 * through (its size and times are as old as their timeout; its data never is); times of access; what is written through
 * a shared memory map.
 *
 * Why nothing stale stays. A change has been made on disk before its event is in the queue, and all that is told to the
 * kernel is told after that. What was cached before is dropped. What is on its way to the cache meanwhile is either
 *  - a lookup, a list or a creation: whoever awaits its answer holds the directory's lock, and ORDER_ENTRY and
 *    ORDER_WAIT wait for that lock first, so the answer is in the cache, and dropped with it;
 *  - attributes of an inode that the kernel knows: each answer carries the version of the attributes that it was asked
 *    at, and the order has raised the version, so the kernel does not keep it;
 *  - attributes of an inode that the kernel does not know yet, in the answer to a lookup: as the first; orders.c waits;
 *    if it was not even in the table when the change was heard of, the lookup finds that by watch_n_missed();
 *  - the answer to the kernel's question whether an old entry still holds, which is asked without the directory's lock:
 *    it extends an entry that is unhooked already.
 * A directory is marked, or found to be, before it is read, so a change is either read or reported.
 *
 * Own changes. The view's worker makes most changes itself, as answers to requests, and the kernel knows of them. They
 * carry our pid and are ignored. What is written through passthrough carries the client's: that costs the kernel
 * a question for the attributes, and pages are never dropped for it, since it has none then.
 *
 * Writers. An event for each write would double the price of a small write. So a file that is written to again and
 * again is hushed (INODE_FLAG_QUIET): its writes are ignored by the kernel, and its attributes are dropped after that.
 * They are unknown to the kernel until it asks; then the file is listened to again before its attributes are read for
 * the answer. An answer that was under way when the file was hushed is dropped with the others. Not done where the
 * kernel may hold pages of the file: those could be mapped, and nothing is asked for those.
 *
 * Threads and locks. `marks_lock` makes marking and setting the flag one step, and forgetting and unmarking: without it
 * a directory that is looked up again while it is forgotten could have the flag and no mark. It is taken before the
 * inode table's lock. The thread never waits for the kernel: the notifier does (notifier.h). It rests a millisecond
 * after each batch, in which the kernel merges what repeats itself, so a busy writer does not wake it each time.
 *
 * A worker's death. The group and its queue of events live on with their descriptors, marks with them. Events that were
 * read but not turned into orders are lost, which `reading` says: then everything is dropped, as when the kernel's
 * queue overflows.
 */
#include "watch/watch.h"

#include "base/fd.h"
#include "base/log.h"
#include "sys/fanotify_group.h"
#include "watch/batch.h"
#include "watch/notifier.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define REST_MS  1
#define RETRY_MS 1000

struct watch {
    struct watch_config config;
    pthread_mutex_t marks_lock;
    struct batch *batch;
    pthread_t thread;
    bool started;
    bool drop_first; /* what the kernel has cached may be wrong already */
    int stop_fd;
    int notifier_pidfd;
    _Atomic uint64_t n_missed;
    _Atomic bool told; /* that something can't be watched */
    char *buffer;
};

/* Marks. */

static void tell_unwatched(struct watch *w, int error)
{
    if (!atomic_exchange(&w->told, true))
        log_info("a directory of the source can't be watched (%s): changes there are seen after a second",
                 g_strerror(-error));
}

/* With marks_lock held. */
static bool mark(struct watch *w, struct inode *inode, int fd)
{
    uint16_t flags = atomic_load(&inode->flags);
    if (flags & (INODE_FLAG_WATCHED | INODE_FLAG_UNWATCHABLE))
        return false;
    bool has_handle = !(flags & INODE_FLAG_NO_HANDLE) || inode->nodeid == 1; /* the root's descriptor is always kept */
    int r = !has_handle || !fanotify_sees_all(fd)
                ? -EOPNOTSUPP
                : fanotify_group_mark(w->config.state->group_fd, fd, inode->type == DT_DIR);
    if (r < 0) {
        tell_unwatched(w, r);
        if (r != -ENOMEM && r != -ENOSPC)
            atomic_fetch_or(&inode->flags, INODE_FLAG_UNWATCHABLE);
        return false;
    }
    atomic_fetch_or(&inode->flags, INODE_FLAG_WATCHED);
    atomic_fetch_add_explicit(&w->config.state->n_marks, 1, memory_order_relaxed);
    return true;
}

bool watch_cover(struct watch *w, struct inode *inode, int fd)
{
    if (atomic_load_explicit(&inode->flags, memory_order_acquire) & (INODE_FLAG_WATCHED | INODE_FLAG_UNWATCHABLE))
        return false;
    pthread_mutex_lock(&w->marks_lock);
    bool marked = mark(w, inode, fd);
    pthread_mutex_unlock(&w->marks_lock);
    return marked;
}

/* No record is freed while marks_lock is held. */
static void cover_node(void *data, uint64_t nodeid)
{
    struct watch *w = data;
    pthread_mutex_lock(&w->marks_lock);
    struct inode *inode = inode_table_get_any(w->config.inodes, nodeid);
    auto_fd int fd = inode ? w->config.open_key(w->config.data, &inode->key) : -1;
    if (fd >= 0)
        mark(w, inode, fd);
    pthread_mutex_unlock(&w->marks_lock);
}

/* Each half is done so that a worker that dies between leaves a flag without effect, and not the other way round. */
static void hush(void *data, uint64_t nodeid)
{
    const unsigned marked = INODE_FLAG_WATCHED | INODE_FLAG_QUIET;
    struct watch *w = data;
    pthread_mutex_lock(&w->marks_lock);
    struct inode *inode = inode_table_get_any(w->config.inodes, nodeid);
    uint16_t flags = inode ? atomic_fetch_or(&inode->flags, INODE_FLAG_WRITTEN) : 0;
    if (flags & INODE_FLAG_WRITTEN && !(flags & marked) && inode->type == DT_REG) {
        auto_fd int fd = w->config.open_key(w->config.data, &inode->key);
        atomic_fetch_or(&inode->flags, INODE_FLAG_QUIET);
        if (fd < 0 || fanotify_group_ignore_data(w->config.state->group_fd, fd, true) < 0)
            atomic_fetch_and(&inode->flags, (uint16_t)~INODE_FLAG_QUIET);
    }
    pthread_mutex_unlock(&w->marks_lock);
}

/* With marks_lock held. */
static void listen_again(struct watch *w, struct inode *inode, int fd)
{
    fanotify_group_ignore_data(w->config.state->group_fd, fd, false); /* -ENOENT: the kernel had dropped it */
    atomic_fetch_and(&inode->flags, (uint16_t)~INODE_FLAG_QUIET);
}

bool watch_listen(struct watch *w, struct inode *inode, int fd)
{
    pthread_mutex_lock(&w->marks_lock);
    bool was_quiet = atomic_load(&inode->flags) & INODE_FLAG_QUIET;
    if (was_quiet)
        listen_again(w, inode, fd);
    pthread_mutex_unlock(&w->marks_lock);
    return was_quiet;
}

static void miss(void *data)
{
    struct watch *w = data;
    atomic_fetch_add(&w->n_missed, 1);
}

uint64_t watch_n_missed(const struct watch *w)
{
    return atomic_load(&w->n_missed);
}

/* A mark that ignores must not outlive the record that says so. With marks_lock held. */
static void listen_before_forgetting(struct watch *w, uint64_t nodeid)
{
    struct inode *inode = inode_table_get_any(w->config.inodes, nodeid);
    if (!inode || !(atomic_load(&inode->flags) & INODE_FLAG_QUIET))
        return;
    auto_fd int fd = w->config.open_key(w->config.data, &inode->key);
    listen_again(w, inode, fd);
}

/* If the inode can't be opened any more it is gone, and its mark with it. */
static void unmark(struct watch *w, const struct inode_remains *remains)
{
    auto_fd int opened = remains->fd < 0 ? w->config.open_key(w->config.data, &remains->key) : -1;
    int fd = remains->fd < 0 ? opened : remains->fd;
    if (fd >= 0)
        fanotify_group_unmark(w->config.state->group_fd, fd, remains->type == DT_DIR);
    atomic_fetch_sub_explicit(&w->config.state->n_marks, 1, memory_order_relaxed);
}

void watch_forget(struct watch *w, uint64_t nodeid, uint64_t n_lookups)
{
    struct inode_remains remains;
    pthread_mutex_lock(&w->marks_lock);
    listen_before_forgetting(w, nodeid);
    bool freed = inode_table_forget_taking(w->config.inodes, nodeid, n_lookups, &remains);
    if (freed && remains.flags & INODE_FLAG_WATCHED)
        unmark(w, &remains);
    pthread_mutex_unlock(&w->marks_lock);
    if (freed)
        fd_close(remains.fd);
}

/* The thread. */

/* Starts the notifier if there is none. What one that has died had in hand is in the queue still. */
static int keep_notifier(struct watch *w)
{
    struct pollfd fd = {.fd = w->notifier_pidfd, .events = POLLIN};
    if (w->notifier_pidfd >= 0 && poll(&fd, 1, 0) == 0)
        return 0;
    if (w->notifier_pidfd >= 0) {
        log_warning("the process that tells the kernel of changes has ended; another one is started");
        notifier_reap(w->notifier_pidfd);
        w->notifier_pidfd = -1;
    }
    return notifier_start(w->config.transport, w->config.state, &w->notifier_pidfd);
}

/* -ECANCELED when the watch ends. */
static int put(void *data, struct packet *packet)
{
    struct watch *w = data;
    int queue_fd = w->config.state->queue_fd[0];
    while (send(queue_fd, packet->bytes, packet->n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        struct pollfd fds[] = {{.fd = w->stop_fd, .events = POLLIN},
                               {.fd = w->notifier_pidfd, .events = POLLIN},
                               {.fd = queue_fd, .events = POLLOUT}};
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            return -errno;
        if (poll(fds, G_N_ELEMENTS(fds), -1) > 0 && fds[0].revents)
            return -ECANCELED;
        int r = keep_notifier(w);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A batch of events, if there are any. What is not in the queue in the end is lost. */
static int take_events(struct watch *w)
{
    struct watch_state *state = w->config.state;
    int r = keep_notifier(w);
    if (r < 0)
        return r;
    state->reading = 1;
    ssize_t n = fanotify_group_read(state->group_fd, w->buffer);
    r = n > 0 ? batch_take(w->batch, w->buffer, (size_t)n) : (int)n;
    if (r == 0)
        state->reading = 0;
    return r;
}

static int drop_all(struct watch *w)
{
    int r = keep_notifier(w);
    if (r == 0)
        r = batch_drop_all(w->batch);
    if (r == 0)
        w->config.state->reading = 0;
    return r;
}

/*
 * Waits until there is something to read, or for a time, or until the notifier has died: what it had in hand waits for
 * another one. False when the watch ends.
 */
static bool wait_on(struct watch *w, int fd, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = w->stop_fd, .events = POLLIN},
                           {.fd = fd, .events = POLLIN},
                           {.fd = w->notifier_pidfd, .events = POLLIN}};
    int n;
    do
        n = poll(fds, G_N_ELEMENTS(fds), timeout_ms);
    while (n < 0 && errno == EINTR);
    return n >= 0 && !fds[0].revents;
}

/* Until it works, or the watch ends: what is cached may be wrong meanwhile. */
static bool recover(struct watch *w, int error)
{
    for (; error < 0 && error != -ECANCELED; error = drop_all(w)) {
        log_warning("changes of the source can't be followed for now: %s", g_strerror(-error));
        if (!wait_on(w, -1, RETRY_MS))
            return false;
    }
    return error == 0;
}

static void *thread_main(void *data)
{
    struct watch *w = data;
    pthread_setname_np(pthread_self(), "watch");
    bool going_on = recover(w, w->drop_first ? drop_all(w) : 0);
    while (going_on && wait_on(w, w->config.state->group_fd, -1))
        going_on = recover(w, take_events(w)) && wait_on(w, -1, REST_MS);
    return NULL;
}

/* Life and death. */

static void clear_flags(struct inode *inode, void *data)
{
    const unsigned flags = INODE_FLAG_WATCHED | INODE_FLAG_COVERED | INODE_FLAG_UNWATCHABLE | INODE_FLAG_QUIET;
    atomic_fetch_and(&inode->flags, (uint16_t)~flags);
}

/* A new group, which no inode is marked in. Without a way to drop all entries no event may be lost. */
static int open_group(struct watch *w)
{
    struct watch_state *state = w->config.state;
    int fd = fanotify_group_open(transport_agreed(w->config.transport)->notify_inc_epoch);
    if (fd < 0)
        return fd;
    inode_table_foreach(w->config.inodes, clear_flags, NULL);
    if (state->queue_fd[0] < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, state->queue_fd) < 0) {
        int r = -errno;
        fd_close(fd);
        return r;
    }
    state->group_fd = fd;
    return 0;
}

int watch_new(const struct watch_config *config, struct watch **ret_watch)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->config = *config;
    w->notifier_pidfd = -1;
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->buffer = aligned_alloc(8, FANOTIFY_BUFFER_BYTES);
    pthread_mutex_init(&w->marks_lock, NULL);
    struct inode_table_stats stats;
    inode_table_get_stats(config->inodes, &stats);
    w->drop_first = config->state->reading != 0 || (config->state->group_fd < 0 && stats.n_inodes > 1);
    w->batch = batch_new(config, &(struct batch_ops){.put = put, .cover = cover_node, .hush = hush, .miss = miss}, w);
    int r = w->stop_fd < 0 || !w->buffer ? -ENOMEM : 0;
    if (r == 0 && config->state->group_fd < 0)
        r = open_group(w);
    if (r < 0) {
        watch_free(w);
        return r;
    }
    *ret_watch = w;
    return 0;
}

int watch_start(struct watch *w)
{
    int r = pthread_create(&w->thread, NULL, thread_main, w);
    w->started = r == 0;
    return -r;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->started) {
        eventfd_write(w->stop_fd, 1);
        pthread_join(w->thread, NULL);
    }
    fd_close(w->notifier_pidfd); /* it ended with the thread, or will */
    fd_close(w->stop_fd);
    batch_free(w->batch);
    pthread_mutex_destroy(&w->marks_lock);
    free(w->buffer);
    free(w);
}
