/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts/view_process.h"

#include "base/fault.h"
#include "base/log.h"
#include "mounts/registry_private.h"
#include "sys/launch.h"
#include "sys/mount_api.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <glib/gstdio.h>

#define VIEW_START_TIMEOUT_MS 30000
#define KEEPER_END_TIMEOUT_MS 300

/* It is given the time to end, as a rule at once. */
static void await_keeper(const struct view_process *view)
{
    pid_t pid = g_atomic_int_get(view->keeper_pid);
    if (pid)
        process_wait_end(pid, KEEPER_END_TIMEOUT_MS);
}

/*
 * Who listens on the control socket is the keeper. For moments a worker may keep the socket of a keeper that is dead:
 * that is as good as nobody. Where there is no socket nothing is known against the view.
 */
bool view_process_is_alive(struct registry *registry, const struct view_process *view)
{
    pid_t pid = 0;
    int r = unix_peer_pid(view->control, &pid);
    if (r == 0 && process_watch_add(registry->keepers, view->key, pid) == -ESRCH)
        r = -ECONNREFUSED;
    g_atomic_int_set(view->keeper_pid, r == 0 ? pid : 0);
    return r != -ECONNREFUSED;
}

int view_process_start(struct registry *registry, const struct view_process *view, const char *options,
                       const char *source, GError **error)
{
    const char *program = registry->view_program;
    const char *of_source[] = {program, "-o", options, source, view->path, NULL};
    const char *of_layers[] = {program, "-o", options, view->path, NULL};
    await_keeper(view); /* of a view that somebody unmounted: until its end it has the control socket */
    if (g_mkdir(view->path, 0755) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "make %s", view->path);
    g_unlink(view->control);
    FAULT_POINT("view-mount-before");
    int r = launch_program(source ? of_source : of_layers, VIEW_START_TIMEOUT_MS, error);
    FAULT_POINT("view-mount-after");
    if (r == 0) {
        view_process_is_alive(registry, view);
        return 0;
    }
    g_prefix_error(error, "%s \"%s\": its view%s%s cannot be mounted: ", view->kind, view->name, source ? " of " : "",
                   source ? source : "");
    mount_unmount(view->path, 0, MOUNT_UNMOUNT_DETACH, NULL); /* one that came too late */
    g_rmdir(view->path);
    return r;
}

/*
 * The keeper of an unmounted view ends when its last mount and its last open file are gone. It is waited for, so that a
 * gid that nobody holds does not look held. Nobody needs to hear of that end.
 */
int view_process_stop(struct registry *registry, const struct view_process *view, bool force, GError **error)
{
    g_autoptr(GError) problem = NULL;

    int r = mount_unmount(view->path, 0, force ? MOUNT_UNMOUNT_DETACH : MOUNT_UNMOUNT_PLAIN, &problem);
    if (r == -EBUSY)
        return refuse(error, REFUSAL_BUSY, "%s \"%s\" is busy: a process, or a mount, is in %s; end it, or use force",
                      view->kind, view->name, view->path);
    if (r < 0 && r != -EINVAL && r != -ENOENT) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return r;
    }
    process_watch_remove(registry->keepers, view->key);
    await_keeper(view);
    g_atomic_int_set(view->keeper_pid, 0);
    if (g_rmdir(view->path) < 0 && errno != ENOENT)
        log_warning("%s: it cannot be removed: %s", view->path, g_strerror(errno));
    return 0;
}
