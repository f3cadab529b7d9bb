/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the plan: containers first (children before parents), then what goes away (attachments, volumes, mounts
 * without a row), then what comes or stays (views, rootfs, attachments). An unmount thus never waits for a mount that
 * is still to come, and an attachment is made after its view.
 *
 * The rules of identity:
 *  - a view is what is mounted at its place in our own directory; a fuse.gidfs of another source there is a mix-up and
 *    is replaced; the path of its source tells, unless more is known of it;
 *  - an attachment is ours by its mount id in the same boot and its view's device, wherever it is: a directory above it
 *    may have been renamed. A mount id alone proves nothing: the kernel hands it out again. The device at the target
 *    counts only while no id is on record, and only if no other row has that mount: an update may have one row that
 *    leaves and one that comes at the same target;
 *  - an attachment with our id whose view was mounted anew shows a dead view: it is unmounted and made again.
 */
#include "core/recovery_plan.h"

#include <string.h>

struct planner {
    const struct recovery_facts *facts;
    GPtrArray *steps;
    GHashTable *mounts_by_place; /* "NAMESPACE TARGET" → the mount on top */
    GHashTable *mounts_by_id;    /* "NAMESPACE ID" → mount */
    GHashTable *volumes_by_id;   /* id → volume */
    GHashTable *live;            /* ids; NULL if unknown */
    GHashTable *dead;            /* ids of the containers that are cleaned up */
    GHashTable *known;           /* ids of all containers with a row */
    GHashTable *used;            /* ids of the volumes that an attachment which stays shows */
    GHashTable *released;        /* ids of the volumes that are released */
    GHashTable *fresh;           /* ids of the volumes whose view is mounted by this plan */
    GHashTable *own_mounts;      /* mounts that some row accounts for */
    GHashTable *claimed;         /* mounts that the row of an attachment names by id */
};

static const char *const action_words[] = {
    [RECOVERY_ADOPT] = "adopt",     [RECOVERY_MOUNT] = "mount",     [RECOVERY_UNMOUNT] = "unmount",
    [RECOVERY_RELEASE] = "release", [RECOVERY_CLEANUP] = "cleanup", [RECOVERY_FORGET] = "forget",
    [RECOVERY_LEAVE] = "leave",
};

static const char *const what_words[] = {
    [RECOVERY_VOLUME] = "volume",       [RECOVERY_VIEW] = "view",     [RECOVERY_ATTACHMENT] = "attachment",
    [RECOVERY_CONTAINER] = "container", [RECOVERY_ROOTFS] = "rootfs", [RECOVERY_BARE_MOUNT] = "mount",
};

const char *recovery_action_to_string(enum recovery_action action)
{
    return action_words[action];
}

const char *recovery_what_to_string(enum recovery_what what)
{
    return what_words[what];
}

static void free_step(void *data)
{
    struct recovery_step *step = data;
    g_free(step->name);
    g_free(step->target);
    g_free(step->reason);
    g_free(step);
}

static struct recovery_step *add_step(struct planner *p, enum recovery_action action, enum recovery_what what,
                                      const char *name, const char *target, const char *reason)
{
    struct recovery_step *step = g_new0(struct recovery_step, 1);
    *step = (struct recovery_step){action, what, 0, g_strdup(name), g_strdup(target), 0, g_strdup(reason)};
    g_ptr_array_add(p->steps, step);
    return step;
}

static void add_volume_step(struct planner *p, enum recovery_action action, enum recovery_what what,
                            const struct recovery_volume *volume, int mount_id, const char *reason)
{
    struct recovery_step *step = add_step(p, action, what, volume->name, volume->view, reason);
    step->row_id = volume->id;
    step->mount_id = mount_id;
}

static const struct recovery_volume *volume_of(struct planner *p, const struct recovery_attachment *attachment)
{
    return g_hash_table_lookup(p->volumes_by_id, &attachment->volume_id);
}

static void add_attachment_step(struct planner *p, enum recovery_action action,
                                const struct recovery_attachment *attachment, const struct recovery_mount *mount,
                                const char *reason)
{
    const struct recovery_volume *volume = volume_of(p, attachment);
    const char *name = volume ? volume->name : "";
    const char *target = mount ? mount->target : attachment->target;
    struct recovery_step *step = add_step(p, action, RECOVERY_ATTACHMENT, name, target, reason);
    step->row_id = attachment->id;
    step->mount_id = mount ? mount->id : 0;
}

static char *place(uint64_t namespace, const char *target)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %s", namespace, target);
}

