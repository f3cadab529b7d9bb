/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/inotify_users.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* What an inotify descriptor links to. */
#define LINK "anon_inode:inotify"

static bool is_inotify(int fds_fd, const char *number)
{
    char target[sizeof(LINK) + 1];
    ssize_t n = readlinkat(fds_fd, number, target, sizeof(target));
    return n == (ssize_t)strlen(LINK) && memcmp(target, LINK, (size_t)n) == 0;
}

/* Lines of fdinfo: "inotify wd:1 ino:2 sdev:fd00001 mask:…", the device as the kernel has it, 20 bits of minor. */
static bool watches(int process_fd, const char *number, dev_t device)
{
    char path[64], line[512], wanted[32];
    snprintf(path, sizeof(path), "fdinfo/%s", number);
    snprintf(wanted, sizeof(wanted), " sdev:%x ", major(device) << 20 | minor(device));
    int fd = openat(process_fd, path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
    if (!file) {
        fd_close(fd);
        return false;
    }
    bool found = false;
    while (!found && fgets(line, sizeof(line), file))
        found = strncmp(line, "inotify ", 8) == 0 && strstr(line, wanted);
    fclose(file);
    return found;
}

static bool process_watches(int process_fd, dev_t device)
{
    int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *fds = fd < 0 ? NULL : fdopendir(fd);
    if (!fds) {
        fd_close(fd);
        return false;
    }
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(fds));)
        found = is_inotify(fd, entry->d_name) && watches(process_fd, entry->d_name, device);
    closedir(fds);
    return found;
}

int inotify_users_of(dev_t device)
{
    DIR *processes = opendir("/proc");
    if (!processes)
        return -errno;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(processes));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        auto_fd int fd = openat(dirfd(processes), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        found = fd >= 0 && process_watches(fd, device);
    }
    closedir(processes);
    return found;
}
