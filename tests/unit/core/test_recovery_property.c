/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recovery plan over thousands of random worlds. A world is rows and mounts in any state that kills, reboots,
 * unmounts by hand and strangers can leave behind; a small model applies the plan. Then:
 *  - planning again gives nothing to do;
 *  - no mount of a stranger was touched.
 */
#include "core/recovery_plan.h"

#include "gidfs_test.h"

#include <string.h>

#define VIEW_DIR "/run/gidfs/views"
enum {
    N_VOLUMES = 4,
    N_ATTACHMENTS = 6,
    N_CONTAINERS = 3,
    N_ROOTFS = 2,
    N_STRANGERS = 3,
    MAX_MOUNTS = 64,
    N_WORLDS = 20000,
};

static const char *const names[] = {"a", "ab", "b", "c"};
static const char *const sources[] = {"/srv/a", "/srv/ab", "/srv/a/b", "/srv/c"};
static const char *const views[] = {VIEW_DIR "/a", VIEW_DIR "/ab", VIEW_DIR "/b", VIEW_DIR "/c"};
static const char *const containers[] = {"web", "web-1", "db"};
static const char *const targets[] = {"/c/0", "/c/1", "/c/2", "/c/3", "/c/4", "/c/5"};
static const char *const rootfs_ids[] = {"r0", "r1"};
static const char *const rootfs_paths[] = {"/run/gidfs/rootfs/r0", "/run/gidfs/rootfs/r1"};
static const char *const strange_targets[] = {"/mnt/x", "/mnt/y", "/c/0"};

struct world {
    struct recovery_volume volumes[N_VOLUMES];
    struct recovery_attachment attachments[N_ATTACHMENTS];
    struct recovery_container containers[N_CONTAINERS];
    struct recovery_rootfs rootfs[N_ROOTFS];
    struct recovery_mount mounts[MAX_MOUNTS];
    size_t n_volumes, n_attachments, n_containers, n_rootfs, n_mounts;
    const char *live[N_CONTAINERS + 1];
    bool live_known;
    int next_id;
    uint64_t next_dev;
};

