/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the steps of a recovery plan, by the same functions that the verbs use. A step names its row by id or name; a
 * row that is gone by now is a step that was taken.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "mounts/container_private.h"
#include "mounts/recovery_private.h"
#include "mounts/rootfs_private.h"
#include "sys/mount_api.h"
#include "sys/ns_enter.h"
#include "sys/ns_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>

/* The row as it is once the view is known to be up in this boot. */
static int record_view(struct registry *registry, struct volume *volume, bool is_new, GError **error)
{
    struct table_volume changed = *volume->row;
    changed.state = ROW_MOUNTED;
    changed.generation += is_new;
    changed.boot_id = registry->boot_id;
    if (changed.state == volume->row->state && !is_new && g_strcmp0(changed.boot_id, volume->row->boot_id) == 0)
        return 0;
    int r = table_volume_update(registry->table, &changed, error);
    if (r < 0)
        return r;
    volume->row->state = changed.state;
    volume->row->generation = changed.generation;
    g_free(volume->row->boot_id);
    volume->row->boot_id = g_strdup(registry->boot_id);
    return 0;
}

static int take_view_down(struct registry *registry, struct volume *volume, GError **error)
{
    GError *problem = NULL;
    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    int r = view_unmount(registry, volume, true, &problem);
    g_mutex_lock(&registry->lock);
    if (r == 0)
        volume->dead = false;
    operation_end(registry, volume, problem ? g_error_copy(problem) : NULL);
    if (problem)
        g_propagate_error(error, problem);
    return r;
}

static int apply_to_volume(struct registry *registry, const struct recovery_step *step, GError **error)
{
    struct volume *volume = NULL;
    struct volume_released released;
    if (registry_get_idle_volume(registry, step->name, &volume, NULL) < 0 || volume->row->id != step->row_id)
        return 0;
    if (step->action == RECOVERY_RELEASE)
        return volume_release(registry, volume, true, &released, error);
    if (step->action == RECOVERY_UNMOUNT)
        return take_view_down(registry, volume, error);
    int r = step->action == RECOVERY_MOUNT ? volume_bring_up(registry, volume, error) : 0;
    return r < 0 ? r : record_view(registry, volume, step->action == RECOVERY_MOUNT, error);
}

static struct attachment *idle_attachment(struct registry *registry, int64_t id)
{
    struct attachment *attachment;
    while ((attachment = g_hash_table_lookup(registry->attachments, &id)) && attachment->volume->operation) {
        g_autoptr(GError) ignored = NULL; /* it is told to who began it */
        bool created = false;
        operation_wait(registry, attachment->volume, &created, &ignored);
    }
    return attachment;
}

static bool is_known(const struct table_attachment *row, const struct table_attachment *changed)
{
    return row->state == changed->state && row->pid == changed->pid && row->mount_id == changed->mount_id &&
           g_strcmp0(row->target, changed->target) == 0 && g_strcmp0(row->boot_id, changed->boot_id) == 0;
}

/* What the kernel has of it, table first. As a rule the table knows: with a sync for each, a start takes minutes. */
static int record_attachment(struct registry *registry, struct attachment *attachment, enum row_state state,
                             const char *target, int mount_id, GError **error)
{
    struct table_attachment changed = *attachment->row;
    changed.state = state;
    changed.target = (char *)target;
    changed.mount_id = mount_id;
    changed.boot_id = registry->boot_id;
    pid_t pid; /* the process that was named may have ended, and others be in its namespace */
    if (changed.namespace && ns_find_process((uint64_t)changed.namespace, (pid_t)changed.pid, &pid) == 0)
        changed.pid = pid;
    if (is_known(attachment->row, &changed))
        return 0;
    int r = table_attachment_update(registry->table, &changed, error);
    if (r < 0)
        return r;
    attachment->row->state = state;
    attachment->row->pid = changed.pid;
    attachment->row->mount_id = mount_id;
    g_free(attachment->row->boot_id);
    attachment->row->boot_id = g_strdup(registry->boot_id);
    if (g_strcmp0(attachment->row->target, target) != 0)
        registry_move_attachment(registry, attachment, target);
    return 0;
}

