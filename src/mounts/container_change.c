/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in which a container's mounts change.
 *
 *  1. Compare what is wanted with what there is: some mounts stay, some leave, some come.
 *  2. Write all of it in one transaction: the leaving rows as releasing, the coming ones as prepared. From here on a
 *     crash goes forward: recovery unmounts the first and mounts the second.
 *  3. Unmount what leaves, last first; then mount what comes, first first.
 *
 * A failure takes it back: what came goes, what left comes again. That works on the rows as they were, so the list of
 * leaving mounts keeps copies.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "mounts/container_private.h"
#include "sys/mount_resolve.h"

#include <fcntl.h>
#include <string.h>

/* A mount that leaves (row is a copy of what it was) or comes (row is what it will be; its id once it is in the table).
 */
struct moving {
    struct table_attachment *row;
    char *volume;
    bool is_done;
};

struct plan {
    struct container_change *change;
    const char *id;
    GPtrArray *leaving; /* of struct moving, in order of position */
    GPtrArray *coming;
    GArray *staying;   /* of int64_t: attachment ids, and */
    GArray *positions; /* of int64_t: what their positions will be */
};

static void moving_free(void *data)
{
    struct moving *moving = data;
    table_attachment_free(moving->row);
    g_free(moving->volume);
    g_free(moving);
}

static void add_moving(GPtrArray *list, struct table_attachment *row, const char *volume)
{
    struct moving *moving = g_new0(struct moving, 1);
    moving->row = row;
    moving->volume = g_strdup(volume);
    g_ptr_array_add(list, moving);
}

static struct table_attachment *copy_row(const struct table_attachment *row)
{
    struct table_attachment *copy = g_memdup2(row, sizeof(*row));
    copy->target = g_strdup(row->target);
    copy->container = g_strdup(row->container);
    copy->inside = g_strdup(row->inside);
    copy->propagation = g_strdup(row->propagation);
    copy->boot_id = g_strdup(row->boot_id);
    return copy;
}

static bool is_what_is_wanted(struct registry *registry, const struct attachment *attachment,
                              const struct wanted *wanted)
{
    const struct table_attachment *row = attachment->row;
    return strcmp(row->inside, wanted->inside) == 0 && row->read_only == wanted->read_only &&
           strcmp(attachment->volume->row->name, wanted->volume) == 0 &&
           strcmp(row->propagation ? row->propagation : "private",
                  wanted->propagation ? wanted->propagation : "private") == 0 &&
           (row->state == ROW_HANDED || (row->state == ROW_MOUNTED && attachment_is_mounted(registry, row)));
}

/* The index of what an attachment is wanted as, or -1. */
static int find_wanted(const struct container_change *change, const struct attachment *attachment)
{
    for (guint i = 0; i < change->wanted->len && !change->replace; i++) {
        if (is_what_is_wanted(change->registry, attachment, change->wanted->pdata[i]))
            return (int)i;
    }
    return -1;
}

/* Where a mount is made, as far as it is known before links are resolved: below the rootfs, or inside the process. */
static char *first_target(const struct table_container *row, const char *inside)
{
    return row->rootfs && !row->pid ? g_strconcat(row->rootfs, inside, NULL) : g_strdup(inside);
}

static struct table_attachment *make_row(const struct plan *plan, const struct wanted *wanted, int64_t position,
                                         int64_t namespace)
{
    const struct table_container *container = plan->change->row;
    struct table_attachment *row = g_new0(struct table_attachment, 1);
    row->target = first_target(container, wanted->inside);
    row->inside = g_strdup(wanted->inside);
    row->namespace = namespace;
    row->pid = container->pid;
    row->container = g_strdup(container->id);
    row->position = position;
    row->read_only = wanted->read_only;
    row->propagation = g_strdup(wanted->propagation);
    row->state = container->rootfs || container->pid ? ROW_PREPARED : ROW_HANDED;
    row->boot_id = g_strdup(plan->change->registry->boot_id);
    row->created_s = g_get_real_time() / G_USEC_PER_SEC;
    return row;
}

/* What stays and what leaves; with the lock held. stays[i] says that the i-th of the wanted is there. */
static void sort_present(struct plan *plan, bool *stays)
{
    g_autoptr(GPtrArray) attachments = container_attachments(plan->change->registry, plan->id);
    for (guint i = 0; i < attachments->len; i++) {
        const struct attachment *attachment = attachments->pdata[i];
        if (!attachment->row->inside) /* made by attach: not the list's business */
            continue;
        int index = find_wanted(plan->change, attachment);
        if (index < 0 || stays[index]) {
            add_moving(plan->leaving, copy_row(attachment->row), attachment->volume->row->name);
            continue;
        }
        int64_t position = index;
        stays[index] = true;
        g_array_append_val(plan->staying, attachment->row->id);
        g_array_append_val(plan->positions, position);
    }
}

