/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "inode/inode_state.h"

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Operations that cannot be repeated: create, mkdir, mknod, symlink, link, unlink, rmdir, rename.
 *
 * A request whose worker died is done again. What that worker had noted in its slot (fuse/request.h) tells whether the
 * effect had taken place: if it had finished, its result stands; if it had only begun, the operation is tried again,
 * and what the second try says is read in the light of the first.
 */

/*
 * Runs op(data) once for the current request, whichever worker gets to it. Returns its result. `already` is the error
 * by which a second try says that the first one had done it (-EEXIST of a create, -ENOENT of an unlink).
 */
int journal_run(int (*op)(void *data), void *data, int already);

/*
 * The same where that error may also come of what was there before: is_ours(data) then finds out whether it is our
 * doing, for which journal_is_recent() helps.
 */
int journal_run_checked(int (*op)(void *data), void *data, int already, bool (*is_ours)(void *data));

/* Whether a time stamp of the inode behind fd is no older than the first try of the current request. */
bool journal_is_recent(int fd, const struct statx_timestamp *stamp);

/*
 * The same for a rename, where no errno tells. subject and object identify what is at the two names before (n_bytes 0:
 * nothing); happened(data, subject, object) finds out whether they have changed places since.
 */
int journal_run_rename(int (*op)(void *data), void *data, const struct inode_key *subject,
                       const struct inode_key *object,
                       bool (*happened)(void *data, const struct inode_key *subject, const struct inode_key *object));

/*
 * For an operation that may be repeated, but not later: once its answer is out, others build on it, and a write that
 * came again would undo theirs. Notes that the current request has had its effect, with its result (0 or more, or a
 * negative errno); journal_is_done() tells a successor, which then only answers.
 */
void journal_note_done(int result);

/* Whether the current request was finished by a worker that died, with its result. */
bool journal_is_done(int *ret_result);
