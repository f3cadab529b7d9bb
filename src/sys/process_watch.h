/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * Hears of the end of processes that are nobody's children here, by their pidfds: one descriptor for each. Thread-safe,
 * except that process_watch_read has one caller at a time.
 */
struct process_watch;

int process_watch_new(struct process_watch **ret_watch, GError **error);
void process_watch_free(struct process_watch *watch);

/*
 * Watches pid under a key; a key that is there already is moved to the new pid. -ESRCH if there is no such process, or
 * it has ended. A pid that was handed out again meanwhile is another process, which the caller has to rule out.
 */
int process_watch_add(struct process_watch *watch, int64_t key, pid_t pid);
void process_watch_remove(struct process_watch *watch, int64_t key);

/* Polls readable when a process has ended. */
int process_watch_fd(const struct process_watch *watch);

/* The keys of processes that have ended, each told once, without waiting; the caller frees the array of int64_t. */
GArray *process_watch_read(struct process_watch *watch);

/* A child of pid, 0 if it has none, or the kernel does not tell. */
pid_t process_first_child(pid_t pid);

/* Waits until pid has ended, at most timeout_ms: 0, also if there is no such process, or -ETIMEDOUT. */
int process_wait_end(pid_t pid, unsigned int timeout_ms);
