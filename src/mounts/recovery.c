/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery from beginning to end: alone among the container verbs, with the volumes probed, one plan, and its steps in
 * order. Steps on views, which wait for gidfs-view, are taken several at a time.
 */
#include "mounts/recovery.h"

#include "base/log.h"
#include "mounts/recovery_private.h"

#define PROBE_PATIENCE_MS 5000
#define VIEW_STARTERS     4

struct taken {
    bool done;
    GError *error;
};

struct recovery {
    struct registry *registry;
    GPtrArray *steps;    /* of struct recovery_step */
    struct taken *taken; /* one for each step */
};

/* With the lock held. */
static void begin(struct registry *registry)
{
    while (registry->is_recovering || registry->n_container_verbs)
        g_cond_wait(&registry->changed, &registry->lock);
    registry->is_recovering = true;
}

static void end(struct registry *registry)
{
    registry->is_recovering = false;
    g_cond_broadcast(&registry->changed);
}

static void take(struct recovery *recovery, guint i)
{
    struct taken *taken = &recovery->taken[i];
    g_mutex_lock(&recovery->registry->lock);
    taken->done = recovery_apply(recovery->registry, recovery->steps->pdata[i], &taken->error) == 0;
    g_mutex_unlock(&recovery->registry->lock);
}

/* A thread of the pool; data is the index of the step plus one. */
static void take_in_pool(void *data, void *user_data)
{
    take(user_data, GPOINTER_TO_UINT(data) - 1);
}

/* Whether the step may be taken beside others: it starts or adopts a view, and no step of the same view is left. */
static bool is_parallel(const struct recovery_step *step)
{
    return step->what == RECOVERY_VIEW && (step->action == RECOVERY_MOUNT || step->action == RECOVERY_ADOPT);
}

/* The views are one run of steps in the plan. What unmounts one of them is taken before any is mounted. */
static void take_views(struct recovery *recovery, guint from, guint to)
{
    GThreadPool *pool = g_thread_pool_new(take_in_pool, recovery, VIEW_STARTERS, FALSE, NULL);
    for (guint i = from; i < to; i++) {
        if (!is_parallel(recovery->steps->pdata[i]))
            take(recovery, i);
    }
    for (guint i = from; i < to; i++) {
        if (is_parallel(recovery->steps->pdata[i]))
            g_thread_pool_push(pool, GUINT_TO_POINTER(i + 1), NULL);
    }
    g_thread_pool_free(pool, FALSE, TRUE);
}

static void take_all(struct recovery *recovery)
{
    for (guint i = 0; i < recovery->steps->len;) {
        guint to = i;
        while (to < recovery->steps->len &&
               ((const struct recovery_step *)recovery->steps->pdata[to])->what == RECOVERY_VIEW)
            to++;
        if (to > i)
            take_views(recovery, i, to);
        else
            take(recovery, to++);
        i = to;
    }
}

static GPtrArray *plan(struct registry *registry, const char *const *live, GError **error)
{
    struct recovery_findings findings;
    recovery_probe(registry, PROBE_PATIENCE_MS);
    if (recovery_collect(registry, live, &findings, error) < 0)
        return NULL;
    GPtrArray *steps = recovery_plan(&findings.facts);
    recovery_findings_clear(&findings);
    return steps;
}

static void show(const struct recovery *recovery, recovery_visitor visit, void *data)
{
    for (guint i = 0; i < recovery->steps->len; i++) {
        const struct taken *taken = recovery->taken ? &recovery->taken[i] : NULL;
        visit(recovery->steps->pdata[i], taken && taken->done, taken ? taken->error : NULL, data);
    }
}

int registry_recover(struct registry *registry, const char *const *live, bool dry_run, recovery_visitor visit,
                     void *data, GError **error)
{
    struct recovery recovery = {.registry = registry};
    g_mutex_lock(&registry->lock);
    begin(registry);
    recovery.steps = plan(registry, live, error);
    g_mutex_unlock(&registry->lock);
    if (recovery.steps && !dry_run) {
        recovery.taken = g_new0(struct taken, recovery.steps->len);
        take_all(&recovery);
    }
    g_mutex_lock(&registry->lock);
    if (!dry_run)
        gids_review_locked(registry);
    end(registry);
    g_mutex_unlock(&registry->lock);
    if (!recovery.steps)
        return error && *error ? gidfs_error_to_errno(*error) : -EIO;
    show(&recovery, visit, data);
    for (guint i = 0; recovery.taken && i < recovery.steps->len; i++)
        g_clear_error(&recovery.taken[i].error);
    g_free(recovery.taken);
    g_ptr_array_unref(recovery.steps);
    return 0;
}

static void log_step(const struct recovery_step *step, bool done, const GError *error, void *data)
{
    const char *action = recovery_action_to_string(step->action), *what = recovery_what_to_string(step->what);
    bool is_quiet = step->action == RECOVERY_ADOPT || step->action == RECOVERY_LEAVE;
    if (error)
        log_error("recovery: %s %s \"%s\"%s%s (%s): %s", action, what, step->name, step->target ? " at " : "",
                  step->target ? step->target : "", step->reason, error->message);
    else
        log_message(is_quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "recovery: %s %s \"%s\"%s%s: %s", action, what,
                    step->name, step->target ? " at " : "", step->target ? step->target : "", step->reason);
}

static void *recover_in_thread(void *data)
{
    struct registry *registry = data;
    g_autoptr(GError) error = NULL;
    if (registry_recover(registry, NULL, false, log_step, NULL, &error) < 0)
        log_error("recovery: %s", error->message);
    g_mutex_lock(&registry->lock);
    registry->is_started = true;
    g_cond_broadcast(&registry->changed);
    g_mutex_unlock(&registry->lock);
    return NULL;
}

void registry_start(struct registry *registry, unsigned int patience_ms)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)patience_ms * 1000;
    registry->starter = g_thread_new("recovery", recover_in_thread, registry);
    g_mutex_lock(&registry->lock);
    while (!registry->is_started && g_cond_wait_until(&registry->changed, &registry->lock, end_us))
        ;
    g_mutex_unlock(&registry->lock);
}
