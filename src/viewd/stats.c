/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/stats.h"

#include "base/json.h"
#include "fuse/opcode.h"

#include <inttypes.h>
#include <time.h>

uint64_t stats_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The requests that are worked on: how many, and the age of the oldest in milliseconds, 0 when there is none. */
static unsigned look_at_work(const struct transport_state *transport, uint64_t *ret_oldest_ms)
{
    uint64_t now_ms = stats_now_ms(), begun_ms = now_ms;
    unsigned n = 0;
    for (unsigned i = 0; i < REQUEST_MAX_THREADS; i++) {
        const struct request_slot *slot = &transport->slots[i];
        if (slot->unique == 0)
            continue;
        n++;
        begun_ms = MIN(begun_ms, slot->begun_ms);
    }
    *ret_oldest_ms = now_ms - begun_ms;
    return n;
}

/* A path may be no UTF-8, and JSON must be. */
static void add_string(GString *json, const char *name, const char *value)
{
    g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;
    g_string_append_printf(json, ",\"%s\":", name);
    json_append_string(json, valid);
}

static void add_number(GString *json, const char *name, uint64_t value)
{
    g_string_append_printf(json, ",\"%s\":%" PRIu64, name, value);
}

static void add_bool(GString *json, const char *name, bool value)
{
    g_string_append_printf(json, ",\"%s\":%s", name, value ? "true" : "false");
}

static void add_requests(GString *json, const struct transport_state *transport)
{
    uint64_t total = 0, oldest_ms;
    const char *separator = "";
    g_string_append(json, ",\"requests\":{");
    for (uint32_t i = 0; i < TRANSPORT_N_OPCODES; i++) {
        uint64_t n = atomic_load_explicit(&transport->n_requests[i], memory_order_relaxed);
        const char *name = opcode_name(i);
        if (n == 0)
            continue;
        total += n;
        if (name)
            g_string_append_printf(json, "%s\"%s\":%" PRIu64, separator, name, n);
        else
            g_string_append_printf(json, "%s\"%u\":%" PRIu64, separator, i, n);
        separator = ",";
    }
    g_string_append_c(json, '}');
    add_number(json, "n_requests", total);
    add_number(json, "n_notifications", atomic_load(&transport->n_notifications));
    add_number(json, "n_requests_in_work", look_at_work(transport, &oldest_ms));
    add_number(json, "oldest_request_ms", oldest_ms);
}

static void add_watch(GString *json, const struct watch_state *watch)
{
    add_bool(json, "watched", watch->group_fd >= 0);
    add_number(json, "n_watched_inodes", atomic_load(&watch->n_marks));
    add_number(json, "n_changes", atomic_load(&watch->n_changes));
    add_number(json, "n_foreign_changes", atomic_load(&watch->n_foreign));
    add_number(json, "n_lost_changes", atomic_load(&watch->n_overflows));
    add_number(json, "n_echoes", atomic_load(&watch->n_echoes));
}

static void add_identity(GString *json, const struct stats_view *view)
{
    const struct view_options *options = view->options;
    g_autofree char *option_text = view_options_to_string(options);
    g_string_append(json, "\"version\":");
    json_append_string(json, GIDFS_VERSION);
    add_number(json, "keeper_pid", (uint64_t)view->keeper_pid);
    add_number(json, "worker_pid", (uint64_t)view->worker_pid);
    add_string(json, "source", view->source);
    add_string(json, "mountpoint", view->mountpoint);
    add_string(json, "options", option_text);
    if (options->has_gid)
        add_number(json, "gid", options->view_gid);
    else
        g_string_append(json, ",\"gid\":null");
    add_string(json, "policy", mode_policy_to_string(options->policy));
}

char *stats_to_json(const struct stats_view *view, const struct memory *memory)
{
    const struct inode_state *inodes = memory->inodes;
    GString *json = g_string_new("{");
    uint64_t n_shared_bytes =
        inode_state_size(atomic_load(&inodes->n_records_used)) + offsetof(struct transport_state, orphan_lookups);
    add_identity(json, view);
    add_number(json, "uptime_ms", stats_now_ms() - view->started_ms);
    add_number(json, "n_workers_started", atomic_load(&memory->header->n_workers));
    add_bool(json, "passthrough",
             view->options->passthrough != VIEW_PASSTHROUGH_OFF && !atomic_load(&memory->source->no_passthrough));
    add_number(json, "n_inodes", atomic_load(&inodes->n_inodes));
    add_number(json, "n_inodes_max", memory->n_inodes_max);
    add_number(json, "n_fds", atomic_load(&inodes->n_fds));
    add_number(json, "n_bytes", n_shared_bytes + atomic_load(&inodes->n_private_bytes));
    add_watch(json, &memory->header->watch);
    add_requests(json, memory->transport);
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}
