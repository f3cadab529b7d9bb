/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments: bind mounts of a view, in the service's own mount namespace or in that of a process. Each is in the
 * table before it is mounted and until it is unmounted. It is an operation of its volume.
 *
 * A target is known by its path without links, as the kernel's mount table has it.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/path_rules.h"
#include "mounts/registry_private.h"
#include "sys/mount_api.h"
#include "sys/mount_resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int attachment_namespace(int64_t pid, int64_t *ret_namespace, GError **error)
{
    struct stat st;
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/ns/mnt", pid);

    if (pid == 0) {
        *ret_namespace = 0;
        return 0;
    }
    if (stat(path, &st) < 0)
        return refuse(error, REFUSAL_NOT_FOUND, "pid %" G_GINT64_FORMAT ": no such process", pid);
    *ret_namespace = (int64_t)st.st_ino;
    return 0;
}

/* Opens a target in our own namespace; *ret_path is its path without links. */
static int open_target(const char *target, int *ret_fd, char **ret_path, GError **error)
{
    auto_fd int fd = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return refuse(error, REFUSAL_BAD_REQUEST, "target %s: not a directory (a link is not followed)", target);
    if (fd < 0)
        return refuse(error, REFUSAL_NOT_FOUND, "target %s: %s; make the directory first", target, g_strerror(errno));
    char *path = mount_resolve_path_of_fd(fd);
    if (!path)
        return gidfs_error(error, EIO, "target %s: its path cannot be read in /proc/self/fd", target);
    *ret_fd = fd_steal(&fd);
    *ret_path = path;
    return 0;
}

/* Who else uses an exclusive volume, as a message; NULL if nobody does. The caller frees it. */
static char *other_user(struct volume *volume, const char *container)
{
    for (guint i = 0; volume->row->exclusive && i < volume->attachments->len; i++) {
        const struct table_attachment *other = ((struct attachment *)volume->attachments->pdata[i])->row;
        if (container && g_strcmp0(other->container, container) == 0)
            continue;
        return g_strdup_printf("volume \"%s\" is exclusive and in use at %s%s%s", volume->row->name, other->target,
                               other->container ? " by container " : "", other->container ? other->container : "");
    }
    return NULL;
}

int attachment_check_exclusive(struct registry *registry, struct volume *volume, const char *container,
                               GPtrArray *warnings, GError **error)
{
    g_autofree char *message = other_user(volume, container);
    if (!message)
        return 0;
    if (!registry->exclusive_warns)
        return refuse(error, REFUSAL_BUSY, "%s; detach it there first", message);
    log_warning("%s", message);
    if (warnings)
        g_ptr_array_add(warnings, g_steal_pointer(&message));
    return 0;
}

static bool is_same(const struct attachment *attachment, const struct attachment_request *request)
{
    const struct table_attachment *row = attachment->row;
    return strcmp(attachment->volume->row->name, request->volume) == 0 && row->read_only == request->read_only &&
           g_strcmp0(row->container, request->container) == 0 && g_strcmp0(row->propagation, request->propagation) == 0;
}

bool attachment_is_mounted(struct registry *registry, const struct table_attachment *row)
{
    if (row->namespace)
        return row->state == ROW_MOUNTED;
    const struct mount_entry *entry = mount_table_find_target(registry_kernel(registry), row->target);
    return entry && (row->mount_id == 0 || entry->id == row->mount_id);
}

/* Something is known at the target: *ret_same if it is what is asked for; forgotten if it is mounted no more. */
static int meet_other(struct registry *registry, struct attachment *other, const struct attachment_request *request,
                      struct attachment **ret_same, GError **error)
{
    /* one that is not mounted yet belongs to a container's verb that is under way */
    if (other->row->state == ROW_MOUNTED && !attachment_is_mounted(registry, other->row) && !other->volume->operation)
        return attachment_forget(registry, other, error);
    if (!is_same(other, request))
        return refuse(error, REFUSAL_EXISTS,
                      "target %s: volume \"%s\" is attached there, with other options or for another; detach it first",
                      other->row->target, other->volume->row->name);
    *ret_same = other;
    return 0;
}