/* The volume of one that comes: known, and its view up. */
static int admit(struct plan *plan, const struct wanted *wanted, int64_t position, int64_t namespace, GError **error)
{
    struct registry *registry = plan->change->registry;
    struct volume *volume = NULL;
    int r = registry_get_idle_volume(registry, wanted->volume, &volume, error);
    if (r == 0)
        r = volume_bring_up(registry, volume, error);
    if (r == 0)
        add_moving(plan->coming, make_row(plan, wanted, position, namespace), wanted->volume);
    return r;
}

static int compare(struct plan *plan, GError **error)
{
    const struct container_change *change = plan->change;
    g_autofree bool *stays = g_new0(bool, change->wanted->len + 1);
    int64_t namespace = 0;
    int r = container_namespace(change->row, &namespace, error);
    if (r < 0)
        return r;
    sort_present(plan, stays);
    for (guint i = 0; i < change->wanted->len && r == 0; i++) {
        if (!stays[i])
            r = admit(plan, change->wanted->pdata[i], i, namespace, error);
    }
    return r;
}

/* An attachment that is still there, busy or not. */
static struct attachment *peek(const struct plan *plan, int64_t attachment_id)
{
    return container_attachment(plan->change->registry, plan->id, attachment_id);
}

/* A volume of the plan with an operation under way, or NULL. */
static struct volume *find_busy(const struct plan *plan)
{
    for (guint i = 0; i < plan->leaving->len + plan->coming->len; i++) {
        const struct moving *moving =
            i < plan->leaving->len ? plan->leaving->pdata[i] : plan->coming->pdata[i - plan->leaving->len];
        struct volume *volume = registry_find_volume(plan->change->registry, moving->volume);
        if (volume && volume->operation)
            return volume;
    }
    return NULL;
}

/* Waits until all volumes of the plan are idle at once, and looks whether those that come may come. */
static int settle(struct plan *plan, GError **error)
{
    struct registry *registry = plan->change->registry;
    struct volume *busy;
    while ((busy = find_busy(plan))) {
        g_autoptr(GError) ignored = NULL; /* it is told to who began it */
        bool created = false;
        operation_wait(registry, busy, &created, &ignored);
    }
    for (guint i = 0; i < plan->coming->len; i++) {
        const struct moving *moving = plan->coming->pdata[i];
        struct volume *volume = registry_find_volume(registry, moving->volume);
        if (!volume)
            return refuse_no_volume(moving->volume, error);
        int r = attachment_check_exclusive(registry, volume, plan->id, plan->change->warnings, error);
        if (r < 0)
            return r;
        moving->row->volume_id = volume->row->id;
    }
    return 0;
}

static int write_state(struct registry *registry, const struct attachment *attachment, enum row_state state,
                       int64_t position, GError **error)
{
    struct table_attachment changed = *attachment->row;
    changed.state = state;
    changed.position = position;
    return table_attachment_update(registry->table, &changed, error);
}

static int write_rows(struct plan *plan, GError **error)
{
    struct registry *registry = plan->change->registry;
    int r = table_container_update(registry->table, plan->change->row, error);
    for (guint i = 0; i < plan->leaving->len && r == 0; i++) {
        const struct moving *moving = plan->leaving->pdata[i];
        const struct attachment *attachment = peek(plan, moving->row->id);
        if (attachment && attachment->row->state != ROW_HANDED)
            r = write_state(registry, attachment, ROW_RELEASING, attachment->row->position, error);
    }
    for (guint i = 0; i < plan->staying->len && r == 0; i++) {
        const struct attachment *attachment = peek(plan, g_array_index(plan->staying, int64_t, i));
        int64_t position = g_array_index(plan->positions, int64_t, i);
        if (attachment && attachment->row->position != position)
            r = write_state(registry, attachment, attachment->row->state, position, error);
    }
    for (guint i = 0; i < plan->coming->len && r == 0; i++)
        r = table_attachment_insert(registry->table, ((struct moving *)plan->coming->pdata[i])->row, error);
    return r;
}

