/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api/api.h"

/*
 * HTTP on a unix socket (libmicrohttpd). One thread talks to the sockets and never waits for anything else; requests
 * are handled by a pool of threads. Each uid but root has a share of connections and of requests in progress, so that
 * no user can keep others, or root, from the service.
 */
struct api_server;

/*
 * Listens on socket_path, which is replaced if nobody listens there. read_group may read, (gid_t)-1 for no group. The
 * api must outlive the server.
 */
int api_server_start(struct api *api, const char *socket_path, gid_t read_group, struct api_server **ret_server,
                     GError **error);

void api_server_set_read_group(struct api_server *server, gid_t read_group);

/* Takes no more connections, waits for the requests in progress, and removes the socket. */
void api_server_stop(struct api_server *server);
