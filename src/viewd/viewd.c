/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the command line to a mounted view: checks, the memory, the connection, the mount, and the process that stays.
 */
#include "viewd/viewd.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/message.h"
#include "sys/fuse_dev.h"
#include "sys/inode_fd.h"
#include "sys/source_tree.h"
#include "viewd/checks.h"
#include "viewd/control.h"
#include "viewd/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define N_INODES_DEFAULT (16U * 1024 * 1024)

struct setup {
    const struct viewd_request *request;
    char *source, *mountpoint; /* resolved */
    struct layers *layers;     /* of a layered view */
    struct memory memory;
    int control_fd;  /* -1: none */
    int upgrader_fd; /* -1: none */
    uint64_t started_ms;
};

static void make_absolute(char **path, const char *directory)
{
    if (!*path || g_path_is_absolute(*path))
        return;
    char *absolute = g_build_filename(directory, *path, NULL);
    g_free(*path);
    *path = absolute;
}

void viewd_make_absolute(struct view_options *options)
{
    g_autofree char *directory = g_get_current_dir();
    for (size_t i = 0; i < options->n_lower_dirs; i++)
        make_absolute(&options->lower_dirs[i], directory);
    make_absolute(&options->upper_dir, directory);
    make_absolute(&options->work_dir, directory);
}

static int open_layers(struct setup *s, GError **error)
{
    struct memory_header *header = s->memory.header;
    int r = layers_open(s->request->options, &s->layers, error);
    if (r < 0)
        return r;
    header->root_fd = layers_top_fd(s->layers);
    header->tree_fd = -1;
    r = source_state_init(s->memory.source, header->root_fd);
    return r < 0 ? gidfs_error_errno(error, r, "read the layers") : 0;
}

static int open_source(struct setup *s, GError **error)
{
    struct memory_header *header = s->memory.header;
    if (s->request->options->n_lower_dirs > 0)
        return open_layers(s, error);
    int r = source_tree_open_nofollow(s->source, &header->tree_fd);
    if (r < 0)
        return gidfs_error_errno(error, r, "open the source %s", s->source);
    header->root_fd = r;
    r = source_state_init(s->memory.source, header->root_fd);
    return r < 0 ? gidfs_error_errno(error, r, "read the source %s", s->source) : 0;
}

static int mount_view(struct setup *s, GError **error)
{
    const struct view_options *options = s->request->options;
    int fd = fuse_dev_open(error);
    if (fd < 0)
        return fd;
    s->memory.header->dev_fd = fd;
    struct fuse_dev_mount mount = {
        .source = options->fsname      ? options->fsname
                  : s->source          ? s->source
                  : s->request->source ? s->request->source
                                       : "gidfs",
        .mountpoint = s->mountpoint,
        .flags = options->flags,
    };
    return fuse_dev_mount(fd, &mount, error);
}

/*
 * Where file handles can't be opened, each inode that the kernel knows takes a descriptor: as many are known as there
 * may be descriptors, but for a quarter that other things need, and the kernel is asked to forget in time (pressure.h).
 */
static void limit_inodes(struct memory *memory)
{
    struct rlimit limit;
    if (memory->source->handles || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    rlim_t n_max = limit.rlim_cur - limit.rlim_cur / 4;
    memory->inodes->n_records_max = (uint32_t)MIN(n_max, memory->inodes->n_records_max);
}

static int open_control(struct setup *s, GError **error)
{
    if (!s->request->options->control)
        return 0;
    int fd = control_bind(s->request->options->control, error);
    if (fd < 0)
        return fd;
    s->control_fd = fd;
    return 0;
}

/* The soft limit is for programs that select(): there are to be as many descriptors as there may be. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int prepare(struct setup *s, GError **error)
{
    const struct viewd_request *request = s->request;
    uint32_t n_inodes = request->options->max_inodes ? request->options->max_inodes : N_INODES_DEFAULT;
    bool layered = request->options->n_lower_dirs > 0; /* a source is then no more than a name */
    raise_fd_limit();
    int r = checks_resolve(layered ? NULL : request->source, request->options->source_nofollow, request->mountpoint,
                           &s->source, &s->mountpoint, error);
    if (r == 0 && layered)
        r = checks_layers(request->options, s->mountpoint, error);
    if (r == 0) {
        r = inode_fd_init();
        if (r < 0)
            gidfs_error_errno(error, r, "/proc is needed");
    }
    if (r == 0)
        r = memory_create(n_inodes, &s->memory, error);
    if (r == 0)
        r = open_source(s, error);
    if (r == 0)
        limit_inodes(&s->memory);
    if (r == 0)
        r = open_control(s, error);
    if (r == 0)
        r = mount_view(s, error);
    return r;
}

