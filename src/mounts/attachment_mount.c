/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounting and unmounting of one attachment whose row is in the table.
 *
 * The mount is cloned detached and its id is written to the row before it is attached, so that after a crash at any
 * point the kernel's mount table tells whether it was attached, and where: the kernel keeps the id, and knows the path
 * even if somebody renames a directory above it. On kernels without detached mounts the id is read afterwards.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "mounts/registry_private.h"
#include "sys/mount_api.h"
#include "sys/ns_enter.h"
#include "sys/ns_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MAX_RENAMES 100

/* What is being mounted, without the lock. */
struct mounting {
    struct registry *registry;
    struct attachment *attachment; /* of a volume in operation: nobody else changes or frees it */
    int target_fd;                 /* -1 where the target lies in another namespace */
    char *target;                  /* the path as it turned out */
    int mount_id;
};

static int write_row(struct mounting *m, enum row_state state, GError **error)
{
    struct table_attachment changed = *m->attachment->row;
    changed.state = state;
    changed.mount_id = m->mount_id;
    if (m->target)
        changed.target = m->target;
    int r = table_attachment_update(m->registry->table, &changed, error);
    if (r < 0)
        return r;
    m->attachment->row->state = state;
    m->attachment->row->mount_id = m->mount_id;
    if (m->target && strcmp(m->target, m->attachment->row->target) != 0)
        registry_move_attachment(m->registry, m->attachment, m->target);
    return 0;
}

static int write_row_unlocked(struct mounting *m, enum row_state state, GError **error)
{
    g_mutex_lock(&m->registry->lock);
    int r = write_row(m, state, error);
    g_mutex_unlock(&m->registry->lock);
    return r;
}

/* Binds where nothing can be detached; the id is that of what is on top afterwards. */
static int bind_staged(struct mounting *m, const struct mount_attributes *attributes, GError **error)
{
    const struct table_attachment *row = m->attachment->row;
    int r = mount_bind_staged(m->attachment->volume->view, m->target_fd, row->target, attributes, error);
    if (r < 0)
        return r;
    auto_fd int fd = open(row->target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        mount_id_of_fd(fd, &m->mount_id);
    return 0;
}

static int attach_detached(struct mounting *m, int mount_fd, GError **error)
{
    const struct table_attachment *row = m->attachment->row;
    int r = mount_id_of_fd(mount_fd, &m->mount_id);
    if (r < 0)
        return gidfs_error_errno(error, r, "read the id of the mount for %s", row->target);
    r = write_row_unlocked(m, ROW_PREPARED, error);
    if (r < 0)
        return r;
    FAULT_POINT("attach-prepared");
    if (!row->namespace)
        return mount_attach(mount_fd, m->target_fd, row->target, error);
    enum mount_resolve_missing missing = row->inside ? MOUNT_RESOLVE_MAKE_DIRECTORY : MOUNT_RESOLVE_MUST_EXIST;
    return ns_mount_attach((pid_t)row->pid, mount_fd, row->target, missing, &m->target, &m->mount_id, error);
}

static int do_mount(struct mounting *m, GError **error)
{
    const struct table_attachment *row = m->attachment->row;
    struct mount_attributes attributes = {.read_only = row->read_only, .nosuid = true, .nodev = true};
    g_autoptr(GError) problem = NULL;
    auto_fd int mount_fd = -1;

    int r = mount_propagation_parse(row->propagation ? row->propagation : "private", &attributes.propagation, error);
    if (r < 0)
        return r;
    r = mount_clone_detached(m->attachment->volume->view, &attributes, &mount_fd, &problem);
    if (r == -EOPNOTSUPP && !row->namespace)
        return bind_staged(m, &attributes, error);
    if (r < 0) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return r;
    }
    return attach_detached(m, mount_fd, error);
}

/* Which of the failures of a mount are the caller's. */
static int judge_failure(int r, GError **error)
{
    if (r == -ENOENT || r == -ESRCH)
        return refuse_as(error, REFUSAL_NOT_FOUND);
    if (r == -ENOTDIR || r == -ELOOP || r == -EEXIST)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    return r == -EOPNOTSUPP ? refuse_as(error, REFUSAL_UNSUPPORTED) : r;
}

int attachment_forget(struct registry *registry, struct attachment *attachment, GError **error)
{
    int r = table_attachment_delete(registry->table, attachment->row->id, error);
    if (r == 0)
        registry_forget_attachment(registry, attachment);
    return r;
}