static struct table_attachment *make_row(struct registry *registry, struct volume *volume,
                                         const struct attachment_request *request, int64_t namespace,
                                         const char *target)
{
    struct table_attachment *row = g_new0(struct table_attachment, 1);
    row->volume_id = volume->row->id;
    row->target = g_strdup(target);
    row->namespace = namespace;
    row->pid = request->pid;
    row->container = g_strdup(request->container);
    row->read_only = request->read_only;
    row->propagation = g_strdup(request->propagation);
    row->state = ROW_PREPARED;
    row->boot_id = g_strdup(registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    return row;
}

/*
 * A view in its own source (B9): whoever walks the source would see it, and so would the view once it is mounted again.
 * Paths of another namespace say nothing of ours.
 */
static int check_target(const struct volume *volume, int64_t namespace, const char *target, GError **error)
{
    if (namespace || !path_is_within(target, volume->row->source))
        return 0;
    return refuse(
        error, REFUSAL_BAD_REQUEST,
        "target %s: lies in the source %s of volume \"%s\", which would contain its own view; take one outside", target,
        volume->row->source, volume->row->name);
}

/* With the lock held, and the volume idle. */
static int attach(struct registry *registry, struct volume *volume, const struct attachment_request *request,
                  int64_t namespace, const char *target, int target_fd, struct attachment **ret_attachment,
                  GError **error)
{
    int r = check_target(volume, namespace, target, error);
    if (r == 0)
        r = attachment_check_exclusive(registry, volume, request->container, NULL, error);
    if (r == 0)
        r = volume_bring_up(registry, volume, error);
    if (r < 0)
        return r;
    g_autoptr(table_attachment) row = make_row(registry, volume, request, namespace, target);
    r = table_attachment_insert(registry->table, row, error);
    if (r < 0)
        return r;
    *ret_attachment = registry_add_attachment(registry, volume, g_steal_pointer(&row));
    return attachment_mount(registry, *ret_attachment, target_fd, error);
}

/* Finds the same attachment, or makes it; with the lock held. */
static int find_or_attach(struct registry *registry, const struct attachment_request *request, int64_t namespace,
                          const char *target, int target_fd, struct attachment **ret_attachment, bool *ret_reused,
                          GError **error)
{
    struct volume *volume = NULL;
    struct attachment *same = NULL;

    int r = registry_get_idle_volume(registry, request->volume, &volume, error);
    struct attachment *other = r == 0 ? registry_find_attachment(registry, namespace, target) : NULL;
    if (other)
        r = meet_other(registry, other, request, &same, error);
    if (r < 0)
        return r;
    *ret_reused = same != NULL;
    *ret_attachment = same;
    return same ? 0 : attach(registry, volume, request, namespace, target, target_fd, ret_attachment, error);
}

int attachment_create(struct registry *registry, const struct attachment_request *request, attachment_visitor visit,
                      void *data, GError **error)
{
    struct attachment *attachment = NULL;
    struct mount_propagation propagation;
    g_autofree char *target = NULL;
    auto_fd int target_fd = -1;
    int64_t namespace = 0;
    bool reused = false;

    if (mount_propagation_parse(request->propagation, &propagation, error) < 0 ||
        path_normalize("target", request->target, &target, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    int r = attachment_namespace(request->pid, &namespace, error);
    if (r == 0 && request->pid == 0) {
        g_autofree char *asked = g_steal_pointer(&target);
        r = open_target(asked, &target_fd, &target, error);
    }
    if (r < 0)
        return r;

    g_mutex_lock(&registry->lock);
    r = find_or_attach(registry, request, namespace, target, target_fd, &attachment, &reused, error);
    if (r == 0 && visit)
        attachment_describe(registry, attachment, reused, reused, visit, data);
    g_mutex_unlock(&registry->lock);
    return r;
}

int attachment_detach(struct registry *registry, struct attachment *attachment, bool force, GError **error)
{
    struct volume *volume = attachment->volume;
    GError *problem = NULL;

    operation_begin(volume, false);
    g_mutex_unlock(&registry->lock);
    FAULT_POINT("detach-before");
    int r = attachment_unmount(attachment, force, &problem);
    FAULT_POINT("detach-after");
    g_mutex_lock(&registry->lock);
    if (r == 0)
        r = attachment_forget(registry, attachment, &problem);
    operation_end(registry, volume, problem ? g_error_copy(problem) : NULL);
    if (problem)
        g_propagate_error(error, problem);
    return r;
}

/* A target as it may be in the registry: the links above its last component resolved, nothing below touched. */
static char *resolve_parent(const char *target)
{
    char resolved[PATH_MAX];
    g_autofree char *parent = g_path_get_dirname(target);
    g_autofree char *name = g_path_get_basename(target);
    return realpath(parent, resolved) ? g_build_filename(resolved, name, NULL) : NULL;
}

/* Of a process that is gone, its attachments are still known by its pid. */
static struct attachment *find_by_pid(struct registry *registry, int64_t pid, const char *target)
{
    GHashTableIter iter;
    struct attachment *attachment;

    g_hash_table_iter_init(&iter, registry->attachments);
    while (g_hash_table_iter_next(&iter, NULL, (void **)&attachment))
        if (attachment->row->pid == pid && strcmp(attachment->row->target, target) == 0)
            return attachment;
    return NULL;
}

static int find_attached(struct registry *registry, int64_t pid, const char *target, struct attachment **ret_attachment,
                         GError **error)
{
    int64_t namespace = 0;
    bool has_namespace = attachment_namespace(pid, &namespace, NULL) == 0;
    struct attachment *found = has_namespace ? registry_find_attachment(registry, namespace, target) : NULL;
    if (!found && pid)
        found = find_by_pid(registry, pid, target);
    if (!found && !pid) {
        g_autofree char *resolved = resolve_parent(target);
        found = resolved ? registry_find_attachment(registry, 0, resolved) : NULL;
    }
    if (!found)
        return refuse(error, REFUSAL_NOT_FOUND, "target %s: no volume is attached there; gidfs ls lists what is",
                      target);
    *ret_attachment = found;
    return 0;
}

int attachment_remove(struct registry *registry, const char *target, int64_t pid, bool force, attachment_visitor visit,
                      void *data, GError **error)
{
    g_autofree char *path = NULL;
    struct attachment *attachment = NULL;

    if (path_normalize("target", target, &path, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    g_mutex_lock(&registry->lock);
    int r;
    while ((r = find_attached(registry, pid, path, &attachment, error)) == 0 && attachment->volume->operation) {
        g_autoptr(GError) ignored = NULL;
        bool created = false;
        operation_wait(registry, attachment->volume, &created, &ignored);
    }
    if (r == 0 && visit)
        attachment_describe(registry, attachment, false, false, visit, data);
    if (r == 0)
        r = attachment_detach(registry, attachment, force, error);
    g_mutex_unlock(&registry->lock);
    return r;
}
