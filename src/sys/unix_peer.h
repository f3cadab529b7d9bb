/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * A stream socket that is connected to the one at path and does not block, without waiting for who listens there:
 * -ECONNREFUSED when nobody does any more, -ENOENT when there is no socket, -EAGAIN when it has no room for us.
 * Thread-safe.
 */
int unix_connect(const char *path);

/* The process that listens there, with the same errors. */
int unix_peer_pid(const char *path, pid_t *ret_pid);

/* The credentials of whoever is connected to fd. */
int unix_peer_credentials(int fd, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid);

/* Whether gid was the peer's effective gid or one of its supplementary ones when it connected. */
bool unix_peer_in_group(int fd, gid_t gid);
