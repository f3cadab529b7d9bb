/* SPDX-License-Identifier: Apache-2.0 */
/* Views of volumes. */
#include "core/view_options.h"
#include "mounts/registry_private.h"
#include "mounts/view_process.h"
#include "sys/fuse_abort.h"

#include <errno.h>
#include <signal.h>

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

static struct view_process process_of(struct volume *volume)
{
    return (struct view_process){
        .kind = "volume",
        .name = volume->row->name,
        .path = volume->view,
        .control = volume->control,
        .key = volume->row->id,
        .keeper_pid = &volume->keeper_pid,
    };
}

int view_mount(struct registry *registry, struct volume *volume, GError **error)
{
    const struct view_process view = process_of(volume);
    g_autofree char *options = options_of(volume);
    return view_process_start(registry, &view, options, volume->row->source, error);
}

int view_unmount(struct registry *registry, struct volume *volume, bool force, GError **error)
{
    const struct view_process view = process_of(volume);
    return view_process_stop(registry, &view, force, error);
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

bool view_is_alive(struct registry *registry, struct volume *volume)
{
    const struct view_process view = process_of(volume);
    return view_process_is_alive(registry, &view);
}
