/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe of the child's output is not read to its end: a child that went to the background leaves its copy open. The
 * child's pidfd tells the end; what is in the pipe then is all that it had to say.
 */
#include "sys/launch.h"

#include "base/fd.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_MAX 16384

/* What the child said so far, and who hears of each line. */
struct output {
    GString *text;
    size_t n_told; /* bytes of text whose lines were told */
    launch_line_fn on_line;
    void *data;
};

static void tell_lines(struct output *output)
{
    char *newline;
    while (output->on_line && (newline = strchr(output->text->str + output->n_told, '\n'))) {
        g_autofree char *line =
            g_strndup(output->text->str + output->n_told, (gsize)(newline - output->text->str) - output->n_told);
        output->on_line(line, output->data);
        output->n_told = (size_t)(newline + 1 - output->text->str);
    }
}

/* Takes what is in the pipe; the end of a long output is what counts. */
static void take_output(int fd, struct output *output)
{
    char buffer[4096];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
        g_string_append_len(output->text, buffer, n);
        tell_lines(output);
        if (output->text->len > OUTPUT_MAX) {
            size_t excess = output->text->len - OUTPUT_MAX;
            g_string_erase(output->text, 0, (gssize)excess);
            output->n_told -= MIN(excess, output->n_told);
        }
    }
}

/* Collects output until the process ends: 0, or -ETIMEDOUT. A timeout of 0 is none. */
static int collect(int pid_fd, int output_fd, unsigned int timeout_ms, struct output *output)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    struct pollfd fds[2] = {{.fd = pid_fd, .events = POLLIN}, {.fd = output_fd, .events = POLLIN}};

    for (;;) {
        gint64 left_ms = (end_us - g_get_monotonic_time() + 999) / 1000;
        if (timeout_ms && left_ms <= 0)
            return -ETIMEDOUT;
        int n = poll(fds, G_N_ELEMENTS(fds), timeout_ms ? (int)left_ms : -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        take_output(output_fd, output);
        if (n > 0 && fds[0].revents)
            return 0;
        if (n > 0 && (fds[1].revents & POLLHUP))
            fds[1].fd = -1; /* closed, though the process lives on: only its end matters now */
    }
}

static const char *last_line(GString *output)
{
    g_strchomp(output->str);
    const char *newline = strrchr(output->str, '\n');
    return newline ? newline + 1 : output->str;
}

static int judge(const char *program, int status, GString *output, GError **error)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    const char *line = last_line(output);
    if (line[0])
        return gidfs_error(error, EIO, "%s", line);
    if (WIFSIGNALED(status))
        return gidfs_error(error, EIO, "%s: killed by signal %d", program, WTERMSIG(status));
    return gidfs_error(error, EIO, "%s: ended with status %d and said nothing", program, WEXITSTATUS(status));
}

static int run(const char *const *argv, unsigned int timeout_ms, launch_line_fn on_line, void *data, GError **error)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return gidfs_error_errno(error, errno, "%s: pipe", argv[0]);
    auto_fd int read_fd = pipe_fds[0];
    auto_fd int write_fd = pipe_fds[1];
    fcntl(write_fd, F_SETFL, 0); /* a child expects descriptors that block */

    pid_t pid = -1;
    int r = spawn_start(&(struct spawn_options){.argv = argv, .detached = true}, write_fd, &pid);
    if (r < 0)
        return gidfs_error_errno(error, r, "%s: start", argv[0]);
    write_fd = fd_close(write_fd);

    g_autoptr(GString) text = g_string_new(NULL);
    struct output output = {.text = text, .on_line = on_line, .data = data};
    int status = 0;
    auto_fd int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    r = pid_fd < 0 ? -errno : collect(pid_fd, read_fd, timeout_ms, &output);
    if (r < 0)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r == -ETIMEDOUT)
        return gidfs_error(error, ETIMEDOUT, "%s: not ready within %u ms; killed", argv[0], timeout_ms);
    if (r < 0)
        return gidfs_error_errno(error, r, "%s: wait", argv[0]);
    return judge(argv[0], status, text, error);
}

int launch_program(const char *const *argv, unsigned int timeout_ms, GError **error)
{
    return run(argv, timeout_ms, NULL, NULL, error);
}

int launch_and_listen(const char *const *argv, launch_line_fn on_line, void *data, GError **error)
{
    return run(argv, 0, on_line, data, error);
}
