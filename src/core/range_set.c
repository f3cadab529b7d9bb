/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A treap: a search tree by start that is a heap by priority. Priorities come from a generator with a fixed seed, so
 * the shape is balanced in expectation whatever the ranges are, and the same for the same calls. Each node knows the
 * sum and the maximum of the lengths below it, which is what makes counting and first fit a walk down one path.
 *
 * All changes are made of two operations: split a tree at a key, and merge two trees of which one lies wholly before
 * the other. A set owns its nodes.
 */
#include "core/range_set.h"

#include "core/number.h"

#include <errno.h>
#include <string.h>

struct node {
    /*
     * INVARIANT: range.start < range.end, and between two ranges of a set lies at least one number that is not in it
     * (ranges that touch are one range). So a set has exactly one form, and its ends are in the order of its starts.
     */
    struct range range;
    /* INVARIANT: of this node and all below it. */
    uint64_t sum_length, max_length;
    size_t n_nodes;
    /* INVARIANT: not lower than the children's. */
    uint64_t priority;
    struct node *left, *right; /* starts before, and behind, this one's */
};

struct range_set {
    struct node *root;
    uint64_t generator; /* of priorities; never 0 */
};

static uint64_t length_of(const struct node *node)
{
    return node->range.end - node->range.start;
}

/* Makes a node right again after its range or its children changed. */
static void update(struct node *node)
{
    node->n_nodes = 1;
    node->sum_length = node->max_length = length_of(node);
    struct node *const children[] = {node->left, node->right};
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        if (!children[i])
            continue;
        node->n_nodes += children[i]->n_nodes;
        node->sum_length += children[i]->sum_length;
        node->max_length = MAX(node->max_length, children[i]->max_length);
    }
}

/* Cuts tree in two: the ranges that start before key, and the others. */
static void split(struct node *tree, uint64_t key, struct node **ret_before, struct node **ret_behind)
{
    if (!tree) {
        *ret_before = *ret_behind = NULL;
    } else if (tree->range.start < key) {
        split(tree->right, key, &tree->right, ret_behind);
        update(tree);
        *ret_before = tree;
    } else {
        split(tree->left, key, ret_before, &tree->left);
        update(tree);
        *ret_behind = tree;
    }
}

/* One tree of two; everything in before starts before everything in behind. */
static struct node *merge(struct node *before, struct node *behind)
{
    if (!before || !behind)
        return before ? before : behind;
    if (before->priority > behind->priority) {
        before->right = merge(before->right, behind);
        update(before);
        return before;
    }
    behind->left = merge(before, behind->left);
    update(behind);
    return behind;
}

static void free_tree(struct node *tree)
{
    if (!tree)
        return;
    free_tree(tree->left);
    free_tree(tree->right);
    g_free(tree);
}

static const struct node *last_of(const struct node *tree)
{
    while (tree && tree->right)
        tree = tree->right;
    return tree;
}

/* xorshift64 */
static uint64_t next_priority(struct range_set *set)
{
    set->generator ^= set->generator << 13;
    set->generator ^= set->generator >> 7;
    set->generator ^= set->generator << 17;
    return set->generator;
}

/* A tree of the one range [start, end); none if that is empty. */
static struct node *new_tree(struct range_set *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return NULL;
    struct node *node = g_new0(struct node, 1);
    node->range = (struct range){start, end};
    node->priority = next_priority(set);
    update(node);
    return node;
}

struct range_set *range_set_new(void)
{
    struct range_set *set = g_new0(struct range_set, 1);
    set->generator = 0x9e3779b97f4a7c15;
    return set;
}

static struct node *copy_tree(const struct node *tree)
{
    if (!tree)
        return NULL;
    struct node *copy = g_memdup2(tree, sizeof(*tree));
    copy->left = copy_tree(tree->left);
    copy->right = copy_tree(tree->right);
    return copy;
}

struct range_set *range_set_copy(const struct range_set *set)
{
    struct range_set *copy = g_memdup2(set, sizeof(*set));
    copy->root = copy_tree(set->root);
    return copy;
}

void range_set_free(struct range_set *set)
{
    if (!set)
        return;
    free_tree(set->root);
    g_free(set);
}