/* The same in memory, once it is in the table. */
static void remember_rows(struct plan *plan)
{
    struct registry *registry = plan->change->registry;
    for (guint i = 0; i < plan->leaving->len; i++) {
        struct attachment *attachment = peek(plan, ((struct moving *)plan->leaving->pdata[i])->row->id);
        if (attachment && attachment->row->state != ROW_HANDED)
            attachment->row->state = ROW_RELEASING;
    }
    for (guint i = 0; i < plan->staying->len; i++) {
        struct attachment *attachment = peek(plan, g_array_index(plan->staying, int64_t, i));
        if (attachment)
            attachment->row->position = g_array_index(plan->positions, int64_t, i);
    }
    for (guint i = 0; i < plan->coming->len; i++) {
        const struct moving *moving = plan->coming->pdata[i];
        registry_add_attachment(registry, registry_find_volume(registry, moving->volume), copy_row(moving->row));
    }
}

static int write_all(struct plan *plan, GError **error)
{
    struct container_change *change = plan->change;
    int r = table_begin(change->registry->table, error);
    if (r < 0)
        return r;
    r = write_rows(plan, error);
    if (r == 0)
        r = table_commit(change->registry->table, error);
    if (r < 0) {
        table_rollback(change->registry->table);
        return r;
    }
    remember_rows(plan);
    return 0;
}

/* Unmounts what leaves, last first, up to the first that is in use. */
static int leave(struct plan *plan, GError **error)
{
    struct registry *registry = plan->change->registry;
    for (guint i = plan->leaving->len; i > 0; i--) {
        struct moving *moving = plan->leaving->pdata[i - 1];
        struct attachment *attachment = container_idle_attachment(registry, plan->id, moving->row->id);
        int r = attachment ? attachment_detach(registry, attachment, plan->change->force, error) : 0;
        if (r < 0)
            return r;
        moving->is_done = true;
        FAULT_POINT("container-unmounted");
    }
    return 0;
}