static const struct recovery_mount *mount_at(struct planner *p, uint64_t namespace, const char *target)
{
    g_autofree char *key = place(namespace, target);
    return g_hash_table_lookup(p->mounts_by_place, key);
}

static const struct recovery_mount *mount_with_id(struct planner *p, uint64_t namespace, int id)
{
    g_autofree char *key = g_strdup_printf("%" G_GUINT64_FORMAT " %d", namespace, id);
    return g_hash_table_lookup(p->mounts_by_id, key);
}

static void account_for(struct planner *p, const struct recovery_mount *mount)
{
    if (mount)
        g_hash_table_add(p->own_mounts, (void *)mount);
}

static void index_facts(struct planner *p)
{
    const struct recovery_facts *f = p->facts;
    for (size_t i = 0; i < f->n_mounts; i++) {
        const struct recovery_mount *mount = &f->mounts[i];
        if (!mount->covered)
            g_hash_table_insert(p->mounts_by_place, place(mount->namespace, mount->target), (void *)mount);
        g_hash_table_insert(p->mounts_by_id, g_strdup_printf("%" G_GUINT64_FORMAT " %d", mount->namespace, mount->id),
                            (void *)mount);
    }
    for (size_t i = 0; i < f->n_volumes; i++)
        g_hash_table_insert(p->volumes_by_id, (void *)&f->volumes[i].id, (void *)&f->volumes[i]);
    for (size_t i = 0; i < f->n_attachments; i++) {
        const struct recovery_attachment *a = &f->attachments[i];
        if (a->mount_id && a->same_boot)
            g_hash_table_add(p->claimed, (void *)mount_with_id(p, a->namespace, a->mount_id));
    }
    for (size_t i = 0; i < f->n_containers; i++)
        g_hash_table_add(p->known, (void *)f->containers[i].id);
    for (size_t i = 0; p->live && f->live[i]; i++)
        g_hash_table_add(p->live, (void *)f->live[i]);
}

/* Why a container is cleaned up, whatever its children do; NULL: it isn't. */
static const char *why_dead(struct planner *p, const struct recovery_container *c)
{
    if (!c->same_boot)
        return "of an earlier boot";
    if (c->state == RECOVERY_PREPARED)
        return "its preparation was not finished";
    if (c->state == RECOVERY_RELEASING)
        return "its cleanup was not finished";
    if (c->rootfs_gone)
        return "its root directory is gone";
    if (p->live && !g_hash_table_contains(p->live, c->id))
        return "it lives no more";
    return NULL;
}

/* A child of c that stays, or NULL. Children before c in the order of planning have been decided. */
static const char *child_that_stays(struct planner *p, const struct recovery_container *c)
{
    for (size_t i = 0; i < p->facts->n_containers; i++) {
        const struct recovery_container *child = &p->facts->containers[i];
        if (child->parent && strcmp(child->parent, c->id) == 0 && child != c &&
            !g_hash_table_contains(p->dead, child->id))
            return child->id;
    }
    return NULL;
}

/* One round: cleans up every dead container whose children are all cleaned up. Whether there was one. */
static bool plan_dead_containers(struct planner *p)
{
    bool found = false;
    for (size_t i = 0; i < p->facts->n_containers; i++) {
        const struct recovery_container *c = &p->facts->containers[i];
        const char *why = why_dead(p, c);
        if (!why || g_hash_table_contains(p->dead, c->id) || child_that_stays(p, c))
            continue;
        add_step(p, RECOVERY_CLEANUP, RECOVERY_CONTAINER, c->id, NULL, why);
        g_hash_table_add(p->dead, (void *)c->id);
        found = true;
    }
    return found;
}

static void plan_containers(struct planner *p)
{
    while (plan_dead_containers(p))
        ;
    for (size_t i = 0; i < p->facts->n_containers; i++) {
        const struct recovery_container *c = &p->facts->containers[i];
        if (g_hash_table_contains(p->dead, c->id))
            continue;
        const char *why = p->live ? "alive" : "nobody said which containers live";
        add_step(p, RECOVERY_LEAVE, RECOVERY_CONTAINER, c->id, NULL,
                 why_dead(p, c) ? "a container that is nested in it stays" : why);
    }
}

/* How an attachment's row and the kernel agree. */
enum finding {
    NOT_THERE,
    THERE,       /* our mount, of the view as it is now */
    THERE_STALE, /* our mount, but of a view that is gone or was mounted anew */
};

