/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks come from a pool of their own: what is configured, or what login.defs leaves, without all ids that the host
 * has given away and without the gids of volumes. A block that was given back is handed out again after all others.
 */
#include "mounts/blocks.h"

#include "core/path_rules.h"
#include "core/subid.h"
#include "mounts/registry_private.h"

#define BLOCK_SIZE_MAX (1u << 30)

static void add_file(struct host_ids *ids, size_t (*add)(struct host_ids *ids, const char *file, const char *text),
                     const char *path)
{
    g_autofree char *text = NULL;
    if (g_file_get_contents(path, &text, NULL, NULL))
        add(ids, path, text);
}

/* What the host has given away. A line of /etc/passwd has its id where one of /etc/group has it. */
static struct host_ids *read_host_ids(void)
{
    struct host_ids *ids = host_ids_new();
    add_file(ids, host_ids_add_groups, "/etc/passwd");
    add_file(ids, host_ids_add_groups, "/etc/group");
    add_file(ids, host_ids_add_subids, "/etc/subuid");
    add_file(ids, host_ids_add_subids, "/etc/subgid");
    return ids;
}

static int choose_range(const char *configured, struct range_set **ret_range, GError **error)
{
    g_autoptr(host_ids) ids = read_host_ids();
    g_autofree char *text = NULL;
    struct login_defs defs;

    if (!configured) {
        g_file_get_contents("/etc/login.defs", &text, NULL, NULL);
        login_defs_parse(text ? text : "", &defs);
        *ret_range = subid_default_range(&defs, ids);
        return 0;
    }
    int r = range_set_parse(configured, UINT32_MAX - 1, ret_range, error);
    if (r < 0)
        g_prefix_error(error, "range of subordinate ids %s: ", configured);
    else
        range_set_remove_set(*ret_range, host_ids_set(ids));
    return r;
}

static void keep(struct registry *registry, struct table_block *block)
{
    g_hash_table_insert(registry->blocks, block->owner, block);
}

static int load(struct registry *registry, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    int r = table_load_blocks(registry->table, &rows, error);
    if (r < 0)
        return r;
    g_ptr_array_set_free_func(rows, NULL);
    for (guint i = 0; i < rows->len; i++) {
        struct table_block *block = rows->pdata[i];
        keep(registry, block);
        if (r == 0)
            r = gid_pool_restore(registry->block_pool, (uint32_t)block->first, (uint64_t)block->count,
                                 GID_STATE_ALLOCATED, error);
    }
    return r;
}

/* The configured range, or the default, without what others have. */
static int effective_range(struct registry *registry, const char *configured, struct range_set **ret_range,
                           GError **error)
{
    g_autoptr(range_set) gids = NULL;
    g_autofree char *text = gid_book_ranges(registry->gids);

    int r = choose_range(configured, ret_range, error);
    if (r == 0 && range_set_parse(text, UINT32_MAX - 1, &gids, NULL) == 0)
        range_set_remove_set(*ret_range, gids);
    return r;
}

int blocks_open(struct registry *registry, const char *configured, GError **error)
{
    g_autoptr(range_set) range = NULL;

    registry->blocks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)table_block_free);
    int r = effective_range(registry, configured, &range, error);
    if (r < 0)
        return r;
    registry->block_pool = gid_pool_new(range, GID_POOL_RECENT_LAST);
    return load(registry, error);
}

int blocks_reconfigure(struct registry *registry, const char *configured, GError **error)
{
    g_autoptr(range_set) range = NULL;
    int r = effective_range(registry, configured, &range, error);
    if (r == 0)
        gid_pool_set_range(registry->block_pool, range);
    return r;
}

void blocks_close(struct registry *registry)
{
    g_clear_pointer(&registry->blocks, g_hash_table_unref);
    g_clear_pointer(&registry->block_pool, gid_pool_free);
}

static int refuse_exhausted(struct registry *registry, int64_t count, GError **error)
{
    struct gid_counts counts;
    gid_pool_count(registry->block_pool, &counts);
    int r =
        refuse(error, REFUSAL_EXHAUSTED,
               "no %" G_GINT64_FORMAT " subordinate ids in a row are free (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
               " are, in pieces); give blocks back, or extend [subids] ranges in the configuration",
               count, counts.free, counts.total);
    if (error)
        refusal_set_details(*error, g_variant_new_parsed("{'total': <%t>, 'allocated': <%t>, 'quarantined': <%t>, "
                                                         "'oldest': <@aa{sv} []>}",
                                                         counts.total, counts.allocated, counts.quarantined));
    return r;
}

