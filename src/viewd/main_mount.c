/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.gidfs and mount.fuse.gidfs: what mount(8) calls for "mount -t gidfs" and for "mount -o remount", as
 * mount.gidfs SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-t type] [-o OPTIONS].
 */
#include "base/log.h"
#include "base/message.h"
#include "sys/fuse_dev.h"
#include "sys/mount_table.h"
#include "sys/sandbox.h"
#include "viewd/viewd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char help[] = "usage: mount.gidfs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]\n\n"
                           "Called by mount(8) for the type gidfs. The options are those of gidfs-view(8).\n";

/* The flags that the view at a mount point has now, of those that view options name. */
static int current_flags(const char *mountpoint, uint32_t *ret_flags, GError **error)
{
    g_autoptr(mount_table) table = NULL;
    g_autoptr(view_options) options = NULL;
    g_autofree char *target = realpath(mountpoint, NULL);
    if (!target)
        return gidfs_error_errno(error, errno, "remount %s", mountpoint);
    int r = mount_table_read(0, &table, error);
    const struct mount_entry *entry = r < 0 ? NULL : mount_table_find_target(table, target);
    if (r == 0 && !entry)
        r = gidfs_error(error, EINVAL, "remount %s: nothing is mounted there", mountpoint);
    if (r == 0)
        r = view_options_parse(entry->options, &options, error);
    if (r == 0)
        *ret_flags = options->flags & options->flags_given;
    return r;
}

/* What the options don't name stays as it is. */
static int remount(const struct view_options *options, const char *mountpoint)
{
    g_autoptr(GError) error = NULL;
    uint32_t flags = 0, given = options->flags_given;
    int r = current_flags(mountpoint, &flags, &error);
    if (r == 0)
        r = fuse_dev_remount(mountpoint, (flags & ~given) | (options->flags & given), &error);
    if (r == 0)
        return EXIT_SUCCESS;
    message_print("mount.gidfs", error->message);
    return EXIT_FAILURE;
}

static int run(const char *source, const char *mountpoint, const char *option_text, bool fake)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(view_options) options = NULL;
    if (view_options_parse(option_text, &options, &error) < 0) {
        message_print("mount.gidfs", error->message);
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
    sandbox_clean_signals();
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
        message_print("mount.gidfs", "SOURCE and MOUNTPOINT are needed; see mount.gidfs --help");
        return EXIT_USAGE;
    }
    return run(argv[optind], argv[optind + 1], options, fake);
}