static enum finding find_attachment(struct planner *p, const struct recovery_attachment *a,
                                    const struct recovery_mount **ret_mount)
{
    const struct recovery_volume *v = volume_of(p, a);
    const struct recovery_mount *view = v ? mount_at(p, 0, v->view) : NULL;
    const struct recovery_mount *mount =
        a->mount_id && a->same_boot ? mount_with_id(p, a->namespace, a->mount_id) : NULL;
    if (!mount && (!a->mount_id || !a->same_boot)) {
        /* the id was not written any more, or means nothing after a reboot: the view's own device must tell */
        mount = mount_at(p, a->namespace, a->target);
        if (!mount || !view || mount->dev != view->dev || g_hash_table_contains(p->claimed, mount))
            return NOT_THERE;
    }
    if (!mount)
        return NOT_THERE;
    bool current = view && mount->dev == view->dev;
    if (!current && (!v || strcmp(mount->fstype, "fuse.gidfs") != 0 || strcmp(mount->source, v->source) != 0))
        return NOT_THERE; /* the number was handed out again, to a mount of somebody else */
    *ret_mount = mount;
    return current && !g_hash_table_contains(p->fresh, &v->id) ? THERE : THERE_STALE;
}

/* Whether an attachment that is not there is to be made. */
static bool is_wanted(struct planner *p, const struct recovery_attachment *a)
{
    if (a->namespace_gone)
        return false;
    if (!a->same_boot)
        return !a->namespace && !a->container;
    /* A container's rows are written whole before the first mount: the rest of an update is made. What a container has
     * no part in, and what was there and is gone, was either never acknowledged or taken down by hand. */
    return a->state == RECOVERY_PREPARED && a->container && g_hash_table_contains(p->known, a->container);
}

static bool goes_with_container(struct planner *p, const char *container)
{
    return container && g_hash_table_contains(p->dead, container);
}

/* Whether an attachment is there, or will be, when the plan is done. */
static bool stays(struct planner *p, const struct recovery_attachment *a)
{
    const struct recovery_mount *mount;
    if (goes_with_container(p, a->container) || a->state == RECOVERY_RELEASING)
        return false;
    if (a->state == RECOVERY_HANDED)
        return a->same_boot;
    return find_attachment(p, a, &mount) != NOT_THERE || is_wanted(p, a);
}

static void collect_used_volumes(struct planner *p)
{
    for (size_t i = 0; i < p->facts->n_attachments; i++) {
        if (stays(p, &p->facts->attachments[i]))
            g_hash_table_add(p->used, (void *)&p->facts->attachments[i].volume_id);
    }
}

/* Why a volume is released; NULL: it stays. One orphan is one row: nothing is said of others below its directory. */
static const char *why_released(struct planner *p, const struct recovery_volume *v)
{
    if (v->busy)
        return NULL;
    if (v->state == RECOVERY_RELEASING)
        return "its release was not finished";
    if (v->source_gone)
        return "its source is gone";
    if (v->sandbox && !v->same_boot)
        return "a sandbox of an earlier boot";
    if (v->sandbox && v->container && !g_hash_table_contains(p->used, &v->id))
        return goes_with_container(p, v->container) || !g_hash_table_contains(p->known, v->container)
                   ? "its container is gone"
                   : "its container does not use it";
    return NULL;
}

static void plan_releases(struct planner *p)
{
    for (size_t i = 0; i < p->facts->n_volumes; i++) {
        const struct recovery_volume *v = &p->facts->volumes[i];
        const char *why = why_released(p, v);
        if (!why)
            continue;
        g_hash_table_add(p->released, (void *)&v->id);
        account_for(p, mount_at(p, 0, v->view));
        add_volume_step(p, RECOVERY_RELEASE, RECOVERY_VOLUME, v, 0, why);
    }
}

/*
 * Only gidfs's own type says whose source it shows; a stand-in of another type is taken for what it claims to be. A
 * directory that was renamed since is still the same.
 */
static bool shows_another_source(const struct recovery_mount *mount, const struct recovery_volume *v)
{
    return strcmp(mount->fstype, "fuse.gidfs") == 0 && strcmp(mount->source, v->source) != 0 && !v->source_shown;
}

static const char *why_view_is_wrong(const struct recovery_mount *mount, const struct recovery_volume *v)
{
    if (v->view_dead)
        return "no process serves it";
    return shows_another_source(mount, v) ? "it shows another source" : NULL;
}

