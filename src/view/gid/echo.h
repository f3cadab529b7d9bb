/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "view/gid/names.h"

/* The server's part in echoes: how requests are answered of which view_is_echo(). */

/* Answers the lookup of a name that is about to be made or removed once more. False if it is any other. */
bool echo_lookup(fuse_req_t req, struct view *view, const struct dir *dir, const char *name);
