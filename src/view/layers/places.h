/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What the view remembers of an inode beside its record: where it was last looked up, which is where a lower object is
 * copied up to, and the number it shows if that isn't its own. One small block for each inode that needs it, replaced
 * when the record is used again. Safe in any thread.
 *
 * A successor starts with none. Nothing is lost by that: a place that is missing is learned again from the lookup that
 * the kernel makes when it is told ESTALE.
 */
struct places;

struct place {
    uint64_t parent; /* nodeid; 0: the inode has no name any more */
    uint64_t ino;    /* 0: its own */
    char *name;      /* the caller's to free */
};

struct places *places_new(void);
void places_free(struct places *places);

/* Remembers where an inode is. ino 0 leaves the number as it is known. */
void places_set(struct places *places, uint64_t nodeid, uint64_t parent, const char *name, uint64_t ino);

/* Remembers that its name has gone: if it is copied up, then to nowhere. */
void places_detach(struct places *places, uint64_t nodeid);

/* -ENOENT if nothing is known of it. */
int places_get(struct places *places, uint64_t nodeid, struct place *ret_place);
uint64_t places_get_ino(struct places *places, uint64_t nodeid);