static void plan_view(struct planner *p, const struct recovery_volume *v)
{
    const struct recovery_mount *mount = mount_at(p, 0, v->view);
    const char *wrong = mount ? why_view_is_wrong(mount, v) : NULL;
    account_for(p, mount);
    if (v->busy) {
        add_volume_step(p, RECOVERY_LEAVE, RECOVERY_VIEW, v, 0, "an operation on it is under way");
        return;
    }
    if (mount && !wrong) {
        add_volume_step(p, RECOVERY_ADOPT, RECOVERY_VIEW, v, mount->id, "mounted, in the table");
        return;
    }
    if (mount)
        add_volume_step(p, RECOVERY_UNMOUNT, RECOVERY_VIEW, v, mount->id, wrong);
    add_volume_step(p, RECOVERY_MOUNT, RECOVERY_VIEW, v, 0, wrong ? wrong : "in the table, not mounted");
    g_hash_table_add(p->fresh, (void *)&v->id);
}

static void plan_views(struct planner *p)
{
    for (size_t i = 0; i < p->facts->n_volumes; i++) {
        if (!g_hash_table_contains(p->released, &p->facts->volumes[i].id))
            plan_view(p, &p->facts->volumes[i]);
    }
}

static void plan_rootfs(struct planner *p)
{
    for (size_t i = 0; i < p->facts->n_rootfs; i++) {
        const struct recovery_rootfs *r = &p->facts->rootfs[i];
        const struct recovery_mount *mount = r->flat ? NULL : mount_at(p, 0, r->path);
        struct recovery_step *step;
        account_for(p, mount);
        if (r->busy)
            continue;
        if (r->state == RECOVERY_RELEASING) {
            add_step(p, RECOVERY_RELEASE, RECOVERY_ROOTFS, r->id, r->path, "its removal was not finished");
        } else if (r->state == RECOVERY_PREPARED && !mount) {
            add_step(p, RECOVERY_RELEASE, RECOVERY_ROOTFS, r->id, r->path, "it was not made to its end");
        } else if (r->flat || (mount && !r->view_dead)) {
            step =
                add_step(p, RECOVERY_ADOPT, RECOVERY_ROOTFS, r->id, r->path, r->flat ? "a plain directory" : "mounted");
            step->mount_id = mount ? mount->id : 0;
        } else {
            if (mount) {
                step = add_step(p, RECOVERY_UNMOUNT, RECOVERY_ROOTFS, r->id, r->path, "no process serves it");
                step->mount_id = mount->id;
            }
            add_step(p, RECOVERY_MOUNT, RECOVERY_ROOTFS, r->id, r->path, "in the table, not mounted");
        }
    }
}

static void plan_missing(struct planner *p, const struct recovery_attachment *a)
{
    if (is_wanted(p, a))
        add_attachment_step(p, RECOVERY_MOUNT, a, 0,
                            a->same_boot ? "asked for, not yet mounted" : "of an earlier boot");
    else if (a->namespace_gone)
        add_attachment_step(p, RECOVERY_FORGET, a, NULL, "its namespace is gone");
    else
        add_attachment_step(p, RECOVERY_FORGET, a, NULL, "in the table, not mounted");
}

static void plan_attachment(struct planner *p, const struct recovery_attachment *a)
{
    const struct recovery_mount *mount = NULL;
    enum finding found = find_attachment(p, a, &mount);
    account_for(p, mount);
    if (found == NOT_THERE) {
        plan_missing(p, a);
    } else if (found == THERE) {
        add_attachment_step(p, RECOVERY_ADOPT, a, mount, "mounted, in the table");
    } else {
        struct recovery_step *step = add_step(p, RECOVERY_UNMOUNT, RECOVERY_BARE_MOUNT, volume_of(p, a)->name,
                                              mount->target, "its view was replaced");
        step->row_id = a->id;
        step->mount_id = mount->id;
        add_attachment_step(p, RECOVERY_MOUNT, a, NULL, "its view was replaced");
    }
}

static void finish_detach(struct planner *p, const struct recovery_attachment *a)
{
    const struct recovery_mount *mount = NULL;
    if (find_attachment(p, a, &mount) == NOT_THERE) {
        add_attachment_step(p, RECOVERY_FORGET, a, NULL, "its detaching was not finished, and nothing is mounted");
    } else {
        account_for(p, mount);
        add_attachment_step(p, RECOVERY_UNMOUNT, a, mount, "its detaching was not finished");
    }
}

