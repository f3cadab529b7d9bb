/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for gidfs-view where the service is measured and not its views: an empty file system, mounted at the last
 * argument, without processes behind it. So ten thousand of them fit on a small machine.
 */
#include <stdio.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
    if (argc > 1 && mount("gidfs", argv[argc - 1], "tmpfs", MS_RDONLY, "size=4k,nr_inodes=1") == 0)
        return 0;
    perror(argv[argc - 1]);
    return 1;
}
