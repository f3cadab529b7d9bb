/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/json.h"
#include "gidfs/gidfs.h"

/* Inside the library: what its files share. */

/* Clears the last error: the first step of every call. */
void client_begin(gidfs_client *client);

/* Keeps a message as the last error, with no word of the API, and returns -errnum. */
int client_fail(gidfs_client *client, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * Takes the caller's option struct of theirs_size bytes into ours of ours_size, zeroing what an older caller does not
 * know. -EINVAL where a newer caller sets what this library does not know, or theirs_size is 0.
 */
int client_take_options(gidfs_client *client, void *ours, size_t ours_size, const void *theirs, size_t theirs_size);

/* -EINVAL where flags has a bit that is not in known. */
int client_check_flags(gidfs_client *client, unsigned flags, unsigned known);

/*
 * Takes text as a result, and ownership of it in any case; -EBADMSG if it does not look like a JSON object. One that
 * turns out to be none has no members.
 */
int result_new(GString *text, gidfs_result **ret_result);
const json_doc *result_doc(const gidfs_result *result);
