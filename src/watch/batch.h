/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sys/fanotify_group.h"
#include "watch/orders.h"
#include "watch/watch.h"

/*
 * From a buffer of events to orders: each name at once, each inode once for the whole buffer.
 */
struct batch;

struct batch_ops {
    /* Takes a full packet; a negative errno ends the batch. */
    int (*put)(void *data, struct packet *packet);
    /* Watches an inode itself, wherever it is, if it is still known. */
    void (*cover)(void *data, uint64_t nodeid);
    /* A file is written to, and its attributes are about to be dropped: the next write need not be reported. */
    void (*hush)(void *data, uint64_t nodeid);
    /* A change was heard of an inode that is not in the table. It is looked for once more after that. */
    void (*miss)(void *data);
};

struct batch *batch_new(const struct watch_config *config, const struct batch_ops *ops, void *data);
void batch_free(struct batch *batch);

/* Works through n_bytes of events. 0, or what put() failed with. */
int batch_take(struct batch *batch, const void *events, size_t n_bytes);

/* Drops all that the kernel has cached. */
int batch_drop_all(struct batch *batch);