/* Leaves the terminal: no controlling terminal, no descriptor of the caller, no working directory. */
static void become_daemon(void)
{
    setsid();
    if (chdir("/") < 0)
        log_warning("cannot leave the working directory");
    auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    log_to_syslog();
}

static int keep(const struct setup *s, int ready_fd)
{
    struct keeper_config config = {.options = s->request->options,
                                   .layers = s->layers,
                                   .memory = (struct memory *)&s->memory,
                                   .source = s->source,
                                   .mountpoint = s->mountpoint,
                                   .ready_fd = ready_fd,
                                   .control_fd = s->control_fd,
                                   .foreground = s->request->foreground,
                                   .started_ms = s->started_ms,
                                   .upgrader_fd = s->upgrader_fd};
    return keeper_run(&config);
}

/* Waits for the byte that says "usable"; anything else is a message. */
static int await_ready(const struct setup *s, int fd, GError **error)
{
    char answer[1024];
    ssize_t n;
    do
        n = read(fd, answer, sizeof(answer));
    while (n < 0 && errno == EINTR);
    if (n > 0 && answer[0] == '\0')
        return 0;
    if (n > 0)
        return gidfs_error(error, EIO, "%.*s", (int)n, answer);
    return gidfs_error(error, EIO, "the server of the view at %s ended before it was ready", s->mountpoint);
}

/* Starts the keeper in a process of its own and waits until the view is usable. */
static int start_keeper(const struct setup *s, GError **error)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return gidfs_error_errno(error, errno, "make a pipe");
    pid_t pid = fork();
    if (pid < 0)
        return gidfs_error_errno(error, errno, "start the keeper of the view");
    if (pid == 0) {
        fd_close(ready[0]);
        become_daemon();
        _exit(keep(s, ready[1]));
    }
    fd_close(ready[1]);
    int r = await_ready(s, ready[0], error);
    fd_close(ready[0]);
    return r;
}

int viewd_mount(const struct viewd_request *request)
{
    g_autoptr(GError) error = NULL;
    struct setup s = {.request = request, .control_fd = -1, .upgrader_fd = -1};
    int r = prepare(&s, &error), status = EXIT_FAILURE;
    if (r == 0 && request->foreground) {
        status = keep(&s, -1);
    } else if (r == 0) {
        r = start_keeper(&s, &error);
        status = r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (r < 0)
            fuse_dev_unmount(s.mountpoint);
    }
    if (status != EXIT_SUCCESS && s.control_fd >= 0)
        unlink(request->options->control);
    if (error)
        message_print(request->program, error->message);
    layers_free(s.layers);
    g_free(s.source);
    g_free(s.mountpoint);
    return status;
}

/* Of a layered view, the layers are opened again: the memory holds keys, which mean the same by any descriptor. */
static int attach(struct setup *s, int memory_fd, GError **error)
{
    int r = memory_attach(memory_fd, &s->memory, error);
    if (r == 0 && s->request->options->n_lower_dirs > 0)
        r = layers_open(s->request->options, &s->layers, error);
    return r;
}

int viewd_take_over(const struct viewd_request *request, const struct viewd_takeover *from)
{
    g_autoptr(GError) error = NULL;
    struct setup s = {.request = request,
                      .source = (char *)request->source,
                      .mountpoint = (char *)request->mountpoint,
                      .control_fd = from->control_fd,
                      .upgrader_fd = from->upgrader_fd,
                      .started_ms = from->started_ms};
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (!request->foreground)
        log_to_syslog();
    if (attach(&s, from->memory_fd, &error) < 0) {
        log_error("cannot take over the view at %s: %s", s.mountpoint, error->message);
        return EXIT_FAILURE;
    }
    return keep(&s, -1);
}

int viewd_check_takeover(const struct viewd_request *request, int memory_fd)
{
    g_autoptr(GError) error = NULL;
    if (memory_check(memory_fd, &error) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "%s\n", error->message);
    return EXIT_FAILURE;
}
