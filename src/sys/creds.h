/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Credentials of one thread. Raw system calls on purpose: glibc's set*id() change every thread of the process.
 */

/*
 * Makes file system ids free to change: SECBIT_NO_SETUID_FIXUP, so that a thread that creates as somebody else keeps
 * CAP_DAC_OVERRIDE. Before threads start. -EPERM without CAP_SETPCAP.
 */
int creds_keep_caps_over_setfsuid(void);

/* Sets the fsuid and fsgid of this thread. They stay until set again. */
void creds_set_fsids(uid_t uid, gid_t gid);

/* Sets the fsgid of this thread alone. */
void creds_set_fsgid(gid_t gid);

/* Sets the supplementary groups of this thread. */
int creds_set_groups(const gid_t *groups, size_t n_groups);

/*
 * Drops capabilities that a server must not have while it acts for others: CAP_FSETID (with it a write leaves setuid
 * bits in place) and CAP_SYS_RESOURCE (with it quotas and reserved blocks do not hold) leave the effective set; the
 * former stays permitted. Before threads start.
 */
int creds_drop_server_caps(void);

/* Raises or lowers CAP_FSETID in the effective set of this thread, around an owner's legitimate chmod g+s. */
int creds_set_fsetid(bool raised);

/* Gives this thread a umask and a working directory of its own. -errno. */
int creds_own_umask(void);
