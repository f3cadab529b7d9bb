/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gidfs-rootfs: lays layers down as plain directories and removes them again, in a process of its own, so that hours
 * of copying have their own priority and can be ended with a signal. SIGINT and SIGTERM stop the work and remove what
 * was made so far.
 */
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "provision/flatten.h"
#include "provision/layer_tar.h"
#include "provision/remove_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPDATE_INTERVAL_US (100 * 1000)
#define BAR_WIDTH          32

static const char usage[] =
    "usage: gidfs-rootfs flatten [--progress bar|json|none] --layer LAYER [--layer LAYER …] TARGET\n"
    "       gidfs-rootfs unpack TAR DIRECTORY\n"
    "       gidfs-rootfs remove DIRECTORY\n"
    "\n"
    "flatten   writes the merged tree of the layers to TARGET, which must not exist or be empty. The first layer is "
    "the\n"
    "          lowest; each is a directory or the tar of an image layer.\n"
    "unpack    unpacks one image layer into an existing, empty directory.\n"
    "remove    removes a directory and all below it, but nothing that is mounted there.\n"
    "\n"
    "      --progress bar|json|none   how to show progress on standard error (default: bar on a terminal, else none)\n"
    "  -h, --help                     this text\n"
    "      --version                  the version\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

enum progress_style {
    PROGRESS_NONE,
    PROGRESS_BAR,
    PROGRESS_JSON,
};

struct display {
    enum progress_style style;
    gint64 last_us;
};

static void draw_bar(const struct provision_progress *progress)
{
    double part = progress->total_entries ? (double)progress->done_entries / (double)progress->total_entries : 0;
    if (progress->total_bytes)
        part = (part + (double)progress->done_bytes / (double)progress->total_bytes) / 2;
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < (int)(part * BAR_WIDTH) ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3.0f%%  %ju of %ju entries, %ju MiB ", bar, part * 100, (uintmax_t)progress->done_entries,
            (uintmax_t)progress->total_entries, (uintmax_t)(progress->done_bytes >> 20));
}

static void draw_json(const struct provision_progress *progress)
{
    fprintf(stderr, "{\"done_entries\":%ju,\"total_entries\":%ju,\"done_bytes\":%ju,\"total_bytes\":%ju}\n",
            (uintmax_t)progress->done_entries, (uintmax_t)progress->total_entries, (uintmax_t)progress->done_bytes,
            (uintmax_t)progress->total_bytes);
}

static int show_progress(const struct provision_progress *progress, void *data)
{
    struct display *display = data;
    if (interrupted)
        return -ECANCELED;
    bool is_end = progress->total_entries && progress->done_entries == progress->total_entries;
    gint64 now_us = g_get_monotonic_time();
    if (display->style == PROGRESS_NONE || (!is_end && now_us - display->last_us < UPDATE_INTERVAL_US))
        return 0;
    display->last_us = now_us;
    if (display->style == PROGRESS_BAR)
        draw_bar(progress);
    else
        draw_json(progress);
    return 0;
}

/* Reads --progress; false for an unknown word. */
static bool parse_style(const char *word, enum progress_style *ret_style)
{
    static const char *const words[] = {"none", "bar", "json"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (word && strcmp(word, words[i]) == 0) {
            *ret_style = (enum progress_style)i;
            return true;
        }
    return false;
}

static int report(GError *error)
{
    if (!error)
        return 0;
    log_error("%s", error->message);
    return 1;
}

static int misused(const char *what)
{
    log_error("%s; see gidfs-rootfs --help", what);
    return 2;
}

static int run_flatten(char **args)
{
    g_autoptr(GPtrArray) layers = g_ptr_array_new();
    struct display display = {.style = isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_NONE};
    const char *target = NULL;
    for (; *args; args++) {
        if (strcmp(*args, "--layer") == 0 && args[1])
            g_ptr_array_add(layers, *++args);
        else if (strcmp(*args, "--progress") == 0) {
            if (!parse_style(args[1], &display.style))
                return misused("--progress takes bar, json or none");
            args++;
        } else if (**args == '-' || target)
            return misused("flatten takes --layer LAYER … and one target");
        else
            target = *args;
    }
    if (!target)
        return misused("flatten needs a target");
    g_autoptr(GError) error = NULL;
    flatten((const char *const *)layers->pdata, layers->len, target, show_progress, &display, &error);
    if (display.style == PROGRESS_BAR)
        fputc('\n', stderr);
    return report(error);
}

static int run_unpack(char **args)
{
    struct display display = {.style = PROGRESS_NONE};
    if (!args[0] || !args[1] || args[2])
        return misused("unpack takes a tar and a directory");
    g_autoptr(GError) error = NULL;
    auto_fd int fd = open(args[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        gidfs_error_errno(&error, errno, "%s", args[1]);
    else
        layer_tar_unpack(args[0], fd, show_progress, &display, &error);
    return report(error);
}

static int run_remove(char **args)
{
    if (!args[0] || args[1])
        return misused("remove takes one directory");
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_canonicalize_filename(args[0], NULL);
    g_autofree char *parent = g_path_get_dirname(path), *name = g_path_get_basename(path);
    auto_fd int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : remove_tree(fd, name);
    if (r == -EXDEV)
        gidfs_error(&error, EBUSY, "%s: something is mounted there or below; unmount it first", path);
    else if (r < 0)
        gidfs_error_errno(&error, r, "remove %s", path);
    return report(error);
}

/* A deep tree of many layers needs a descriptor for each level of each. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(char **args);
    } commands[] = {{"flatten", run_flatten}, {"unpack", run_unpack}, {"remove", run_remove}};

    log_setup("gidfs-rootfs", LOG_LEVEL_INFO);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    umask(0);
    raise_fd_limit();

    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)
        return fputs(usage, stdout) == EOF;
    if (strcmp(command, "--version") == 0)
        return puts("gidfs-rootfs " GIDFS_VERSION) == EOF;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (strcmp(command, commands[i].name) == 0)
            return commands[i].run(argv + 2);
    return misused(*command ? "unknown command" : "no command");
}
