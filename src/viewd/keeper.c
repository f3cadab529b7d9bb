/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper. It does as little as possible: what is not done here cannot fail here.
 *
 * Worker and keeper share one table of descriptors (clone(CLONE_FILES)), so whatever a worker had opened stays open
 * when it dies, unlinked files included, under the numbers that the memory notes. A view is never given up because its
 * workers die; a worker that cannot even start is tried again ever more slowly.
 */
#include "viewd/keeper.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/program_path.h"
#include "sys/fuse_abort.h"
#include "sys/fuse_dev.h"
#include "sys/inode_fd.h"
#include "sys/share_fds.h"
#include "viewd/control.h"
#include "viewd/fds.h"
#include "viewd/listeners.h"
#include "viewd/stats.h"
#include "viewd/upgrade.h"
#include "viewd/watchdog.h"
#include "viewd/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETRY_FIRST_MS 10
#define RETRY_LAST_MS  1000
#define STOP_MS        1000 /* for the requests in work, at an upgrade */
#define EXIT_STOPPED   3    /* of a worker that was asked to stop */
#define N_FDS_RESERVED 8192 /* of 8 bytes in the kernel each */

struct keeper {
    const struct keeper_config *config;
    pid_t worker; /* 0: none right now */
    int signal_fd;
    int dev_fd;
    int retry_ms;
    uint64_t started_ms;
    struct control *control;     /* NULL: none */
    struct listeners *listeners; /* NULL: nobody asks for them */
    GArray *own_fds;             /* those that no worker opened */
    struct watchdog watchdog;
    struct upgrade upgrade;
    uint64_t stop_by_ms; /* when a worker that was asked to stop is killed */
    bool aborted;
};

/* Why there is no view, to whoever waits for it; or to the log. */
static void report(const struct keeper *k, const GError *error)
{
    bool waited_for = k->config->ready_fd >= 0 && !atomic_load(&k->config->memory->header->served);
    if (!waited_for || write(k->config->ready_fd, error->message, strlen(error->message)) < 0)
        log_error("the view at %s: %s", k->config->mountpoint, error->message);
}

static void worker_main(const struct keeper *k)
{
    g_autoptr(GError) error = NULL;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of a terminal's Ctrl-C: the keeper unmounts */
    prctl(PR_SET_NAME, "gidfs-worker");
#ifdef GIDFS_FAULTS
    fault_obey(&k->config->memory->header->fault);
#endif
    int r = worker_run(k->config->options, k->config->layers, k->config->memory, k->config->ready_fd, &error);
    if (r == -EINTR)
        _exit(EXIT_STOPPED);
    if (r < 0)
        report(k, error);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* What is left open of a dead worker must be cleared up while nobody opens anything. */
static void clear_up_fds(const struct keeper *k)
{
    int control_fds[CONTROL_MAX_FDS];
    g_autoptr(GArray) own = g_array_copy(k->own_fds);
    if (k->control)
        g_array_append_vals(own, control_fds, control_get_fds(k->control, control_fds));
    fds_close_unnoted(k->config->memory, own);
}

static int start_worker(struct keeper *k)
{
    if (atomic_fetch_add(&k->config->memory->header->n_workers, 1) > 0)
        clear_up_fds(k);
    long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        worker_main(k);
    if (pid < 0)
        return -errno;
    k->worker = (pid_t)pid;
    watchdog_start(&k->watchdog);
    return 0;
}

static void start_worker_at_last(struct keeper *k)
{
    for (int r; (r = start_worker(k)) < 0; poll(NULL, 0, RETRY_LAST_MS))
        log_error("cannot start a server for the view at %s: %s", k->config->mountpoint, g_strerror(-r));
}

/* How much an end tells against the requests that were in work. */
static uint32_t weight_of(int status)
{
    bool killed = WIFEXITED(status) || WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM;
    return killed ? TRANSPORT_WEIGHT_KILLED : TRANSPORT_WEIGHT_CRASHED;
}

/* What is to be done after a worker's end: 0 nothing (the view is gone), 1 start another. */
static int judge_end(struct keeper *k, int status)
{
    bool served = atomic_load(&k->config->memory->header->served);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (!served)
        return -EIO;
    if (k->upgrade.state == UPGRADE_STOPPING || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_STOPPED))
        return 1;
    if (WIFSIGNALED(status)) {
        log_warning("the server of the view at %s was ended by signal %d; another takes over", k->config->mountpoint,
                    WTERMSIG(status));
        k->retry_ms = 0;
    } else { /* it could not take over: not at once again */
        k->retry_ms = k->retry_ms ? MIN(k->retry_ms * 2, RETRY_LAST_MS) : RETRY_FIRST_MS;
        poll(NULL, 0, k->retry_ms);
    }
    return 1;
}

