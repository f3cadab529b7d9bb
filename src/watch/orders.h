/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fuse/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel is to be told, in packets between the watch thread, which finds it out, and the notifier, a process
 * of its own that tells it (notifier.h says why).
 *
 * A packet holds orders one behind another, each a struct order with its name, at multiples of 8 bytes.
 */
#define ORDERS_PACKET_BYTES 32768

enum order_kind {
    ORDER_ENTRY,      /* `name` in the directory nodeid is not what it was */
    ORDER_ATTRIBUTES, /* of nodeid; parent is the directory that it may be looked up in right now, or 0 */
    ORDER_DATA,       /* pages and attributes of nodeid; of a directory: its list of names; parent as above */
    ORDER_WAIT,       /* until nobody who began to look up or list in the directory nodeid is still at it */
    ORDER_EPOCH,      /* no entry is what it was */
    ORDER_TOUCH,      /* nothing for the kernel, but an echo: `name` in the directory nodeid was changed */
};

struct order {
    uint32_t n_bytes; /* with name and padding */
    uint16_t kind;    /* enum order_kind */
    uint16_t echo;    /* enum echo_flags: what listeners are told of it */
    uint64_t nodeid;
    uint64_t parent;     /* with a name: the inode that has or had it, or 0 */
    uint32_t generation; /* of nodeid, with an echo */
    char name[];         /* terminated; only of ORDER_ENTRY and ORDER_TOUCH */
};

struct packet {
    size_t n_bytes;
    _Alignas(8) char bytes[ORDERS_PACKET_BYTES];
};

/* Adds an order. False if there is no room for it. name may be NULL; n_bytes is set here. */
bool packet_add(struct packet *packet, const struct order *order, const char *name);

/* Carries out a packet. */
void orders_obey(struct transport *transport, const char *bytes, size_t n_bytes);
