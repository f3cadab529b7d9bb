/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "core/range_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which ids the host has given away already, from the text of its files: for warnings when a configured range overlaps
 * them (behaviour A1), and for the blocks of subordinate ids (A11). Pure: the caller reads the files, nobody writes
 * them.
 */
struct host_ids;

struct host_ids *host_ids_new(void);
void host_ids_free(struct host_ids *ids);

typedef struct host_ids host_ids;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(host_ids, host_ids_free)

/*
 * Adds the groups of a text in the form of /etc/group (NAME:PASSWORD:GID:…), or the blocks of one in the form of
 * /etc/subuid and /etc/subgid (OWNER:FIRST:COUNT). file is its name for messages. Lines that say nothing (blank,
 * comments, NIS's "+") are passed over; returns how many more could not be understood and were left out.
 */
size_t host_ids_add_groups(struct host_ids *ids, const char *file, const char *text);
size_t host_ids_add_subids(struct host_ids *ids, const char *file, const char *text);

/* All ids that were added. The host_ids' own: valid until something is added. */
const struct range_set *host_ids_set(const struct host_ids *ids);

/*
 * One warning for each group or block that overlaps range, in the order of the files, at most max_warnings and then one
 * that says how many there are in all. NULL-terminated, empty if nothing overlaps; free with g_strfreev.
 */
char **host_ids_overlaps(const struct host_ids *ids, const struct range_set *range, size_t max_warnings);

/* What of /etc/login.defs says where useradd puts subordinate ids. Both ends are included. */
struct login_defs {
    uint64_t sub_uid_min, sub_uid_max, sub_uid_count;
    uint64_t sub_gid_min, sub_gid_max, sub_gid_count;
};

/* Reads the text of /etc/login.defs; what it leaves out, or what is no number, is as useradd has it by default. */
void login_defs_parse(const char *text, struct login_defs *ret_defs);

/*
 * Where blocks of subordinate ids can be taken from when nothing is configured: behind what useradd may give to new
 * users, up to 2^31-1 (programs that take an id for a signed number exist), without what ids holds. If login.defs
 * leaves less than one block there, useradd's own range without what ids holds.
 */
struct range_set *subid_default_range(const struct login_defs *defs, const struct host_ids *ids);