/* Opens the target beneath the rootfs; without the lock. */
static int open_target(const char *rootfs, const char *inside, int *ret_fd, char **ret_target, GError **error)
{
    auto_fd int root_fd = open(rootfs, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root_fd < 0)
        return refuse(error, REFUSAL_NOT_FOUND, "rootfs %s: %s", rootfs, g_strerror(errno));
    auto_fd int fd = -1;
    int r = mount_resolve(root_fd, inside, MOUNT_RESOLVE_MAKE_DIRECTORY, &fd, error);
    if (r < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    char *target = mount_resolve_path_of_fd(fd);
    if (!target)
        return gidfs_error(error, EIO, "target %s: its path cannot be read in /proc/self/fd", inside);
    *ret_fd = fd_steal(&fd);
    *ret_target = target;
    return 0;
}

/* The row gets the path without links before anything is mounted there, so that recovery looks in the right place. */
static int record_target(struct registry *registry, struct attachment *attachment, const char *target, GError **error)
{
    const struct attachment *other = registry_find_attachment(registry, attachment->row->namespace, target);
    if (other && other != attachment)
        return refuse(error, REFUSAL_EXISTS, "target %s: volume \"%s\" is attached there; detach it first", target,
                      other->volume->row->name);
    if (strcmp(attachment->row->target, target) == 0)
        return 0;
    struct table_attachment changed = *attachment->row;
    changed.target = (char *)target;
    int r = table_attachment_update(registry->table, &changed, error);
    if (r == 0)
        registry_move_attachment(registry, attachment, target);
    return r;
}

int container_mount(struct registry *registry, const struct table_container *row, int64_t attachment_id, GError **error)
{
    const struct attachment *prepared = container_attachment(registry, row->id, attachment_id);
    g_autofree char *inside = prepared ? g_strdup(prepared->row->inside) : NULL, *target = NULL;
    auto_fd int target_fd = -1;
    int r = 0;

    if (prepared && prepared->row->state != ROW_PREPARED)
        return 0;
    if (prepared && !prepared->row->namespace) {
        g_autofree char *rootfs = g_strdup(row->rootfs);
        g_mutex_unlock(&registry->lock);
        r = open_target(rootfs, inside, &target_fd, &target, error);
        g_mutex_lock(&registry->lock);
    }
    struct attachment *attachment = container_idle_attachment(registry, row->id, attachment_id);
    if (r == 0 && !attachment)
        r = refuse(error, REFUSAL_NOT_FOUND, "container \"%s\": a volume of it was removed meanwhile", row->id);
    if (r == 0 && target)
        r = record_target(registry, attachment, target, error);
    if (r == 0)
        r = attachment_mount(registry, attachment, target_fd, error);
    FAULT_POINT("container-mounted");
    return r;
}

static int come_all(struct plan *plan, GPtrArray *list, GError **error)
{
    int r = 0;
    for (guint i = 0; i < list->len && r == 0; i++)
        r = container_mount(plan->change->registry, plan->change->row, ((const struct moving *)list->pdata[i])->row->id,
                            error);
    return r;
}

/* Takes away what came, mounted or not. */
static void take_back_coming(struct plan *plan)
{
    struct registry *registry = plan->change->registry;
    for (guint i = plan->coming->len; i > 0; i--) {
        const struct moving *moving = plan->coming->pdata[i - 1];
        g_autoptr(GError) error = NULL;
        struct attachment *attachment = container_idle_attachment(registry, plan->id, moving->row->id);
        if (attachment && attachment_detach(registry, attachment, true, &error) < 0)
            log_error("container \"%s\": %s", plan->id, error->message);
    }
}

/* The row of one that left, for the table again. Its volume may be gone by now: then it cannot come back. */
static bool insert_again(struct plan *plan, struct moving *moving)
{
    struct registry *registry = plan->change->registry;
    struct volume *volume = NULL;
    g_autoptr(GError) error = NULL;

    moving->row->mount_id = 0;
    moving->row->state = moving->row->state == ROW_HANDED ? ROW_HANDED : ROW_PREPARED;
    if (registry_get_idle_volume(registry, moving->volume, &volume, &error) == 0 &&
        table_attachment_insert(registry->table, moving->row, &error) == 0) {
        registry_add_attachment(registry, volume, copy_row(moving->row));
        return true;
    }
    log_error("container \"%s\": the mount at %s cannot be made again: %s", plan->id, moving->row->inside,
              error->message);
    return false;
}

/* One that was to leave and is still there stays after all; one that left comes again. */
static void take_back_leaving(struct plan *plan)
{
    struct registry *registry = plan->change->registry;
    for (guint i = 0; i < plan->leaving->len; i++) {
        struct moving *moving = plan->leaving->pdata[i];
        g_autoptr(GError) error = NULL;
        struct attachment *attachment = container_idle_attachment(registry, plan->id, moving->row->id);
        int r = 0;
        if (attachment) {
            r = write_state(registry, attachment, moving->row->state, moving->row->position, &error);
            if (r == 0)
                attachment->row->state = moving->row->state;
            registry_move_attachment(registry, attachment, attachment->row->target); /* known by its target again */
        } else if (moving->is_done && insert_again(plan, moving)) {
            r = container_mount(registry, plan->change->row, moving->row->id, &error);
        }
        if (r < 0)
            log_error("container \"%s\": %s", plan->id, error->message);
    }
}

static int carry_out(struct plan *plan, GError **error)
{
    GError *problem = NULL;
    FAULT_POINT("container-rows");
    int r = leave(plan, &problem);
    if (r == 0)
        r = come_all(plan, plan->coming, &problem);
    if (r == 0)
        return 0;
    take_back_coming(plan);
    if (!plan->change->force)
        take_back_leaving(plan);
    g_propagate_error(error, problem);
    return r;
}

/* The container's row in memory becomes the one in the table. */
static void take_row(struct container_change *change)
{
    struct table_container *old = change->container->row;
    g_hash_table_steal(change->registry->containers, old->id);
    change->container->row = g_steal_pointer(&change->row);
    g_hash_table_insert(change->registry->containers, change->container->row->id, change->container);
    table_container_free(old);
    container_watch_rootfs(change->registry, change->container);
}

int container_change(struct container_change *change, GError **error)
{
    struct plan plan = {
        .change = change,
        .id = change->row->id,
        .leaving = g_ptr_array_new_with_free_func(moving_free),
        .coming = g_ptr_array_new_with_free_func(moving_free),
        .staying = g_array_new(FALSE, FALSE, sizeof(int64_t)),
        .positions = g_array_new(FALSE, FALSE, sizeof(int64_t)),
    };
    g_mutex_lock(&change->registry->lock);
    int r = compare(&plan, error);
    if (r == 0)
        r = settle(&plan, error);
    if (r == 0)
        r = write_all(&plan, error);
    if (r == 0) {
        r = carry_out(&plan, error);
        take_row(change);
    }
    g_mutex_unlock(&change->registry->lock);
    g_ptr_array_unref(plan.leaving);
    g_ptr_array_unref(plan.coming);
    g_array_unref(plan.staying);
    g_array_unref(plan.positions);
    return r;
}
