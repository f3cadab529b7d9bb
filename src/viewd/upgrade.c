/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new program is started twice: once beside the keeper with --check-takeover, where nothing it does can harm the
 * view, and then in the keeper's place with --takeover. Both get the command line of a fresh start besides, so that
 * options mean to it what they would mean then.
 */
#include "viewd/upgrade.h"

#include "base/fd.h"
#include "viewd/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_ARGUMENTS_MAX 8

/* The command line of a fresh start behind the first argument. argv has N_ARGUMENTS_MAX places. */
static void make_argv(const struct upgrade_view *view, char *first, char **argv)
{
    int n = 0;
    argv[n++] = "gidfs-view";
    argv[n++] = first;
    if (view->foreground)
        argv[n++] = "-f";
    argv[n++] = "-o";
    argv[n++] = (char *)view->options;
    if (view->source)
        argv[n++] = (char *)view->source;
    argv[n++] = (char *)view->mountpoint;
    argv[n] = NULL;
}

static void run_checker(const struct upgrade *u, const struct upgrade_view *view, int memory_fd, int output_fd)
{
    char first[64], *argv[N_ARGUMENTS_MAX];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(first, sizeof(first), "--check-takeover=%d", memory_fd);
    make_argv(view, first, argv);
    fcntl(memory_fd, F_SETFD, 0);
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    execv(u->program, argv);
    dprintf(STDERR_FILENO, "%s: %s", u->program, strerror(errno));
    _exit(126);
}

int upgrade_begin(struct upgrade *u, const char *program, control_client client, const struct upgrade_view *view,
                  const struct memory *memory, GError **error)
{
    int output[2];
    if (u->state != UPGRADE_NONE)
        return gidfs_error(error, EBUSY, "another upgrade is under way");
    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
        return gidfs_error_errno(error, errno, "make a pipe");
    u->program = g_strdup(program);
    pid_t pid = fork();
    if (pid == 0)
        run_checker(u, view, memory->header->memory_fd, output[1]);
    int r = pid < 0 ? -errno : 0;
    fd_close(output[1]);
    u->checker = pid;
    u->output_fd = output[0];
    u->client = client;
    u->state = UPGRADE_CHECKING;
    if (r < 0) {
        upgrade_end(u);
        return gidfs_error_errno(error, r, "start %s", program);
    }
    return 0;
}

int upgrade_judge(struct upgrade *u, int status, GError **error)
{
    char said[512];
    ssize_t n = read(u->output_fd, said, sizeof(said) - 1);
    said[MAX(n, 0)] = '\0';
    g_strdelimit(g_strchomp(said), "\n", ' ');
    u->output_fd = fd_close(u->output_fd);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return gidfs_error(error, EPROTO, "%s can't take over: %s", u->program, n > 0 ? said : "it ended without a word");
}

int upgrade_exec(const struct upgrade *u, const struct upgrade_view *view, const struct memory *memory, GError **error)
{
    char first[96], *argv[N_ARGUMENTS_MAX];
    const struct memory_header *header = memory->header;
    const int more[] = {header->memory_fd, header->dev_fd,   header->tree_fd,
                        header->root_fd,   view->control_fd, view->client_fd};
    snprintf(first, sizeof(first), "--takeover=%d,%d,%d,%" PRIu64, header->memory_fd, view->control_fd, view->client_fd,
             view->started_ms);
    make_argv(view, first, argv);
    fds_keep_over_exec(memory, more, G_N_ELEMENTS(more), true);
    execv(u->program, argv);
    int r = -errno;
    fds_keep_over_exec(memory, more, G_N_ELEMENTS(more), false);
    return gidfs_error_errno(error, r, "start %s", u->program);
}

void upgrade_end(struct upgrade *u)
{
    u->output_fd = u->state == UPGRADE_NONE ? -1 : fd_close(u->output_fd);
    u->state = UPGRADE_NONE;
    u->checker = 0;
    g_clear_pointer(&u->program, g_free);
}
