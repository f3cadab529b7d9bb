/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of gidfs-nsmount; its main.c describes the protocol. The process is named by a pidfd that is opened here,
 * once: a number that is handed to another process in between cannot be mistaken for it.
 */
#include "sys/ns_mount.h"

#include "base/fd.h"
#include "sys/ns_enter.h"
#include "base/program_path.h"
#include "sys/spawn.h"

#include <stdio.h>
#include <string.h>

/* Takes the answer apart: 0 with the id and the rest, or the helper's error as ours. */
static int parse_answer(const char *output, int status, int *ret_mount_id, char **ret_path, GError **error)
{
    int number = 0, length = 0;
    const char *rest = strchr(output, '\n');
    if (status == 1 && rest && sscanf(output, "error %d%n", &number, &length) == 1 && output + length == rest)
        return gidfs_error(error, number, "%s", rest + 1);
    if (status != 0 || !rest || sscanf(output, "ok %d%n", &number, &length) != 1 || output + length != rest)
        return gidfs_error(error, EPROTO, "gidfs-nsmount ended with status %d and no answer", status);
    *ret_mount_id = number;
    *ret_path = g_strdup(rest + 1);
    return 0;
}

/* Runs the helper with the arguments (NULL-terminated, after the program) and the mount, if mount_fd is not -1. */
static int run_helper(pid_t pid, int mount_fd, const char *const *arguments, int *ret_mount_id, char **ret_path,
                      GError **error)
{
    auto_fd int pidfd = -1;
    int r = ns_pidfd_open(pid, &pidfd, error);
    if (r < 0)
        return r;
    g_autofree char *program = program_path("gidfs-nsmount"), *output = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    for (const char *const *argument = arguments; *argument; argument++)
        g_ptr_array_add(argv, (char *)*argument);
    g_ptr_array_add(argv, NULL);

    const int fds[] = {pidfd, mount_fd};
    const struct spawn_options options = {
        .argv = (const char *const *)argv->pdata,
        .fds = fds,
        .n_fds = mount_fd < 0 ? 1 : 2,
        .timeout_ms = NS_MOUNT_TIMEOUT_MS,
    };
    int status;
    r = spawn_run(&options, &output, &status, error);
    if (r < 0)
        return r;
    r = parse_answer(output, status, ret_mount_id, ret_path, error);
    if (r < 0)
        g_prefix_error(error, "in the mount namespace of process %d: ", (int)pid);
    return r;
}

int ns_mount_attach(pid_t pid, int mount_fd, const char *target, enum mount_resolve_missing missing, char **ret_path,
                    int *ret_mount_id, GError **error)
{
    static const char *const words[] = {
        [MOUNT_RESOLVE_MUST_EXIST] = "must-exist",
        [MOUNT_RESOLVE_MAKE_DIRECTORY] = "directory",
        [MOUNT_RESOLVE_MAKE_FILE] = "file",
    };
    const char *arguments[] = {"attach", target, words[missing], NULL};
    return run_helper(pid, mount_fd, arguments, ret_mount_id, ret_path, error);
}

int ns_mount_unmount(pid_t pid, const char *target, int expected_mount_id, enum mount_unmount_mode mode, GError **error)
{
    g_autofree char *id = g_strdup_printf("%d", expected_mount_id), *path = NULL;
    const char *arguments[] = {"unmount", target, id, mode == MOUNT_UNMOUNT_DETACH ? "detach" : "plain", NULL};
    int mount_id;
    return run_helper(pid, -1, arguments, &mount_id, &path, error);
}
