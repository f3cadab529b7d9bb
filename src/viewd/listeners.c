/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/listeners.h"

#include "base/fd.h"
#include "base/log.h"
#include "sys/inotify_users.h"
#include "sys/mount_api.h"
#include "viewd/stats.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define LEASE_MS      3000 /* how long the descriptor stays after it could have been asked for again */
#define RETRY_MS      20
#define SHARE_OF_TIME 100 /* looking takes no more than this part of a processor's time */

struct listeners {
    struct echo_state *echo;
    const char *mountpoint;
    dev_t device;
    int ask_fd;
    int tree_fd;           /* what echo->tree_fd was set to; the worker can write there */
    pid_t looker;          /* 0: nobody looks */
    uint64_t lease_end_ms; /* of echo->tree_fd */
};

/* Nothing here may ask the server: the keeper is there for when it does not answer. */
static bool device_of(int fd, dev_t *ret_device)
{
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0)
        return false;
    *ret_device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    return true;
}

struct listeners *listeners_new(struct echo_state *echo, const char *mountpoint)
{
    auto_fd int fd = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    dev_t device;
    if (fd < 0 || !device_of(fd, &device))
        return NULL;
    int ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ask_fd < 0)
        return NULL;
    struct listeners *l = g_new0(struct listeners, 1);
    *l = (struct listeners){.echo = echo, .mountpoint = mountpoint, .device = device, .ask_fd = ask_fd};
    l->tree_fd = atomic_load(&echo->tree_fd); /* of the program that this one has replaced */
    atomic_store(&echo->asked, 0);
    atomic_store(&echo->n_users, 0);
    echo->ask_fd = ask_fd;
    return l;
}

void listeners_free(struct listeners *l)
{
    if (!l)
        return;
    if (l->looker > 0)
        kill(l->looker, SIGKILL);
    g_free(l);
}

int listeners_poll_fd(const struct listeners *l)
{
    return l->ask_fd;
}

uint64_t listeners_due_ms(const struct listeners *l)
{
    if (l->tree_fd < 0 || l->looker > 0)
        return UINT64_MAX;
    return MAX(l->lease_end_ms, stats_now_ms() + RETRY_MS);
}

static void begin_to_look(struct listeners *l)
{
    l->looker = fork();
    if (l->looker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "gidfs-look");
        _exit(inotify_users_of(l->device) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (l->looker < 0) {
        l->looker = 0;
        atomic_store(&l->echo->asked, 0);
    }
}

/* The view's mount, without holding the mount itself busy; -1 if something else is there by now. */
static int open_mount(const struct listeners *l)
{
    struct mount_attributes attributes = {0};
    dev_t device;
    auto_fd int fd = -1;
    int r = mount_clone_detached(l->mountpoint, &attributes, &fd, NULL);
    return r == 0 && device_of(fd, &device) && device == l->device ? fd_steal(&fd) : -1;
}

/* Closes it unless the notifier makes an echo right now. */
static void take_away(struct listeners *l)
{
    atomic_store(&l->echo->tree_fd, -1);
    if (atomic_load(&l->echo->n_users) > 0)
        atomic_store(&l->echo->tree_fd, l->tree_fd); /* later */
    else
        l->tree_fd = fd_close(l->tree_fd);
}

static uint64_t ms_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_usec / 1000;
}

static void take_result(struct listeners *l, bool listened_to, const struct rusage *usage)
{
    uint64_t used_ms = ms_of(usage->ru_utime) + ms_of(usage->ru_stime);
    uint64_t now = stats_now_ms(), next_ms = now + used_ms * SHARE_OF_TIME;
    l->looker = 0;
    if (listened_to && l->tree_fd < 0)
        l->tree_fd = open_mount(l);
    atomic_store(&l->echo->tree_fd, l->tree_fd);
    l->lease_end_ms = listened_to ? next_ms + LEASE_MS : now;
    if (atomic_load(&l->echo->next_ask_ms) < next_ms)
        atomic_store(&l->echo->next_ask_ms, next_ms);
    atomic_store(&l->echo->asked, 0);
}

void listeners_handle(struct listeners *l)
{
    eventfd_t n;
    int status;
    struct rusage usage;
    if (l->looker > 0 && wait4(l->looker, &status, WNOHANG, &usage) == l->looker)
        take_result(l, WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS, &usage);
    if (eventfd_read(l->ask_fd, &n) == 0 && l->looker == 0)
        begin_to_look(l);
    if (l->tree_fd >= 0 && stats_now_ms() >= l->lease_end_ms && l->looker == 0)
        take_away(l);
}
