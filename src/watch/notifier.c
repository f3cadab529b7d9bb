/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/notifier.h"

#include "base/fd.h"
#include "sys/share_fds.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void run(struct transport *transport, int queue_fd)
{
    static _Alignas(8) char bytes[ORDERS_PACKET_BYTES];
    prctl(PR_SET_NAME, "gidfs-notify");
    for (;;) {
        ssize_t n = recv(queue_fd, bytes, sizeof(bytes), MSG_PEEK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(n < 0);
        orders_obey(transport, bytes, (size_t)n);
        while (recv(queue_fd, bytes, 1, MSG_TRUNC) < 0 && errno == EINTR)
            continue;
    }
}

int notifier_start(struct transport *transport, int queue_fd, int *ret_pidfd)
{
    int pid = share_fds_fork(ret_pidfd);
    if (pid == 0)
        run(transport, queue_fd);
    return pid < 0 ? pid : 0;
}

void notifier_reap(int pidfd)
{
    siginfo_t info;
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL);
    fd_close(pidfd);
}