/*
 * Takes the ranges that start in [start, end] out of the set, and the one before them if it reaches start; returns from
 * where to where they go (nothing: [start, start)). The set is left as two trees, of which the caller makes one again.
 */
static struct range take_out(struct range_set *set, uint64_t start, uint64_t end, struct node **ret_before,
                             struct node **ret_behind)
{
    struct range taken = {start, start};
    struct node *before, *middle, *behind;
    split(set->root, start, &before, &behind);
    const struct node *last = last_of(before);
    if (last && last->range.end >= start) {
        taken = last->range;
        split(before, taken.start, &before, &middle);
        free_tree(middle);
    }
    split(behind, end == UINT64_MAX ? end : end + 1, &middle, &behind);
    last = last_of(middle);
    if (last)
        taken.end = last->range.end;
    free_tree(middle);
    set->root = NULL;
    *ret_before = before;
    *ret_behind = behind;
    return taken;
}

void range_set_add(struct range_set *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    struct node *before, *behind;
    struct range taken = take_out(set, start, end, &before, &behind);
    struct node *grown = new_tree(set, MIN(start, taken.start), MAX(end, taken.end));
    set->root = merge(merge(before, grown), behind);
}

void range_set_remove(struct range_set *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    struct node *before, *behind;
    struct range taken = take_out(set, start, end, &before, &behind);
    before = merge(before, new_tree(set, taken.start, start));
    behind = merge(new_tree(set, end, taken.end), behind);
    set->root = merge(before, behind);
}

void range_set_remove_set(struct range_set *set, const struct range_set *other)
{
    struct range range;
    for (uint64_t at = 0; range_set_next_range(other, at, &range); at = range.end)
        range_set_remove(set, range.start, range.end);
}

struct range_set *range_set_intersect(const struct range_set *a, const struct range_set *b)
{
    struct range_set *both = range_set_new();
    struct range x, y;
    uint64_t at = 0; /* all before it is done */
    while (range_set_next_range(a, at, &x) && range_set_next_range(b, at, &y)) {
        at = MIN(x.end, y.end);
        range_set_add(both, MAX(x.start, y.start), at);
    }
    return both;
}

