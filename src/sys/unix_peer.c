/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/unix_peer.h"

#include "base/fd.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int unix_peer_credentials(int fd, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *ret_uid = peer.uid;
    *ret_gid = peer.gid;
    *ret_pid = peer.pid;
    return 0;
}

bool unix_peer_in_group(int fd, gid_t gid)
{
    gid_t groups[1024], peer_gid = 0;
    socklen_t size = sizeof(groups);
    uid_t uid = 0;
    pid_t pid = 0;

    if (unix_peer_credentials(fd, &uid, &peer_gid, &pid) == 0 && peer_gid == gid)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(gid_t); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

int unix_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return fd_steal(&fd);
}

int unix_peer_pid(const char *path, pid_t *ret_pid)
{
    uid_t uid = 0;
    gid_t gid = 0;

    auto_fd int fd = unix_connect(path);
    return fd < 0 ? fd : unix_peer_credentials(fd, &uid, &gid, ret_pid);
}
