/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of volumes: starting gidfs-view for one and taking one down.
 *
 * gidfs-view returns when its view is usable; from then on the view does not need the service. A start that fails or
 * takes too long leaves nothing mounted.
 */
#include "base/fault.h"
#include "base/log.h"
#include "core/view_options.h"
#include "mounts/registry_private.h"
#include "sys/fuse_abort.h"
#include "sys/launch.h"
#include "sys/mount_api.h"
#include "sys/unix_peer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <unistd.h>

#define VIEW_START_TIMEOUT_MS 30000
#define KEEPER_END_TIMEOUT_MS 300

static char *options_of(const struct volume *volume)
{
    const struct table_volume *row = volume->row;
    struct view_options options = {
        .has_gid = true,
        .view_gid = row->view_gid,
        .policy = row->policy,
        .chgrp = row->chgrp,
        .cache = row->cache,
        .control = volume->control,
        .source_nofollow = true, /* its owner may put a link there after we looked */
        .flags = VIEW_NOSUID | VIEW_NODEV | (row->read_only ? VIEW_READ_ONLY : 0),
    };
    return view_options_to_string(&options);
}

/*
 * Who listens on the control socket is the keeper: finds out who that is, and hears of its end from now on. For moments
 * a worker may keep the socket of a keeper that is dead: that is as good as nobody.
 */
static int find_keeper(struct registry *registry, struct volume *volume)
{
    pid_t pid = 0;
    int r = unix_peer_pid(volume->control, &pid);
    if (r == 0 && process_watch_add(registry->keepers, volume->row->id, pid) == -ESRCH)
        r = -ECONNREFUSED;
    g_atomic_int_set(&volume->keeper_pid, r == 0 ? pid : 0);
    return r;
}

int view_mount(struct registry *registry, struct volume *volume, GError **error)
{
    g_autofree char *options = options_of(volume);
    const char *argv[] = {registry->view_program, "-o", options, volume->row->source, volume->view, NULL};

    if (g_mkdir(volume->view, 0755) < 0 && errno != EEXIST)
        return gidfs_error_errno(error, errno, "make %s", volume->view);
    g_unlink(volume->control);
    FAULT_POINT("view-mount-before");
    int r = launch_program(argv, VIEW_START_TIMEOUT_MS, error);
    FAULT_POINT("view-mount-after");
    if (r < 0) {
        g_prefix_error(error, "volume \"%s\": its view of %s cannot be mounted: ", volume->row->name,
                       volume->row->source);
        mount_unmount(volume->view, 0, MOUNT_UNMOUNT_DETACH, NULL); /* one that came too late */
        g_rmdir(volume->view);
        return r;
    }
    find_keeper(registry, volume);
    return 0;
}

/*
 * The keeper of an unmounted view ends when its last mount and its last open file are gone, as a rule at once: it is
 * given the time, so that a gid that nobody holds does not look held. Nobody needs to hear of that end.
 */
static void await_end(struct registry *registry, struct volume *volume)
{
    process_watch_remove(registry->keepers, volume->row->id);
    if (volume->keeper_pid)
        process_wait_end(volume->keeper_pid, KEEPER_END_TIMEOUT_MS);
    g_atomic_int_set(&volume->keeper_pid, 0);
}

/* A view that is not mounted any more is as good as unmounted. */
int view_unmount(struct registry *registry, struct volume *volume, bool force, GError **error)
{
    g_autoptr(GError) problem = NULL;

    int r = mount_unmount(volume->view, 0, force ? MOUNT_UNMOUNT_DETACH : MOUNT_UNMOUNT_PLAIN, &problem);
    if (r == -EBUSY)
        return refuse(error, REFUSAL_BUSY,
                      "volume \"%s\" is busy: a process uses a file or directory in %s; end it, or use force",
                      volume->row->name, volume->view);
    if (r < 0 && r != -EINVAL && r != -ENOENT) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return r;
    }
    await_end(registry, volume);
    if (g_rmdir(volume->view) < 0 && errno != ENOENT)
        log_warning("%s: it cannot be removed: %s", volume->view, g_strerror(errno));
    return 0;
}

int view_abort(struct registry *registry, struct volume *volume, GError **error)
{
    int r = fuse_abort(volume->view);
    if (r < 0 && r != -EINVAL && r != -ENOENT)
        return gidfs_error_errno(error, r, "volume \"%s\": abort %s", volume->row->name, volume->view);
    if (volume->keeper_pid) /* it leads the group of its worker; a stopped or hung one would stay for ever */
        kill(-volume->keeper_pid, SIGKILL);
    return view_unmount(registry, volume, true, error);
}

/* Where there is no control socket nothing is known against it. */
bool view_is_alive(struct registry *registry, struct volume *volume)
{
    return find_keeper(registry, volume) != -ECONNREFUSED;
}
