/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echoes.
 *
 * Invalidations are silent: an inotify watch in a container hears only of what goes through the view. So while somebody
 * has such watches the notifier repeats the change through the view, as ECHO_UID, and the server answers its requests
 * as if it had done them: the kernel reports what it believes to have happened, and the disk is not touched. Such a
 * request is never carried out, whoever sends it and however late: also not by a successor of the worker.
 *
 * A name that came is made again (mknod, mkdir, symlink: the answer is the lookup of what is there); one that went is
 * removed again (the server shows an inode for it meanwhile); a rename is both. Data and attributes are told by setting
 * times, which the kernel reports as IN_MODIFY and IN_ATTRIB. A listener hears neither IN_OPEN nor IN_CLOSE_WRITE, and
 * IN_DELETE and IN_CREATE for a rename.
 *
 * Who listens is found out by the keeper (viewd/listeners.c), when something changes and at most once a second. What
 * changed waits in the backlog until it has looked. Echoes are less urgent than invalidations: the notifier makes one
 * whenever no packet waits.
 *
 * The view is reached by a descriptor of its mount that the keeper has put into the shared table, and directories in it
 * by their nodeids, as file handles of the view.
 */
#include "watch/echo.h"

#include "base/fd.h"
#include "fuse/notify.h"
#include "sys/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ASK_EVERY_MS    1000
#define ASK_AT_LEAST_MS 60000
#define LOOK_AGAIN_MS   5
#define LOOKS_TOO_LONG  400 /* times LOOK_AGAIN_MS: the keeper does not answer */
#define N_TRIES         3
#define FUSE_HANDLE     0x81 /* FILEID_INO64_GEN: nodeid (high, low), generation */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool echo_is_possible(const struct echo_state *echo)
{
    return echo->ask_fd >= 0;
}

void echo_take(struct echo_backlog *backlog, const struct echo_state *echo, const char *bytes, size_t n_bytes)
{
    if (!echo_is_possible(echo))
        return;
    if (backlog->begin > 0) {
        memmove(backlog->bytes, backlog->bytes + backlog->begin, backlog->end - backlog->begin);
        backlog->end -= backlog->begin;
        backlog->n_asked -= MIN(backlog->n_asked, backlog->begin);
        backlog->begin = 0;
    }
    for (size_t at = 0; at + sizeof(struct order) <= n_bytes;) {
        const struct order *order = (const struct order *)(const void *)(bytes + at);
        if (order->echo != 0 && backlog->end + order->n_bytes <= sizeof(backlog->bytes)) {
            memcpy(backlog->bytes + backlog->end, order, order->n_bytes);
            backlog->end += order->n_bytes;
        }
        at += order->n_bytes;
    }
}

/* A directory of the view by its nodeid. -ESTALE: the kernel has forgotten it, so nobody listens to it. */
static int open_dir(int root_fd, uint64_t nodeid, uint32_t generation)
{
    const uint32_t parts[3] = {(uint32_t)(nodeid >> 32), (uint32_t)nodeid, generation};
    struct handle handle = {.type = FUSE_HANDLE, .n_bytes = sizeof(parts)};
    memcpy(handle.bytes, parts, sizeof(parts));
    return handle_open(root_fd, &handle, O_PATH | O_DIRECTORY);
}

struct echo {
    struct echo_state *state;
    struct transport *transport;
    const struct order *order;
    int dir_fd;
};

/* What the requests of the next system call are about. */
static void announce(const struct echo *e, unsigned flags)
{
    struct echo_state *state = e->state;
    atomic_store(&state->flags, 0);
    state->dir = e->order->nodeid;
    state->object = e->order->parent;
    strncpy(state->name, e->order->name, sizeof(state->name) - 1);
    atomic_store(&state->flags, flags);
}

/* Whether it is worth trying again, after a lookup of somebody else has come in between. */
static bool meets_entry(const struct echo *e, int error)
{
    if (error != EEXIST && error != ENOENT)
        return false;
    notify_inval_entry(e->transport, e->order->nodeid, e->order->name);
    return true;
}

static void make_gone(const struct echo *e)
{
    bool is_dir = e->order->echo & ECHO_IS_DIR;
    announce(e, ECHO_GONE | (is_dir ? ECHO_IS_DIR : 0));
    for (int i = 0; i < N_TRIES; i++) {
        if (unlinkat(e->dir_fd, e->order->name, is_dir ? AT_REMOVEDIR : 0) == 0 || !meets_entry(e, errno))
            return;
    }
}