static struct upgrade_view describe_view(const struct keeper *k, const char *options)
{
    return (struct upgrade_view){
        .options = options,
        .source = k->config->source,
        .mountpoint = k->config->mountpoint,
        .foreground = k->config->foreground,
        .control_fd = k->control ? control_listen_fd(k->control) : -1,
        .client_fd = k->control ? control_client_fd(k->control, k->upgrade.client) : -1,
        .started_ms = k->started_ms,
    };
}

/* Answers whoever asked for the upgrade, and forgets it. */
static void fail_upgrade(struct keeper *k, const GError *error)
{
    g_autofree char *answer = g_strdup_printf("error: %s", error->message);
    log_warning("the view at %s is not upgraded: %s", k->config->mountpoint, error->message);
    control_answer(k->control, k->upgrade.client, answer);
    upgrade_end(&k->upgrade);
}

/* The new program can take over: the old worker is to let go. */
static void handle_checker(struct keeper *k, int status)
{
    g_autoptr(GError) error = NULL;
    if (upgrade_judge(&k->upgrade, status, &error) < 0) {
        fail_upgrade(k, error);
        return;
    }
    k->upgrade.state = UPGRADE_STOPPING;
    k->stop_by_ms = stats_now_ms() + STOP_MS;
    kill(k->worker, SIGTERM);
    kill(k->worker, SIGCONT); /* if somebody has stopped it */
}

/* With no worker running: becomes the new program. Goes on with the old one if that fails. */
static void upgrade_now(struct keeper *k)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *options = view_options_to_string(k->config->options);
    struct upgrade_view view = describe_view(k, options);
    log_info("the view at %s goes on with %s", k->config->mountpoint, k->upgrade.program);
    upgrade_exec(&k->upgrade, &view, k->config->memory, &error);
    fail_upgrade(k, error);
}

/* 1: go on; 0: the view is gone; negative: it never was. */
static int handle_worker_end(struct keeper *k, int status)
{
    k->config->memory->transport->death_weight = weight_of(status);
    k->worker = 0;
    int r = judge_end(k, status);
    if (r <= 0)
        return r;
    if (k->upgrade.state == UPGRADE_STOPPING)
        upgrade_now(k);
    start_worker_at_last(k);
    return 1;
}

static int handle_child(struct keeper *k)
{
    int status;
    pid_t checker = k->upgrade.state == UPGRADE_CHECKING ? k->upgrade.checker : 0;
    if (checker > 0 && waitpid(checker, &status, WNOHANG) == checker)
        handle_checker(k, status);
    if (waitpid(k->worker, &status, WNOHANG | WUNTRACED | WCONTINUED) != k->worker)
        return 1;
    if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
        if (WIFSTOPPED(status))
            log_warning("the server of the view at %s was stopped by signal %d", k->config->mountpoint,
                        WSTOPSIG(status));
        watchdog_note_stop(&k->watchdog, WIFSTOPPED(status));
        return 1;
    }
    return handle_worker_end(k, status);
}

static int handle_signals(struct keeper *k)
{
    struct signalfd_siginfo info;
    int r = 1;
    while (r > 0 && read(k->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            r = handle_child(k);
        else
            fuse_dev_unmount(k->config->mountpoint); /* the worker ends when the last user is gone */
    }
    return r;
}

static int watch_signals(struct keeper *k)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (k->signal_fd < 0)
        return -errno;
    return 0;
}

#ifdef GIDFS_FAULTS
/* "fault NAME SIGNAL TIMES", in a build for tests */
static char *order_fault(const struct keeper *k, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    if (g_strv_length(words) != 4)
        return g_strdup("error: fault NAME SIGNAL TIMES");
    fault_give_order(&k->config->memory->header->fault, words[1], atoi(words[2]), (unsigned)atoi(words[3]));
    return g_strdup("ok");
}
#endif

static char *answer_stats(const struct keeper *k)
{
    struct stats_view view = {
        .options = k->config->options,
        .source = k->config->source,
        .mountpoint = k->config->mountpoint,
        .keeper_pid = getpid(),
        .worker_pid = k->worker,
        .started_ms = k->started_ms,
    };
    return stats_to_json(&view, k->config->memory);
}

/* Gives the view up: whoever waits for an answer gets an error now, whatever the worker is doing. */
static char *answer_abort(struct keeper *k)
{
    log_warning("the view at %s is given up on request", k->config->mountpoint);
    kill(k->worker, SIGKILL);
    k->config->memory->header->dev_fd = fd_close(k->dev_fd);
    clear_up_fds(k); /* the worker's copy too: without the last of them the kernel ends the connection */
    fuse_abort(k->config->mountpoint); /* the notifier of a watch may be inside the kernel with one */
    fuse_dev_unmount(k->config->mountpoint);
    k->aborted = true;
    return g_strdup("ok");
}

