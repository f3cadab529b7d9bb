/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/transport.h"
#include "inode/inode_table.h"

/*
 * Keeps the inode table from filling up: when it gets crowded, the kernel is asked to forget inodes that nobody uses
 * (FUSE_NOTIFY_PRUNE, protocol 7.45). Safe in any thread.
 */
struct pressure;

/* Starts the thread that asks. -EOPNOTSUPP if the kernel can't be asked. */
int pressure_new(struct inode_table *inodes, struct transport *transport, struct pressure **ret_pressure);
void pressure_free(struct pressure *pressure);

/* To be called when an inode was added, or could not be; costs nothing while there is room. pressure may be NULL. */
void pressure_notice(struct pressure *pressure);

/* Waits a moment for room in a full table. False if there is none, or if the kernel can't be asked (NULL). */
bool pressure_wait_for_room(struct pressure *pressure);
