/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A set of 64-bit numbers, kept as disjoint ranges: gids that are free, ids that the host uses. Pure; one owner, no
 * locks. Ranges are half-open, [start, end), so UINT64_MAX is never a member. n below is the number of ranges: adding,
 * removing and asking take O(log n), expected, whatever the ranges hold.
 */
struct range_set;

struct range {
    uint64_t start;
    uint64_t end; /* the first number behind it */
};

/*
 * The lowest start >= from, a multiple of alignment, with [start, start + length) inside of range; false if there is
 * none. length and alignment are at least 1.
 */
bool range_first_fit(struct range range, uint64_t from, uint64_t length, uint64_t alignment, uint64_t *ret_start);

struct range_set *range_set_new(void);
struct range_set *range_set_copy(const struct range_set *set); /* O(n) */
void range_set_free(struct range_set *set);

typedef struct range_set range_set;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(range_set, range_set_free)

/* Adds or removes [start, end); what is there, or isn't, already does no harm. Nothing if start >= end. */
void range_set_add(struct range_set *set, uint64_t start, uint64_t end);
void range_set_remove(struct range_set *set, uint64_t start, uint64_t end);

/* Removes each range of another set: O(m log n). */
void range_set_remove_set(struct range_set *set, const struct range_set *other);
/* What both have. */
struct range_set *range_set_intersect(const struct range_set *a, const struct range_set *b);

bool range_set_contains(const struct range_set *set, uint64_t number);

/* Whether all, or any, of [start, end) is in the set; false for an empty range. */
bool range_set_contains_all(const struct range_set *set, uint64_t start, uint64_t end);
bool range_set_contains_any(const struct range_set *set, uint64_t start, uint64_t end);

/*
 * The same for a set: all of [start, start + length) are members. O(log n) without alignment; with one, plus the ranges
 * passed over that are long enough and hold no aligned block.
 */
bool range_set_first_fit(const struct range_set *set, uint64_t from, uint64_t length, uint64_t alignment,
                         uint64_t *ret_start);

/* The first range that ends behind from, cut off before it: for (at = 0; range_set_next_range(s, at, &r); at = r.end)
 */
bool range_set_next_range(const struct range_set *set, uint64_t from, struct range *ret_range);

uint64_t range_set_count(const struct range_set *set);                        /* members; O(1) */
uint64_t range_set_count_below(const struct range_set *set, uint64_t number); /* members < number */
size_t range_set_n_ranges(const struct range_set *set);                       /* O(1) */
bool range_set_equal(const struct range_set *a, const struct range_set *b);   /* O(n) */

/*
 * Reads "50000-59999,70000-70999" (both ends included, blanks around the commas), or the same in brackets as Mesos
 * writes it. Ranges may overlap. The four ways to be wrong, each with a message that names the part (behaviour A1):
 *   -EINVAL   not parseable
 *   -EDOM     a number, not a range
 *   -ERANGE   a value beyond max (max < UINT64_MAX)
 *   -ENODATA  empty: an end before its start, or no range at all
 */
int range_set_parse(const char *text, uint64_t max, struct range_set **ret_set, GError **error);

/* The set as range_set_parse reads it, in order; "" for the empty set. Caller frees. */
char *range_set_to_string(const struct range_set *set);