static char *answer_upgrade(struct keeper *k, const char *path, control_client client)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = *path ? g_strdup(path) : program_path("gidfs-view");
    g_autofree char *options = view_options_to_string(k->config->options);
    struct upgrade_view view = describe_view(k, options);
    if (*path && *path != '/')
        return g_strdup("error: upgrade: an absolute path is needed");
    if (upgrade_begin(&k->upgrade, program, client, &view, k->config->memory, &error) < 0)
        return g_strdup_printf("error: %s", error->message);
    return NULL;
}

static char *answer_control(void *data, char *line, control_client client)
{
    struct keeper *k = data;
    if (strcmp(line, "ping") == 0)
        return g_strdup("ok");
    if (strcmp(line, "stats") == 0)
        return answer_stats(k);
    if (strcmp(line, "abort") == 0)
        return answer_abort(k);
    if (strcmp(line, "upgrade") == 0 || g_str_has_prefix(line, "upgrade "))
        return answer_upgrade(k, g_strstrip(line + strlen("upgrade")), client);
#ifdef GIDFS_FAULTS
    if (g_str_has_prefix(line, "fault "))
        return order_fault(k, line);
#endif
    return g_strdup("error: unknown command: ping, stats, upgrade and abort are known");
}

static bool may_be_listened_to(const struct keeper *k)
{
    return k->config->options->cache == VIEW_CACHE_AUTO && !k->config->layers;
}

static int prepare(struct keeper *k)
{
    int r = watch_signals(k);
    if (r == 0 && k->config->control_fd >= 0) {
        k->control = control_new(k->config->control_fd, answer_control, k);
        r = k->control ? 0 : -ENFILE;
    }
    if (r == 0 && may_be_listened_to(k))
        k->listeners = listeners_new(&k->config->memory->header->watch.echo, k->config->mountpoint);
    k->own_fds = r == 0 ? fds_unnoted(k->config->memory) : NULL;
    return r == 0 && !k->own_fds ? -EMFILE : r;
}

/* A worker runs again: whoever asked for the upgrade hears of it. */
static void answer_upgrader(struct keeper *k)
{
    control_client client;
    if (!k->control || k->config->upgrader_fd < 0)
        return;
    control_adopt_client(k->control, k->config->upgrader_fd, &client);
    control_answer(k->control, client, "ok " GIDFS_VERSION);
}

/* What is due by the clock. */
static void handle_time(struct keeper *k)
{
    if (k->upgrade.state == UPGRADE_STOPPING && stats_now_ms() >= k->stop_by_ms)
        kill(k->worker, SIGKILL);
    const char *why = watchdog_look(&k->watchdog, k->config->memory, k->dev_fd, k->worker);
    if (why) {
        log_error("the server of the view at %s is ended: %s", k->config->mountpoint, why);
        kill(k->worker, SIGKILL);
    }
}

static int timeout_ms(const struct keeper *k)
{
    uint64_t now_ms = stats_now_ms(), until_ms = k->watchdog.next_ms;
    if (k->upgrade.state == UPGRADE_STOPPING)
        until_ms = MIN(until_ms, k->stop_by_ms);
    if (k->listeners)
        until_ms = MIN(until_ms, listeners_due_ms(k->listeners));
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

/* Until the view is gone (0), or turns out never to have been (a negative errno). */
static int keep(struct keeper *k)
{
    struct pollfd fds[] = {{.fd = k->signal_fd, .events = POLLIN},
                           {.fd = k->control ? control_poll_fd(k->control) : -1, .events = POLLIN},
                           {.fd = k->listeners ? listeners_poll_fd(k->listeners) : -1, .events = POLLIN}};
    int go_on = 1;
    while (go_on > 0 && !k->aborted) {
        if (poll(fds, G_N_ELEMENTS(fds), timeout_ms(k)) > 0) {
            go_on = handle_signals(k);
            if (go_on > 0 && fds[1].revents)
                control_handle(k->control);
        }
        if (go_on > 0 && !k->aborted)
            handle_time(k);
        if (go_on > 0 && k->listeners)
            listeners_handle(k->listeners);
    }
    return go_on < 0 ? go_on : 0;
}

/* The socket at the path, 0 if there is none: a view that was mounted again has put its own there. */
static ino_t socket_inode(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

int keeper_run(const struct keeper_config *config)
{
    struct keeper k = {.config = config,
                       .dev_fd = config->memory->header->dev_fd,
                       .started_ms = config->started_ms ? config->started_ms : stats_now_ms()};
    struct sandbox_needs needs = worker_needs(config->options);
    sandbox_keeper(&needs);
    inode_fd_finish(); /* or workers could have the whole of /proc, by the descriptors that they share */
    int r = prepare(&k);
    ino_t own_socket = k.control ? socket_inode(config->options->control) : 0;
    if (r == 0) {
        share_fds_reserve(N_FDS_RESERVED, k.dev_fd);
        r = start_worker(&k);
    }
    if (r == 0) {
        answer_upgrader(&k);
        r = keep(&k);
    }
    listeners_free(k.listeners);
    if (k.control && socket_inode(config->options->control) == own_socket)
        unlink(config->options->control);
    control_free(k.control);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
