/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/transport.h"

/*
 * What the server tells the kernel about changes behind the view. From any thread but those that serve requests.
 * 0; -ENOENT when the kernel has nothing cached of it, which is no failure.
 */
int notify_inval_attributes(struct transport *transport, uint64_t nodeid);
int notify_inval_data(struct transport *transport, uint64_t nodeid);
int notify_inval_entry(struct transport *transport, uint64_t parent, const char *name);

/* Inodes that nobody uses are forgotten. Waits for their pages to be dropped. -EOPNOTSUPP before protocol 7.45. */
int notify_prune(struct transport *transport, const uint64_t *nodeids, unsigned n_nodeids);

/* Every entry that is cached is looked up again. -EOPNOTSUPP before protocol 7.44. */
int notify_inc_epoch(struct transport *transport);