/* A new block, with the lock held: table first. */
static int allocate(struct registry *registry, const char *owner, int64_t count, struct table_block **ret_block,
                    GError **error)
{
    uint32_t first;

    if (gid_pool_allocate_block(registry->block_pool, (uint64_t)count, 1, &first, NULL) < 0)
        return refuse_exhausted(registry, count, error);
    struct table_block *block = g_new0(struct table_block, 1);
    block->owner = g_strdup(owner);
    block->first = first;
    block->count = count;
    block->boot_id = g_strdup(registry->boot_id);
    block->created_s = g_get_real_time() / G_USEC_PER_SEC;
    int r = table_block_insert(registry->table, block, error);
    if (r < 0) {
        gid_pool_release(registry->block_pool, first, (uint64_t)count);
        gid_pool_end_quarantine(registry->block_pool, first, (uint64_t)count);
        table_block_free(block);
        return r;
    }
    keep(registry, block);
    *ret_block = block;
    return 0;
}

static int find_or_allocate(struct registry *registry, const char *owner, int64_t count, struct table_block **ret_block,
                            bool *ret_reused, GError **error)
{
    struct table_block *block = g_hash_table_lookup(registry->blocks, owner);
    if (!block)
        return allocate(registry, owner, count, ret_block, error);
    if (block->count != count)
        return refuse(error, REFUSAL_EXISTS,
                      "block \"%s\" has %" G_GINT64_FORMAT " ids already; ask for as many, or give it "
                      "back first",
                      owner, block->count);
    *ret_block = block;
    *ret_reused = true;
    return 0;
}

int block_create(struct registry *registry, const char *owner, int64_t count, block_visitor visit, void *data,
                 GError **error)
{
    struct table_block *block = NULL;
    bool reused = false;

    if (container_id_check(owner, error) < 0)
        return refuse_as(error, REFUSAL_BAD_REQUEST);
    if (count < 1 || count > BLOCK_SIZE_MAX)
        return refuse(error, REFUSAL_BAD_REQUEST, "count %" G_GINT64_FORMAT ": not a number from 1 to %u", count,
                      BLOCK_SIZE_MAX);
    g_mutex_lock(&registry->lock);
    int r = find_or_allocate(registry, owner, count, &block, &reused, error);
    if (r == 0 && visit)
        visit(block, reused, data);
    g_mutex_unlock(&registry->lock);
    return r;
}

int block_remove(struct registry *registry, const char *owner, block_visitor visit, void *data, GError **error)
{
    g_mutex_lock(&registry->lock);
    struct table_block *block = g_hash_table_lookup(registry->blocks, owner);
    int r = block ? table_block_delete(registry->table, owner, error)
                  : refuse(error, REFUSAL_NOT_FOUND, "block \"%s\": no such block of subordinate ids", owner);
    if (r == 0) {
        if (visit)
            visit(block, false, data);
        gid_pool_release(registry->block_pool, (uint32_t)block->first, (uint64_t)block->count);
        gid_pool_end_quarantine(registry->block_pool, (uint32_t)block->first, (uint64_t)block->count);
        g_hash_table_remove(registry->blocks, owner);
    }
    g_mutex_unlock(&registry->lock);
    return r;
}

/* How many blocks of the usual size fit into the ranges of a set. */
static uint64_t count_blocks(const struct range_set *set)
{
    struct range range;
    uint64_t n = 0;
    for (uint64_t at = 0; range_set_next_range(set, at, &range); at = range.end)
        n += (range.end - range.start) / BLOCK_SIZE_DEFAULT;
    return n;
}

static int compare_blocks(gconstpointer a, gconstpointer b)
{
    const struct table_block *left = a, *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

void block_visit_all(struct registry *registry, struct block_counts *ret_counts, char **ret_ranges, block_visitor visit,
                     void *data)
{
    g_mutex_lock(&registry->lock);
    ret_counts->total = count_blocks(gid_pool_range(registry->block_pool));
    ret_counts->free = count_blocks(gid_pool_ids(registry->block_pool, GID_STATE_FREE));
    *ret_ranges = range_set_to_string(gid_pool_range(registry->block_pool));
    g_autoptr(GList) blocks = g_list_sort(g_hash_table_get_values(registry->blocks), compare_blocks);
    for (GList *block = blocks; block; block = block->next)
        visit(block->data, false, data);
    g_mutex_unlock(&registry->lock);
}