/* leaving says which half is planned: what goes, before the views, or what stays, after them. */
static void plan_attachments(struct planner *p, bool leaving)
{
    for (size_t i = 0; i < p->facts->n_attachments; i++) {
        const struct recovery_attachment *a = &p->facts->attachments[i];
        const struct recovery_mount *mount = NULL;
        const struct recovery_volume *v = volume_of(p, a);
        if (goes_with_container(p, a->container) || g_hash_table_contains(p->released, &a->volume_id) ||
            (v && v->busy)) {
            if (find_attachment(p, a, &mount) != NOT_THERE)
                account_for(p, mount);
        } else if (a->state == RECOVERY_HANDED) {
            if (leaving && !a->same_boot)
                add_attachment_step(p, RECOVERY_FORGET, a, NULL, "of an earlier boot");
            else if (!leaving && a->same_boot)
                add_attachment_step(p, RECOVERY_LEAVE, a, NULL, "mounted by the container's runtime");
        } else if (a->state == RECOVERY_RELEASING) {
            if (leaving)
                finish_detach(p, a);
        } else if (!leaving) {
            plan_attachment(p, a);
        }
    }
}

static bool is_directly_below(const char *path, const char *dir)
{
    size_t length = dir ? strlen(dir) : 0;
    return length && strncmp(path, dir, length) == 0 && path[length] == '/' && path[length + 1] &&
           !strchr(path + length + 1, '/');
}

/* In our own directories a mount that no row accounts for is a view of ours that lost its row. */
static void plan_other_mounts(struct planner *p, bool leaving)
{
    for (size_t i = 0; i < p->facts->n_mounts; i++) {
        const struct recovery_mount *mount = &p->facts->mounts[i];
        if (g_hash_table_contains(p->own_mounts, mount))
            continue;
        bool orphan = mount->namespace == 0 && (is_directly_below(mount->target, p->facts->view_dir) ||
                                                is_directly_below(mount->target, p->facts->rootfs_dir));
        struct recovery_step *step = NULL;
        if (orphan && leaving)
            step = add_step(p, RECOVERY_UNMOUNT, RECOVERY_BARE_MOUNT, "", mount->target, "no row of the table has it");
        else if (!orphan && !leaving && strcmp(mount->fstype, "fuse.gidfs") == 0)
            step = add_step(p, RECOVERY_LEAVE, RECOVERY_BARE_MOUNT, "", mount->target,
                            mount->namespace ? "in a container's mount namespace, not made there by this service"
                                             : "not made by this service");
        if (step)
            step->mount_id = mount->id;
    }
}

/* Rows account for their mounts before the mounts without a row are looked for. */
static void account_for_rows(struct planner *p)
{
    for (size_t i = 0; i < p->facts->n_volumes; i++)
        account_for(p, mount_at(p, 0, p->facts->volumes[i].view));
    for (size_t i = 0; i < p->facts->n_rootfs; i++)
        account_for(p, mount_at(p, 0, p->facts->rootfs[i].path));
}

static void start_planner(struct planner *p, const struct recovery_facts *facts)
{
    *p = (struct planner){
        .facts = facts,
        .steps = g_ptr_array_new_with_free_func(free_step),
        .mounts_by_place = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .mounts_by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .volumes_by_id = g_hash_table_new(g_int64_hash, g_int64_equal),
        .live = facts->live ? g_hash_table_new(g_str_hash, g_str_equal) : NULL,
        .dead = g_hash_table_new(g_str_hash, g_str_equal),
        .known = g_hash_table_new(g_str_hash, g_str_equal),
        .used = g_hash_table_new(g_int64_hash, g_int64_equal),
        .released = g_hash_table_new(g_int64_hash, g_int64_equal),
        .fresh = g_hash_table_new(g_int64_hash, g_int64_equal),
        .own_mounts = g_hash_table_new(NULL, NULL),
        .claimed = g_hash_table_new(NULL, NULL),
    };
    index_facts(p);
}

static GPtrArray *end_planner(struct planner *p)
{
    g_clear_pointer(&p->live, g_hash_table_unref);
    g_hash_table_unref(p->mounts_by_place);
    g_hash_table_unref(p->mounts_by_id);
    g_hash_table_unref(p->volumes_by_id);
    g_hash_table_unref(p->dead);
    g_hash_table_unref(p->known);
    g_hash_table_unref(p->used);
    g_hash_table_unref(p->released);
    g_hash_table_unref(p->fresh);
    g_hash_table_unref(p->own_mounts);
    g_hash_table_unref(p->claimed);
    return p->steps;
}

GPtrArray *recovery_plan(const struct recovery_facts *facts)
{
    struct planner p;
    start_planner(&p, facts);
    plan_containers(&p);
    collect_used_volumes(&p);
    plan_releases(&p);
    plan_attachments(&p, true);
    account_for_rows(&p);
    plan_other_mounts(&p, true);
    plan_views(&p);
    plan_rootfs(&p);
    plan_attachments(&p, false);
    plan_other_mounts(&p, false);
    return end_planner(&p);
}
