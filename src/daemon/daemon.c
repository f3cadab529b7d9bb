/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the service: configuration, table, socket, READY, then a main loop for signals and notifications, and an
 * orderly end that leaves all views up (behaviour C12).
 *
 * The main thread runs the loop; requests are handled by the API's threads. Everything that they share is in the
 * registry and the api, which have their own locks.
 */
#include "daemon/daemon.h"

#include "api/server.h"
#include "daemon/restart.h"
#include "sys/notify.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_PATIENCE_MS   10000 /* after that READY is told, and the rest of the views comes up in the background */
#define STOP_PATIENCE_S     10
#define RESTART_DELAY_MS    300
#define QUARANTINE_REVIEW_S 15 /* nothing tells when a process has left a group */

struct daemon {
    const struct config_flags *flags;
    struct config *config;
    struct registry *registry;
    struct api *api;
    struct api_server *server;
    GMainLoop *loop;
    bool is_restarting;
};

static struct registry_settings settings_of(const struct config *config)
{
    return (struct registry_settings){
        .state_dir = config->state_dir,
        .run_dir = config->run_dir,
        .gid_ranges = config->gid_ranges,
        .subid_ranges = config->subid_ranges,
        .reuse_last = config->reuse_last,
        .exclusive_warns = config->exclusive_warns,
    };
}

static void warn_of_overlaps(struct daemon *daemon)
{
    GStrv warnings = config_overlaps(daemon->config);
    for (char **warning = warnings; *warning; warning++)
        log_warning("%s", *warning);
    api_set_warnings(daemon->api, warnings);
}

static void tell_manager(const char *state)
{
    int r = notify_manager(state);
    if (r < 0)
        log_warning("the service manager cannot be told %s: %s", state, g_strerror(-r));
}

static gboolean on_end(void *data)
{
    struct daemon *daemon = data;
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_REMOVE;
}

static gboolean on_restart(void *data)
{
    struct daemon *daemon = data;
    daemon->is_restarting = true;
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_REMOVE;
}

/* Asked by a request, in a thread of the API: it is given the time to get its answer. */
static bool ask_restart(void *data)
{
    if (!restart_is_needed())
        return false;
    g_timeout_add(RESTART_DELAY_MS, on_restart, data);
    return true;
}

/* A configuration that makes no sense leaves the old one in force. */
static gboolean on_reload(void *data)
{
    struct daemon *daemon = data;
    g_autoptr(config_handle) config = NULL;
    g_autoptr(GError) error = NULL;

    tell_manager("RELOADING=1");
    int r = config_read(daemon->flags, &config, &error);
    if (r == 0) {
        struct registry_settings settings = settings_of(config);
        r = registry_reconfigure(daemon->registry, &settings, &error);
    }
    if (r < 0) {
        log_error("the configuration is left as it was: %s", error->message);
    } else {
        log_set_level(config->log_level);
        api_server_set_read_group(daemon->server, config->read_group);
        config_free(daemon->config);
        daemon->config = g_steal_pointer(&config);
        warn_of_overlaps(daemon);
        log_info("the configuration was read again");
    }
    tell_manager("READY=1");
    return G_SOURCE_CONTINUE;
}

static gboolean on_sources(int fd, GIOCondition condition, void *data)
{
    struct daemon *daemon = data;
    registry_look_at_sources(daemon->registry);
    return G_SOURCE_CONTINUE;
}

static gboolean on_keepers(int fd, GIOCondition condition, void *data)
{
    struct daemon *daemon = data;
    registry_look_at_keepers(daemon->registry);
    return G_SOURCE_CONTINUE;
}

static gboolean on_review(void *data)
{
    struct daemon *daemon = data;
    gid_review_quarantine(daemon->registry);
    return G_SOURCE_CONTINUE;
}

static void watch_all(struct daemon *daemon)
{
    g_unix_signal_add(SIGTERM, on_end, daemon);
    g_unix_signal_add(SIGINT, on_end, daemon);
    g_unix_signal_add(SIGHUP, on_reload, daemon);
    g_unix_fd_add(registry_sources_fd(daemon->registry), G_IO_IN, on_sources, daemon);
    g_unix_fd_add(registry_keepers_fd(daemon->registry), G_IO_IN, on_keepers, daemon);
    g_timeout_add_seconds(QUARANTINE_REVIEW_S, on_review, daemon);
}

/* Ten thousand views take as many descriptors here for some moments; the soft limit is for programs that select(). */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start(struct daemon *daemon, GError **error)
{
    int r = config_read(daemon->flags, &daemon->config, error);
    if (r < 0)
        return r;
    log_set_level(daemon->config->log_level);
    struct registry_settings settings = settings_of(daemon->config);
    r = registry_open(&settings, &daemon->registry, error);
    if (r < 0)
        return r;
    daemon->api = api_new(daemon->registry);
    daemon->api->restart = ask_restart;
    daemon->api->restart_data = daemon;
    warn_of_overlaps(daemon);
    registry_start(daemon->registry, START_PATIENCE_MS);
    g_autofree char *socket_path = g_build_filename(registry_run_dir(daemon->registry), "gidfs.sock", NULL);
    r = api_server_start(daemon->api, socket_path, daemon->config->read_group, &daemon->server, error);
    if (r == 0)
        log_info("ready: %s, gids %s", socket_path, daemon->config->gid_ranges);
    return r;
}

/* A request that hangs must not keep the service from ending: what it was doing is in the table. */
static void *end_anyway(void *data)
{
    g_usleep(STOP_PATIENCE_S * G_USEC_PER_SEC);
    log_warning("a request did not end within %d s; ending without it", STOP_PATIENCE_S);
    _exit(EXIT_SUCCESS);
    return NULL;
}

static void stop(struct daemon *daemon)
{
    if (daemon->server) {
        tell_manager(daemon->is_restarting ? "RELOADING=1" : "STOPPING=1");
        g_thread_unref(g_thread_new("end", end_anyway, NULL));
    }
    api_server_stop(daemon->server);
    api_free(daemon->api);
    registry_close(daemon->registry);
    config_free(daemon->config);
    g_main_loop_unref(daemon->loop);
}

int daemon_run(const struct config_flags *flags)
{
    struct daemon daemon = {.flags = flags};
    g_autoptr(GError) error = NULL;

    signal(SIGPIPE, SIG_IGN);
    umask(022);
    raise_limits();
    daemon.loop = g_main_loop_new(NULL, FALSE);
    int r = start(&daemon, &error);
    if (r == 0) {
        watch_all(&daemon);
        tell_manager("READY=1");
        g_main_loop_run(daemon.loop);
        log_info("%s; views stay up", daemon.is_restarting ? "starting anew" : "ending");
    } else {
        log_error("%s", error->message);
    }
    stop(&daemon);
    if (daemon.is_restarting) {
        r = restart_now();
        log_error("the new program cannot be started: %s", g_strerror(-r));
    }
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
