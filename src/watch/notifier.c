/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/notifier.h"

#include "base/fd.h"
#include "sys/creds.h"
#include "sys/share_fds.h"
#include "watch/echo.h"

#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Carries out the next packet, if there is one. */
static void take_packet(struct transport *transport, struct watch_state *state, struct echo_backlog *backlog)
{
    static _Alignas(8) char bytes[ORDERS_PACKET_BYTES];
    int queue_fd = state->queue_fd[1];
    ssize_t n = recv(queue_fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        _exit(n < 0);
    orders_obey(transport, bytes, (size_t)n);
    echo_take(backlog, &state->echo, bytes, (size_t)n);
    while (recv(queue_fd, bytes, 1, MSG_TRUNC) < 0 && errno == EINTR)
        continue;
}

/*
 * What it opens has numbers in the worker's table of descriptors, and it must never live to close them when these are
 * another worker's: it ends with its own, always.
 */
static void run(struct transport *transport, struct watch_state *state, pid_t worker)
{
    static struct echo_backlog backlog;
    struct pollfd queue = {.fd = state->queue_fd[1], .events = POLLIN};
    int wait_ms = -1;
    prctl(PR_SET_NAME, "gidfs-notify");
    creds_set_fsids(ECHO_UID, (gid_t)ECHO_UID); /* for good: its requests are echoes, whatever becomes of them */
    share_fds_end_with_parent(worker);
    atomic_store(&state->echo.n_users, 0); /* whatever one that was killed has left */
    for (;;) {
        if (poll(&queue, 1, wait_ms) > 0) {
            take_packet(transport, state, &backlog);
            wait_ms = 0;
        } else {
            wait_ms = echo_make_one(&backlog, state, transport);
        }
    }
}

int notifier_start(struct transport *transport, struct watch_state *state, int *ret_pidfd)
{
    pid_t worker = getpid();
    int pid = share_fds_fork(ret_pidfd);
    if (pid == 0)
        run(transport, state, worker);
    return pid < 0 ? pid : 0;
}

void notifier_reap(int pidfd)
{
    siginfo_t info;
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL);
    fd_close(pidfd);
}