/* Of which type it is the server's answer says: EIO if it is of another one. */
static int make_as(const struct echo *e, mode_t type)
{
    const char *name = e->order->name;
    int r = type == S_IFDIR   ? mkdirat(e->dir_fd, name, 0755)
            : type == S_IFLNK ? symlinkat("echo", e->dir_fd, name)
                              : mknodat(e->dir_fd, name, type | 0644, 0);
    return r < 0 ? errno : 0;
}

static void make_came(const struct echo *e)
{
    static const mode_t types[] = {S_IFREG, S_IFLNK, S_IFIFO, S_IFSOCK};
    bool is_dir = e->order->echo & ECHO_IS_DIR;
    size_t n_types = is_dir ? 1 : sizeof(types) / sizeof(types[0]), type = 0;
    announce(e, ECHO_CAME);
    for (int i = 0; i < N_TRIES && type < n_types;) {
        int error = make_as(e, is_dir ? S_IFDIR : types[type]);
        if (error == EIO)
            type++;
        else if (error == EEXIST && meets_entry(e, error))
            i++;
        else
            return;
    }
}

static void make_touched(const struct echo *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}}; /* IN_MODIFY */
    announce(e, ECHO_DATA);
    if (e->order->echo & ECHO_DATA)
        utimensat(e->dir_fd, e->order->name, times, AT_SYMLINK_NOFOLLOW);
    times[0].tv_nsec = UTIME_NOW; /* IN_ATTRIB */
    if (e->order->echo & ECHO_ATTRIBUTES)
        utimensat(e->dir_fd, e->order->name, times, AT_SYMLINK_NOFOLLOW);
}

/* The notifier is ECHO_UID from its start. */
static void make(const struct echo *e)
{
    if (e->order->echo & ECHO_GONE)
        make_gone(e);
    if (e->order->echo & ECHO_CAME)
        make_came(e);
    if (e->order->echo & (ECHO_DATA | ECHO_ATTRIBUTES))
        make_touched(e);
    atomic_store(&e->state->flags, 0);
}

/* Uses the descriptor that the keeper has put there. */
static void make_in_view(struct watch_state *state, struct transport *transport, const struct order *order)
{
    struct echo_state *echo = &state->echo;
    atomic_fetch_add(&echo->n_users, 1); /* from here on the keeper does not close it */
    int tree_fd = atomic_load(&echo->tree_fd);
    auto_fd int root_fd = tree_fd < 0 ? -1 : openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int dir_fd = root_fd < 0 ? -1 : open_dir(root_fd, order->nodeid, order->generation);
    if (dir_fd >= 0) {
        make(&(struct echo){.state = echo, .transport = transport, .order = order, .dir_fd = dir_fd});
        atomic_fetch_add_explicit(&state->n_echoes, 1, memory_order_relaxed);
    }
    atomic_fetch_sub(&echo->n_users, 1);
}

static void ask(struct echo_backlog *backlog, struct echo_state *echo, uint64_t now)
{
    backlog->n_asked = backlog->end;
    backlog->n_looks = 0;
    atomic_store(&echo->next_ask_ms, now + ASK_EVERY_MS);
    atomic_store(&echo->asked, 1);
    eventfd_write(echo->ask_fd, 1);
}

/* Nobody listens, as far as is known: drops what is older than that, and asks for the rest. */
static int wait_for_listeners(struct echo_backlog *backlog, struct echo_state *echo, uint64_t now)
{
    bool answered = !atomic_load(&echo->asked);
    if (!answered && backlog->n_looks++ < LOOKS_TOO_LONG)
        return LOOK_AGAIN_MS;
    atomic_store(&echo->asked, 0);
    backlog->begin = MAX(backlog->begin, backlog->n_asked);
    if (backlog->begin == backlog->end)
        return -1;
    uint64_t next_ms = atomic_load(&echo->next_ask_ms);
    if (next_ms > now)
        return (int)MIN(next_ms - now, ASK_AT_LEAST_MS);
    ask(backlog, echo, now);
    return LOOK_AGAIN_MS;
}

int echo_make_one(struct echo_backlog *backlog, struct watch_state *state, struct transport *transport)
{
    struct echo_state *echo = &state->echo;
    uint64_t now = now_ms();
    if (backlog->begin == backlog->end)
        return -1;
    if (atomic_load(&echo->tree_fd) < 0)
        return wait_for_listeners(backlog, echo, now);
    if (!atomic_load(&echo->asked) && now >= atomic_load(&echo->next_ask_ms))
        ask(backlog, echo, now); /* whether they still do */
    const struct order *order = (const struct order *)(const void *)(backlog->bytes + backlog->begin);
    backlog->begin += order->n_bytes;
    make_in_view(state, transport, order);
    return backlog->begin == backlog->end ? -1 : 0;
}
