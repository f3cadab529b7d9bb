/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * What a view's processes give up before they touch what a client sends. docs/security.md says what for.
 *
 * Every step is tried, and one that the kernel or a user namespace refuses is logged and left out: less of a sandbox is
 * better than no view. Single-threaded processes only.
 */

/*
 * For a program's very beginning: closes every descriptor that the caller has left open behind the standard ones, and
 * opens /dev/null for those of them that are missing, so that no file of ours ever gets their numbers.
 */
void sandbox_clean_fds(void);

/*
 * Likewise for signals that the caller ignores or blocks: the end of a child is told, SIGTERM ends us, and a file that
 * is larger than a limit allows is an error and not our end. SIGHUP and SIGINT stay ignored, as nohup and shells mean
 * it.
 */
void sandbox_clean_signals(void);

/* Whatever depends on the view. */
struct sandbox_needs {
    bool device_nodes; /* device nodes are made on the disk */
};

/* The keeper: no new privileges, no core dumps, and no capabilities but its workers' and what makes a worker. */
void sandbox_keeper(const struct sandbox_needs *needs);

/*
 * A worker: as the keeper with fewer capabilities, and besides an empty root directory in a mount namespace of its own,
 * nobody who looks into its memory, and a filter on system calls. From here on only descriptors that are open lead
 * anywhere. inode_fd_pin() is part of it.
 */
void sandbox_worker(const struct sandbox_needs *needs);