int attachment_mount(struct registry *registry, struct attachment *attachment, int target_fd, GError **error)
{
    struct volume *volume = attachment->volume;
    struct mounting m = {.registry = registry, .attachment = attachment, .target_fd = target_fd};
    GError *problem = NULL;

    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    int r = do_mount(&m, &problem);
    FAULT_POINT("attach-mounted");
    g_mutex_lock(&registry->lock);
    if (r == 0) {
        r = write_row(&m, ROW_MOUNTED, &problem);
        if (r < 0)
            attachment_unmount(attachment, true, NULL);
    } else {
        r = judge_failure(r, &problem);
    }
    if (r < 0)
        attachment_forget(registry, attachment, NULL);
    operation_end(registry, volume, problem ? g_error_copy(problem) : NULL);
    g_free(m.target);
    if (problem)
        g_propagate_error(error, problem);
    return r;
}

/* Whether a mount shows the volume: by the device of its view, or of a view that is no more. */
static bool shows_volume(const struct mount_entry *entry, const struct mount_table *own, const struct volume *volume)
{
    const struct mount_entry *view = mount_table_find_target(own, volume->view);
    if (view && view->dev == entry->dev)
        return true;
    return strcmp(entry->fstype, "fuse.gidfs") == 0 && strcmp(entry->source, volume->row->source) == 0;
}

/* A path that does not lead to our mount (any more). */
static bool is_wrong_path(int r)
{
    return r == -EINVAL || r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ESTALE;
}

/* A process in the namespace of an attachment in another one; -ESRCH: the namespace is gone. */
static int find_process(const struct table_attachment *row, pid_t *ret_pid)
{
    return ns_find_process((uint64_t)row->namespace, (pid_t)row->pid, ret_pid);
}

static int unmount_at(const struct table_attachment *row, const char *target, int mount_id,
                      enum mount_unmount_mode mode, GError **error)
{
    pid_t pid;
    if (!row->namespace)
        return mount_unmount(target, mount_id, mode, error);
    int r = find_process(row, &pid);
    return r < 0 ? r : ns_mount_unmount(pid, target, mount_id, mode, error);
}

/*
 * Unmounts by what the kernel says of our mount now: its id was not written any more, it is covered, or a directory
 * above it was renamed. Without a mount that is ours by number and device there is nothing to do.
 */
static int unmount_by_table(const struct attachment *attachment, enum mount_unmount_mode mode, GError **error)
{
    const struct table_attachment *row = attachment->row;
    g_autoptr(mount_table) own = NULL, other = NULL;
    pid_t pid;
    int r = mount_table_read(0, &own, error);
    if (r == 0 && row->namespace) {
        r = find_process(row, &pid);
        if (r == 0)
            r = mount_table_read(pid, &other, error);
    }
    if (r < 0)
        return r;
    const struct mount_table *table = other ? other : own;
    const struct mount_entry *entry =
        row->mount_id ? mount_table_find_id(table, (int)row->mount_id) : mount_table_find_target(table, row->target);
    if (!entry || !shows_volume(entry, own, attachment->volume))
        return 0;
    if (entry->covered)
        return refuse(error, REFUSAL_BUSY, "target %s: something else is mounted over it; unmount that first",
                      entry->target);
    return unmount_at(row, entry->target, entry->id, mode, error);
}

/* A container may rename directories all the time: the kernel's path is then old as soon as it is read. */
static int unmount(const struct attachment *attachment, enum mount_unmount_mode mode, GError **error)
{
    const struct table_attachment *row = attachment->row;
    g_autoptr(GError) problem = NULL;
    int r = row->mount_id ? unmount_at(row, row->target, (int)row->mount_id, mode, &problem) : -EINVAL;
    for (int i = 0; i < MAX_RENAMES && is_wrong_path(r); i++) {
        g_clear_error(&problem);
        r = unmount_by_table(attachment, mode, &problem);
    }
    if (problem)
        g_propagate_error(error, g_steal_pointer(&problem));
    return r;
}

int attachment_unmount(const struct attachment *attachment, bool force, GError **error)
{
    const struct table_attachment *row = attachment->row;
    g_autoptr(GError) problem = NULL;

    if (row->state == ROW_HANDED)
        return 0;
    int r = unmount(attachment, force ? MOUNT_UNMOUNT_DETACH : MOUNT_UNMOUNT_PLAIN, &problem);
    if (r == 0 || r == -ESRCH) /* the process is gone, and its namespace with it */
        return 0;
    if (r == -EBUSY && problem->domain != REFUSAL_ERROR)
        return refuse(error, REFUSAL_BUSY,
                      "target %s is busy: a process uses a file or directory there; end it, or use force", row->target);
    g_propagate_error(error, g_steal_pointer(&problem));
    return r;
}
