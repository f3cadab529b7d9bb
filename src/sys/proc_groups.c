/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/proc_groups.h"

#include "base/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    GHashTable *gids;
    proc_groups_found_fn found;
    void *data;
    GByteArray *buffer;
};

static DIR *open_directory_at(int fd, const char *name)
{
    int directory_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory_fd < 0 ? NULL : fdopendir(directory_fd);
}

/* Reads the whole status file of a task; a task that ended meanwhile has none. The group list may be long. */
static const char *read_status(struct scan *scan, int task_fd, const char *task)
{
    g_autofree char *name = g_strdup_printf("%s/status", task);
    auto_fd int fd = openat(task_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    guint used = 0;
    for (;;) {
        g_byte_array_set_size(scan->buffer, used + 4096);
        ssize_t n = read(fd, scan->buffer->data + used, 4095);
        if (n <= 0)
            break;
        used += (guint)n;
    }
    scan->buffer->data[used] = '\0';
    return (const char *)scan->buffer->data;
}

/* Looks each number of a line "Gid:\t1 2 3" or "Groups:\t1 2 3 " up. */
static void scan_line(struct scan *scan, const char *status, const char *key, pid_t pid)
{
    const char *at = strstr(status, key);
    if (!at)
        return;
    at += strlen(key);
    while (*at == ' ' || *at == '\t' || isdigit((unsigned char)*at)) {
        char *end = NULL;
        guint64 gid = g_ascii_strtoull(at, &end, 10);
        if (end == at)
            return;
        if (g_hash_table_contains(scan->gids, GUINT_TO_POINTER((guint)gid)))
            scan->found((gid_t)gid, pid, scan->data);
        at = end;
        while (*at == ' ' || *at == '\t')
            at++;
    }
}

static void scan_process(struct scan *scan, int proc_fd, const char *name)
{
    g_autofree char *tasks_name = g_strdup_printf("%s/task", name);
    DIR *tasks = open_directory_at(proc_fd, tasks_name);
    if (!tasks)
        return;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (!isdigit((unsigned char)task->d_name[0]))
            continue;
        const char *status = read_status(scan, dirfd(tasks), task->d_name);
        if (!status)
            continue;
        scan_line(scan, status, "\nGid:", atoi(name));
        scan_line(scan, status, "\nGroups:", atoi(name));
    }
    closedir(tasks);
}

int proc_groups_scan(GHashTable *gids, proc_groups_found_fn found, void *data, GError **error)
{
    g_autoptr(GByteArray) buffer = g_byte_array_new();
    struct scan scan = {gids, found, data, buffer};

    DIR *proc = open_directory_at(AT_FDCWD, "/proc");
    if (!proc)
        return gidfs_error_errno(error, errno, "open /proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (isdigit((unsigned char)entry->d_name[0]))
            scan_process(&scan, dirfd(proc), entry->d_name);
    }
    closedir(proc);
    return 0;
}