/* The node with the first range that ends behind from; NULL if there is none. */
static const struct node *find(const struct range_set *set, uint64_t from)
{
    const struct node *found = NULL;
    for (const struct node *node = set->root; node;) {
        if (node->range.end > from) {
            found = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

bool range_set_contains(const struct range_set *set, uint64_t number)
{
    const struct node *node = find(set, number);
    return node && node->range.start <= number;
}

bool range_set_contains_all(const struct range_set *set, uint64_t start, uint64_t end)
{
    const struct node *node = find(set, start);
    return start < end && node && node->range.start <= start && node->range.end >= end;
}

bool range_set_contains_any(const struct range_set *set, uint64_t start, uint64_t end)
{
    const struct node *node = find(set, start);
    return start < end && node && node->range.start < end;
}

bool range_set_next_range(const struct range_set *set, uint64_t from, struct range *ret_range)
{
    const struct node *node = find(set, from);
    if (!node)
        return false;
    *ret_range = (struct range){MAX(node->range.start, from), node->range.end};
    return true;
}

bool range_first_fit(struct range range, uint64_t from, uint64_t length, uint64_t alignment, uint64_t *ret_start)
{
    uint64_t start = MAX(range.start, from), over = start % alignment;
    if (over > 0) {
        uint64_t up = alignment - over;
        if (start > UINT64_MAX - up)
            return false;
        start += up;
    }
    if (start >= range.end || range.end - start < length)
        return false;
    *ret_start = start;
    return true;
}

struct block {
    uint64_t from, length, alignment;
};

static bool first_fit(const struct node *tree, const struct block *block, uint64_t *ret_start)
{
    if (!tree || tree->max_length < block->length)
        return false;
    /* What starts before block->from has only ranges on its left that end before it. */
    return (tree->range.start > block->from && first_fit(tree->left, block, ret_start)) ||
           range_first_fit(tree->range, block->from, block->length, block->alignment, ret_start) ||
           first_fit(tree->right, block, ret_start);
}

bool range_set_first_fit(const struct range_set *set, uint64_t from, uint64_t length, uint64_t alignment,
                         uint64_t *ret_start)
{
    g_assert(length > 0 && alignment > 0);
    const struct block block = {from, length, alignment};
    return first_fit(set->root, &block, ret_start);
}

uint64_t range_set_count(const struct range_set *set)
{
    return set->root ? set->root->sum_length : 0;
}

uint64_t range_set_count_below(const struct range_set *set, uint64_t number)
{
    uint64_t count = 0;
    for (const struct node *node = set->root; node;) {
        if (node->range.start >= number) {
            node = node->left;
            continue;
        }
        count += node->left ? node->left->sum_length : 0;
        count += MIN(node->range.end, number) - node->range.start;
        node = node->right;
    }
    return count;
}

size_t range_set_n_ranges(const struct range_set *set)
{
    return set->root ? set->root->n_nodes : 0;
}

bool range_set_equal(const struct range_set *a, const struct range_set *b)
{
    struct range x, y;
    if (range_set_n_ranges(a) != range_set_n_ranges(b) || range_set_count(a) != range_set_count(b))
        return false;
    for (uint64_t at = 0; range_set_next_range(a, at, &x) && range_set_next_range(b, at, &y); at = x.end)
        if (x.start != y.start || x.end != y.end)
            return false;
    return true;
}

/* One "FIRST-LAST" into [start, end). */
static int parse_range(const char *text, uint64_t max, struct range *ret_range, GError **error)
{
    const char *dash = strchr(text, '-');
    uint64_t first, last;
    int r = number_parse(text, dash ? (size_t)(dash - text) : strlen(text), max, &first);
    int r_last = dash ? number_parse(dash + 1, strlen(dash + 1), max, &last) : 0;
    if (r == -EINVAL || r_last == -EINVAL)
        return gidfs_error(error, EINVAL, "range \"%s\": not parseable; write FIRST-LAST[,FIRST-LAST...]", text);
    if (!dash)
        return gidfs_error(error, EDOM, "range \"%s\": a number, not a range; for a single one write %s-%s", text, text,
                           text);
    if (r < 0 || r_last < 0)
        return gidfs_error(error, ERANGE, "range \"%s\": a value is out of bounds; the largest is %" G_GUINT64_FORMAT,
                           text, max);
    if (last < first)
        return gidfs_error(error, ENODATA,
                           "range \"%s\": empty, its end is before its start; write the lower end first", text);
    *ret_range = (struct range){first, last + 1};
    return 0;
}

/* A copy of text without blanks around it and without the brackets of Mesos. */
static int strip(const char *text, char **ret_stripped, GError **error)
{
    g_autofree char *copy = g_strstrip(g_strdup(text));
    size_t length = strlen(copy);
    if (copy[0] == '[') {
        if (length < 2 || copy[length - 1] != ']')
            return gidfs_error(error, EINVAL, "ranges \"%s\": not parseable, a bracket is not closed", text);
        copy[length - 1] = '\0';
        memmove(copy, copy + 1, length - 1);
        g_strstrip(copy);
    }
    *ret_stripped = g_steal_pointer(&copy);
    return 0;
}

int range_set_parse(const char *text, uint64_t max, struct range_set **ret_set, GError **error)
{
    g_assert(max < UINT64_MAX);
    g_autofree char *stripped = NULL;
    int r = strip(text, &stripped, error);
    if (r < 0)
        return r;
    if (!*stripped)
        return gidfs_error(error, ENODATA, "ranges \"%s\": empty, there is no range; write FIRST-LAST[,FIRST-LAST...]",
                           text);
    g_autoptr(range_set) set = range_set_new();
    g_auto(GStrv) parts = g_strsplit(stripped, ",", -1);
    for (size_t i = 0; parts[i]; i++) {
        struct range range = {0};
        r = parse_range(g_strstrip(parts[i]), max, &range, error);
        if (r < 0)
            return r;
        range_set_add(set, range.start, range.end);
    }
    *ret_set = g_steal_pointer(&set);
    return 0;
}

char *range_set_to_string(const struct range_set *set)
{
    GString *out = g_string_new(NULL);
    struct range range;
    for (uint64_t at = 0; range_set_next_range(set, at, &range); at = range.end)
        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, out->len ? "," : "", range.start,
                               range.end - 1);
    return g_string_free(out, FALSE);
}