static int mount_attachment(struct registry *registry, struct attachment *attachment, GError **error)
{
    int64_t id = attachment->row->id;
    int r = volume_bring_up(registry, attachment->volume, error);
    if (r < 0)
        return r;
    attachment = idle_attachment(registry, id);
    if (!attachment)
        return 0;
    r = record_attachment(registry, attachment, ROW_PREPARED, attachment->row->target, 0, error);
    if (r < 0)
        return r;
    struct container *container = attachment->row->inside ? container_find(registry, attachment->row->container) : NULL;
    if (container)
        return container_mount(registry, container->row, id, error);
    auto_fd int target_fd = -1;
    if (!attachment->row->namespace) {
        target_fd = open(attachment->row->target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (target_fd < 0)
            return gidfs_error_errno(error, errno, "open the target %s", attachment->row->target);
    }
    return attachment_mount(registry, attachment, target_fd, error);
}

static int apply_to_attachment(struct registry *registry, const struct recovery_step *step, GError **error)
{
    struct attachment *attachment = idle_attachment(registry, step->row_id);
    if (!attachment)
        return 0;
    if (step->action == RECOVERY_FORGET)
        return attachment_forget(registry, attachment, error);
    if (step->action == RECOVERY_MOUNT)
        return mount_attachment(registry, attachment, error);
    enum row_state state = step->action == RECOVERY_ADOPT ? ROW_MOUNTED : attachment->row->state;
    int r = record_attachment(registry, attachment, state, step->target, step->mount_id, error);
    if (r == 0 && step->action == RECOVERY_UNMOUNT)
        r = attachment_detach(registry, attachment, true, error);
    return r;
}

static int apply_to_container(struct registry *registry, const struct recovery_step *step, GError **error)
{
    struct container *container = container_find(registry, step->name);
    struct container_cleaned cleaned = {0};
    if (!container)
        return 0;
    container->busy = true; /* container_begin would wait for the end of the recovery */
    registry->n_container_verbs++;
    int r = container_take_down(registry, container, &cleaned, error);
    container_cleaned_clear(&cleaned);
    return r;
}

/* A mount without a row, or one whose row is to be mounted again: taken down where it is, without the lock. */
static int unmount_bare(struct registry *registry, const struct recovery_step *step, GError **error)
{
    const struct attachment *attachment =
        step->row_id ? g_hash_table_lookup(registry->attachments, &step->row_id) : NULL;
    pid_t pid = 0;
    if (attachment && attachment->row->namespace &&
        ns_find_process((uint64_t)attachment->row->namespace, (pid_t)attachment->row->pid, &pid) < 0)
        return 0; /* gone with its namespace */
    g_mutex_unlock(&registry->lock);
    int r = pid ? ns_mount_unmount(pid, step->target, step->mount_id, MOUNT_UNMOUNT_DETACH, error)
                : mount_unmount(step->target, step->mount_id, MOUNT_UNMOUNT_DETACH, error);
    if (r == 0 && !step->row_id)
        g_rmdir(step->target); /* in our own directory; it fails on anything that is not empty */
    g_mutex_lock(&registry->lock);
    return r;
}

static int mount_rootfs(struct registry *registry, struct rootfs *rootfs, GError **error)
{
    GError *problem = NULL;
    rootfs->busy = true;
    g_mutex_unlock(&registry->lock);
    int r = rootfs_mount(registry, rootfs, &problem);
    g_mutex_lock(&registry->lock);
    rootfs->dead = rootfs->dead && r < 0;
    g_free(rootfs->problem);
    rootfs->problem = problem ? g_strdup(problem->message) : NULL;
    rootfs_end(registry, rootfs);
    if (problem)
        g_propagate_error(error, problem);
    return r;
}

static int apply_to_rootfs(struct registry *registry, const struct recovery_step *step, GError **error)
{
    struct rootfs *rootfs = NULL;
    if (rootfs_get_idle(registry, step->name, &rootfs, NULL) < 0)
        return 0;
    if (step->action == RECOVERY_RELEASE)
        return rootfs_release(registry, rootfs, true, error);
    if (step->action == RECOVERY_UNMOUNT)
        return rootfs_unmount(registry, rootfs, true, error);
    int r = step->action == RECOVERY_MOUNT ? mount_rootfs(registry, rootfs, error) : 0;
    bool is_recorded = rootfs->row->state == ROW_MOUNTED && g_strcmp0(rootfs->row->boot_id, registry->boot_id) == 0;
    return r < 0 || is_recorded ? r : rootfs_set_state(registry, rootfs, ROW_MOUNTED, error);
}

int recovery_apply(struct registry *registry, const struct recovery_step *step, GError **error)
{
    FAULT_POINT("recovery-step");
    if (step->action == RECOVERY_LEAVE)
        return 0;
    switch (step->what) {
    case RECOVERY_VOLUME:
    case RECOVERY_VIEW:
        return apply_to_volume(registry, step, error);
    case RECOVERY_ATTACHMENT:
        return apply_to_attachment(registry, step, error);
    case RECOVERY_CONTAINER:
        return apply_to_container(registry, step, error);
    case RECOVERY_BARE_MOUNT:
        return unmount_bare(registry, step, error);
    case RECOVERY_ROOTFS:
        return apply_to_rootfs(registry, step, error);
    }
    return 0;
}
