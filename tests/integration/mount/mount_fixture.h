/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests with real mounts share: each test runs in a mount namespace of its own, in a fresh shared tmpfs at
 * fixture_base with the directories source, target and other. Its working directory is that tmpfs.
 */
#include "gidfs_test.h"

#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char fixture_base[] = "/tmp/gidfs-mount-XXXXXX";

static int setup(void **state)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("test", fixture_base, "tmpfs", 0, NULL) < 0 || mount(NULL, fixture_base, NULL, MS_SHARED, NULL) < 0)
        return -1;
    return chdir(fixture_base) < 0 || mkdir("source", 0755) < 0 || mkdir("target", 0755) < 0 ||
           mkdir("other", 0755) < 0;
}

static int teardown(void **state)
{
    return chdir("/") < 0 || umount2(fixture_base, MNT_DETACH) < 0;
}

static inline char *in_base(const char *name)
{
    return g_build_filename(fixture_base, name, NULL);
}

#define with_mounts(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Runs the tests, or ends with 77 where they can't run. */
#define run_with_mounts(tests)                                                                                         \
    do {                                                                                                               \
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {                                                              \
            print_message("skipped: needs root and mount namespaces\n");                                               \
            return 77;                                                                                                 \
        }                                                                                                              \
        if (!mkdtemp(fixture_base))                                                                                    \
            return 1;                                                                                                  \
        int failed_ = cmocka_run_group_tests(tests, NULL, NULL);                                                       \
        rmdir(fixture_base);                                                                                           \
        return failed_;                                                                                                \
    } while (0)