static bool one_in(GRand *rand, int n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

static struct recovery_mount *add_mount(struct world *w, const char *target, const char *source, uint64_t dev)
{
    assert_true(w->n_mounts < MAX_MOUNTS);
    for (size_t i = 0; i < w->n_mounts; i++) {
        if (w->mounts[i].namespace == 0 && strcmp(w->mounts[i].target, target) == 0)
            w->mounts[i].covered = true;
    }
    struct recovery_mount *mount = &w->mounts[w->n_mounts++];
    *mount = (struct recovery_mount){
        .id = w->next_id++, .dev = dev, .target = target, .source = source, .fstype = "fuse.gidfs"};
    return mount;
}

static void make_volumes(struct world *w, GRand *rand)
{
    for (int i = 0; i < N_VOLUMES; i++) {
        if (one_in(rand, 4))
            continue;
        struct recovery_volume *v = &w->volumes[w->n_volumes++];
        *v = (struct recovery_volume){
            .id = i + 1,
            .name = names[i],
            .source = sources[i],
            .view = views[i],
            .container = one_in(rand, 3) ? containers[g_rand_int_range(rand, 0, N_CONTAINERS)] : NULL,
            .state = (enum recovery_state)g_rand_int_range(rand, 0, 3),
            .sandbox = one_in(rand, 2),
            .source_gone = one_in(rand, 6),
            .view_dead = one_in(rand, 6),
            .same_boot = !one_in(rand, 4),
        };
    }
    for (int i = 0; i < N_VOLUMES; i++) { /* also those that have no row: orphans */
        if (!one_in(rand, 3))
            add_mount(w, views[i], one_in(rand, 8) ? "/srv/mixed-up" : sources[i], w->next_dev++);
    }
}

static uint64_t dev_of_view(const struct world *w, const char *view)
{
    for (size_t i = 0; i < w->n_mounts; i++) {
        if (!w->mounts[i].covered && w->mounts[i].namespace == 0 && strcmp(w->mounts[i].target, view) == 0)
            return w->mounts[i].dev;
    }
    return 7777;
}

static void make_attachments(struct world *w, GRand *rand)
{
    for (int i = 0; i < N_ATTACHMENTS && w->n_volumes; i++) {
        const struct recovery_volume *v = &w->volumes[g_rand_int_range(rand, 0, (int)w->n_volumes)];
        struct recovery_attachment *a = &w->attachments[w->n_attachments++];
        *a = (struct recovery_attachment){
            .id = i + 1,
            .volume_id = v->id,
            .target = targets[i],
            .namespace = one_in(rand, 4) ? 5 : 0,
            .container = one_in(rand, 2) ? containers[g_rand_int_range(rand, 0, N_CONTAINERS)] : NULL,
            .state = (enum recovery_state)g_rand_int_range(rand, 0, 4),
            .same_boot = v->same_boot,
        };
        const struct recovery_attachment *last = i > 0 ? &w->attachments[w->n_attachments - 2] : NULL;
        if (last && last->same_boot && one_in(rand, 4)) { /* an update: one leaves, one comes at the same target */
            *a = *last;
            a->id = i + 1;
            a->mount_id = 0;
            a->state = RECOVERY_PREPARED;
            continue;
        }
        a->namespace_gone = a->namespace && (one_in(rand, 3) || !a->same_boot);
        if (a->namespace_gone || one_in(rand, 3))
            continue;
        struct recovery_mount *m = add_mount(w, a->target, v->source, one_in(rand, 5) ? 666 : dev_of_view(w, v->view));
        m->namespace = a->namespace;
        a->mount_id = a->state == RECOVERY_PREPARED && one_in(rand, 2) ? 0 : m->id;
    }
}

static void make_rest(struct world *w, GRand *rand)
{
    int n_live = 0;
    for (int i = 0; i < N_CONTAINERS; i++) {
        if (one_in(rand, 3))
            continue;
        w->containers[w->n_containers++] = (struct recovery_container){
            .id = containers[i],
            .parent = one_in(rand, 3) ? containers[g_rand_int_range(rand, 0, N_CONTAINERS)] : NULL,
            .state = (enum recovery_state)g_rand_int_range(rand, 0, 3),
            .rootfs_gone = one_in(rand, 8),
            .same_boot = !one_in(rand, 5),
        };
        if (one_in(rand, 2))
            w->live[n_live++] = containers[i];
    }
    w->live_known = one_in(rand, 2);
    for (int i = 0; i < N_ROOTFS; i++) {
        w->rootfs[w->n_rootfs++] = (struct recovery_rootfs){
            .id = rootfs_ids[i],
            .path = rootfs_paths[i],
            .state = (enum recovery_state)g_rand_int_range(rand, 0, 3),
            .flat = one_in(rand, 3),
            .view_dead = one_in(rand, 4),
        };
        if (!w->rootfs[i].flat && one_in(rand, 2))
            add_mount(w, rootfs_paths[i], "rootfs", w->next_dev++);
    }
    for (int i = 0; i < N_STRANGERS; i++) {
        if (one_in(rand, 2))
            continue;
        struct recovery_mount *m = add_mount(w, strange_targets[i], "stranger", 9000 + (uint64_t)i);
        m->fstype = one_in(rand, 2) ? "tmpfs" : "fuse.gidfs";
    }
}

static GPtrArray *plan(const struct world *w)
{
    return recovery_plan(&(struct recovery_facts){
        .view_dir = VIEW_DIR,
        .rootfs_dir = "/run/gidfs/rootfs",
        .volumes = w->volumes,
        .n_volumes = w->n_volumes,
        .attachments = w->attachments,
        .n_attachments = w->n_attachments,
        .containers = w->containers,
        .n_containers = w->n_containers,
        .rootfs = w->rootfs,
        .n_rootfs = w->n_rootfs,
        .mounts = w->mounts,
        .n_mounts = w->n_mounts,
        .live = w->live_known ? w->live : NULL,
    });
}

#define drop(array, n, i) memmove(&(array)[i], &(array)[(i) + 1], (--(n) - (i)) * sizeof((array)[0]))

static void unmount(struct world *w, int id)
{
    for (size_t i = 0; i < w->n_mounts; i++) {
        if (w->mounts[i].id != id)
            continue;
        if (strcmp(w->mounts[i].source, "stranger") == 0)
            fail_msg("the mount of a stranger at %s was unmounted", w->mounts[i].target);
        struct recovery_mount gone = w->mounts[i];
        drop(w->mounts, w->n_mounts, i);
        for (size_t j = w->n_mounts; !gone.covered && j-- > 0;) {
            if (w->mounts[j].namespace == gone.namespace && strcmp(w->mounts[j].target, gone.target) == 0) {
                w->mounts[j].covered = false; /* what was below it is on top now */
                break;
            }
        }
        return;
    }
}

/* What the service would know to be its own: by id, or by the target as long as no id was written. */
static void drop_attachment(struct world *w, size_t i)
{
    if (w->attachments[i].mount_id && w->attachments[i].same_boot)
        unmount(w, w->attachments[i].mount_id);
    drop(w->attachments, w->n_attachments, i);
}

static void release_volume(struct world *w, int64_t id)
{
    for (size_t i = w->n_attachments; i-- > 0;) {
        if (w->attachments[i].volume_id == id)
            drop_attachment(w, i);
    }
    for (size_t i = w->n_volumes; i-- > 0;) {
        if (w->volumes[i].id != id)
            continue;
        for (size_t j = w->n_mounts; j-- > 0;) {
            if (strcmp(w->mounts[j].target, w->volumes[i].view) == 0)
                unmount(w, w->mounts[j].id);
        }
        drop(w->volumes, w->n_volumes, i);
    }
}

static void clean_up(struct world *w, const char *id)
{
    for (size_t i = w->n_attachments; i-- > 0;) {
        if (g_strcmp0(w->attachments[i].container, id) == 0)
            drop_attachment(w, i);
    }
    for (size_t i = w->n_containers; i-- > 0;) {
        if (strcmp(w->containers[i].id, id) == 0)
            drop(w->containers, w->n_containers, i);
    }
}

static void apply_to_attachment(struct world *w, const struct recovery_step *step)
{
    size_t i = 0;
    while (i < w->n_attachments && w->attachments[i].id != step->row_id)
        i++;
    if (i == w->n_attachments)
        return;
    struct recovery_attachment *a = &w->attachments[i];
    if (step->action == RECOVERY_FORGET || step->action == RECOVERY_UNMOUNT) {
        unmount(w, step->mount_id);
        drop(w->attachments, w->n_attachments, i);
        return;
    }
    if (step->action == RECOVERY_MOUNT) {
        const struct recovery_volume *v = w->volumes;
        while (v->id != a->volume_id)
            v++;
        struct recovery_mount *m = add_mount(w, a->target, v->source, dev_of_view(w, v->view));
        m->namespace = a->namespace;
        a->mount_id = m->id;
    } else if (step->action == RECOVERY_ADOPT) {
        a->mount_id = step->mount_id;
    }
    if (a->state != RECOVERY_HANDED)
        a->state = RECOVERY_MOUNTED;
    a->same_boot = true;
}

static void apply_to_view(struct world *w, const struct recovery_step *step)
{
    struct recovery_volume *v = w->volumes;
    while (v->id != step->row_id)
        v++;
    if (step->action == RECOVERY_UNMOUNT)
        unmount(w, step->mount_id);
    if (step->action == RECOVERY_MOUNT) {
        add_mount(w, v->view, v->source, w->next_dev++);
        v->view_dead = false;
    }
    v->state = RECOVERY_MOUNTED;
    v->same_boot = true;
}

static void apply_to_rootfs(struct world *w, const struct recovery_step *step)
{
    size_t i = 0;
    while (strcmp(w->rootfs[i].id, step->name) != 0)
        i++;
    for (size_t j = w->n_mounts; step->action == RECOVERY_RELEASE && j-- > 0;) {
        if (strcmp(w->mounts[j].target, w->rootfs[i].path) == 0)
            unmount(w, w->mounts[j].id);
    }
    if (step->action == RECOVERY_UNMOUNT) {
        unmount(w, step->mount_id);
    } else if (step->action == RECOVERY_MOUNT) {
        add_mount(w, w->rootfs[i].path, "rootfs", w->next_dev++);
        w->rootfs[i].view_dead = false;
    } else if (step->action == RECOVERY_RELEASE) {
        drop(w->rootfs, w->n_rootfs, i);
        return;
    }
    w->rootfs[i].state = RECOVERY_MOUNTED;
}

static void apply(struct world *w, const struct recovery_step *step)
{
    if (step->action == RECOVERY_LEAVE)
        return;
    switch (step->what) {
    case RECOVERY_VOLUME:
        release_volume(w, step->row_id);
        break;
    case RECOVERY_VIEW:
        apply_to_view(w, step);
        break;
    case RECOVERY_ATTACHMENT:
        apply_to_attachment(w, step);
        break;
    case RECOVERY_CONTAINER:
        clean_up(w, step->name);
        break;
    case RECOVERY_ROOTFS:
        apply_to_rootfs(w, step);
        break;
    case RECOVERY_BARE_MOUNT:
        unmount(w, step->mount_id);
        break;
    }
}

static size_t count_strangers(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_mounts; i++)
        n += strcmp(w->mounts[i].source, "stranger") == 0;
    return n;
}

static void check_world(guint32 seed)
{
    GRand *rand = g_rand_new_with_seed(seed);
    struct world w = {.next_id = 100, .next_dev = 50};
    make_volumes(&w, rand);
    make_attachments(&w, rand);
    make_rest(&w, rand);
    size_t n_strangers = count_strangers(&w);

    g_autoptr(GPtrArray) first = plan(&w);
    for (guint i = 0; i < first->len; i++)
        apply(&w, first->pdata[i]);
    assert_int_equal(count_strangers(&w), n_strangers);

    g_autoptr(GPtrArray) second = plan(&w);
    for (guint i = 0; i < second->len; i++) {
        const struct recovery_step *step = second->pdata[i];
        if (step->action != RECOVERY_ADOPT && step->action != RECOVERY_LEAVE)
            fail_msg("seed %u: the second plan still says: %s %s %s %s (%s)", seed,
                     recovery_action_to_string(step->action), recovery_what_to_string(step->what), step->name,
                     step->target ? step->target : "-", step->reason);
    }
    g_rand_free(rand);
}

static void test_planning_again_gives_nothing_to_do(void **state)
{
    for (guint32 seed = 1; seed <= N_WORLDS; seed++)
        check_world(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planning_again_gives_nothing_to_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
