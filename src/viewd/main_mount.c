/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.gidfs and mount.fuse.gidfs: what mount(8) calls for "mount -t gidfs" and for "mount -o remount", as
 * mount.gidfs SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-t type] [-o OPTIONS].
 */
#include "base/log.h"
#include "sys/fuse_dev.h"
#include "sys/sandbox.h"
#include "viewd/viewd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char help[] = "usage: mount.gidfs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]\n\n"
                           "Called by mount(8) for the type gidfs. The options are those of gidfs-view(8).\n";

static int remount(const struct view_options *options, const char *mountpoint)
{
    g_autoptr(GError) error = NULL;
    if (fuse_dev_remount(mountpoint, options->flags, &error) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "mount.gidfs: %s\n", error->message);
    return EXIT_FAILURE;
}

static int run(const char *source, const char *mountpoint, const char *option_text, bool fake)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(view_options) options = NULL;
    if (view_options_parse(option_text, &options, &error) < 0) {
        fprintf(stderr, "mount.gidfs: %s\n", error->message);
        return EXIT_USAGE;
    }
    if (fake)
        return EXIT_SUCCESS;
    if (options->remount)
        return remount(options, mountpoint);
    viewd_make_absolute(options);
    if (!options->fsname)
        options->fsname = g_strdup(source); /* "mount -a" compares it with fstab to the letter */
    struct viewd_request request = {
        .program = "mount.gidfs", .options = options, .source = source, .mountpoint = mountpoint};
    return viewd_mount(&request);
}

int main(int argc, char **argv)
{
    const char *options = "";
    bool fake = false;
    sandbox_clean_fds();
    log_setup("mount.gidfs", LOG_LEVEL_INFO);
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("mount.gidfs %s\n", GIDFS_VERSION);
        return EXIT_SUCCESS;
    }
    for (int c; (c = getopt(argc, argv, "sfnvN:t:o:")) != -1;) {
        if (c == '?')
            return EXIT_USAGE;
        if (c == 'o')
            options = optarg;
        fake = fake || c == 'f';
    }
    if (argc - optind != 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    return run(argv[optind], argv[optind + 1], options, fake);
}
