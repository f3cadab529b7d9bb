/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inode table. Three things are kept in step under `lock`: the records (shared memory), the index from key to
 * record (private: a chained hash, rebuilt from the records by a successor), and the descriptors (fd_cache.h).
 *
 * Costs: 104 bytes of record, 4 of chain and 4 to 8 of bucket an inode.
 *
 * Locks: `lock` is innermost and short, no system call is made under it but close(), dup3() and the dropping of a
 * backing id. The striped open locks are taken before it.
 */
#include "inode/inode_table.h"

#include "base/fault.h"
#include "base/fd.h"
#include "inode/count.h"
#include "inode/fd_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NONE          UINT32_MAX
#define N_OPEN_LOCKS  64
#define N_BUCKETS_MIN 1024
#define N_PICKED_FROM 4096 /* looked at under the lock at once */
#define MIN(a, b)     ((a) < (b) ? (a) : (b))

struct inode_table {
    struct inode_table_config config;
    struct inode *records;

    pthread_mutex_t lock;
    uint32_t *buckets; /* record number or NONE; n_buckets is a power of two, never below n_inodes */
    uint32_t n_buckets;
    uint32_t *next; /* of a record in its bucket's chain, or in the chain of free records */
    uint32_t n_next;
    uint32_t free_head;
    uint32_t n_inodes;

    struct fd_cache fds;
    uint32_t idle_hand;

    pthread_mutex_t open_locks[N_OPEN_LOCKS];
};

static uint32_t index_of(const struct inode_table *t, const struct inode *inode)
{
    return (uint32_t)(inode - t->records);
}

/* Tells the counts to whoever looks at the state from outside. With the lock held. */
static void publish_counts(struct inode_table *t)
{
    struct inode_state *state = t->config.state;
    atomic_store_explicit(&state->n_inodes, t->n_inodes, memory_order_relaxed);
    atomic_store_explicit(&state->n_fds, t->fds.n_fds + t->fds.n_pinned, memory_order_relaxed);
    atomic_store_explicit(&state->n_private_bytes,
                          (t->n_next + (uint64_t)t->n_buckets + t->fds.n_space) * sizeof(uint32_t),
                          memory_order_relaxed);
}

static uint64_t hash_key(const struct inode_key *key)
{
    uint64_t h = 0xcbf29ce484222325U; /* FNV-1a, and a finish that spreads it over the low bits */
    for (unsigned i = 0; i < key->n_bytes; i++)
        h = (h ^ key->bytes[i]) * 0x100000001b3U;
    return h ^ (h >> 29);
}

static bool same_key(const struct inode_key *a, const struct inode_key *b)
{
    return a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

/* The index. All with the lock held. */

static uint64_t lasting_id(const struct inode_table *t, const struct inode_key *key)
{
    return t->config.lasting_id ? t->config.lasting_id(key) : 0;
}

/* One index serves two questions: inodes with a lasting nodeid are hashed by it, others by their key. */
static uint32_t *bucket_of_id(struct inode_table *t, uint64_t id)
{
    uint64_t h = id * 0x9e3779b97f4a7c15U;
    return &t->buckets[(h >> 32) & (t->n_buckets - 1)];
}

static uint32_t *bucket_of(struct inode_table *t, const struct inode_key *key)
{
    uint64_t id = lasting_id(t, key);
    return id ? bucket_of_id(t, id) : &t->buckets[hash_key(key) & (t->n_buckets - 1)];
}

static void chain(struct inode_table *t, uint32_t index)
{
    uint32_t *bucket = bucket_of(t, &t->records[index].key);
    t->next[index] = *bucket;
    *bucket = index;
}

static void unchain(struct inode_table *t, uint32_t index)
{
    uint32_t *at = bucket_of(t, &t->records[index].key);
    while (*at != index)
        at = &t->next[*at];
    *at = t->next[index];
}

static int resize_buckets(struct inode_table *t, uint32_t n_buckets)
{
    uint32_t *buckets = malloc(n_buckets * sizeof(*buckets));
    if (!buckets)
        return -ENOMEM;
    memset(buckets, 0xff, n_buckets * sizeof(*buckets));
    free(t->buckets);
    t->buckets = buckets;
    t->n_buckets = n_buckets;
    uint32_t n_used = atomic_load(&t->config.state->n_records_used);
    for (uint32_t i = 0; i < n_used; i++) {
        if (t->records[i].nodeid != 0)
            chain(t, i);
    }
    return 0;
}

static struct inode *find(struct inode_table *t, const struct inode_key *key)
{
    uint32_t index = *bucket_of(t, key);
    while (index != NONE && !same_key(&t->records[index].key, key))
        index = t->next[index];
    return index == NONE ? NULL : &t->records[index];
}

static int reserve_next(struct inode_table *t, uint32_t n)
{
    if (n <= t->n_next)
        return 0;
    uint32_t n_space = t->n_next ? t->n_next * 2 : N_BUCKETS_MIN;
    while (n_space < n)
        n_space *= 2;
    uint32_t *grown = realloc(t->next, n_space * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    t->next = grown;
    t->n_next = n_space;
    return 0;
}

/* A free record: one that was used before, or the next one that never was. */
static int take_record(struct inode_table *t, uint32_t *ret_index)
{
    if (t->free_head != NONE) {
        *ret_index = t->free_head;
        t->free_head = t->next[t->free_head];
        return 0;
    }
    uint32_t n_used = atomic_load(&t->config.state->n_records_used);
    if (n_used >= t->config.state->n_records_max)
        return -ENFILE;
    int r = reserve_next(t, n_used + 1);
    if (r < 0)
        return r;
    t->records[n_used].fd = -1;
    atomic_store(&t->config.state->n_records_used, n_used + 1);
    *ret_index = n_used;
    return 0;
}

static void release_record(struct inode_table *t, uint32_t index)
{
    t->next[index] = t->free_head;
    t->free_head = index;
}

/* What becomes of the descriptor that a lookup brings; with the lock held. */
static void keep_fd(struct inode_table *t, struct inode *inode, int *fd, enum inode_keep keep)
{
    if (keep != INODE_KEEP_NO_FD)
        fd_cache_adopt(&t->fds, inode, fd);
    if (keep == INODE_KEEP_PINNED) {
        atomic_fetch_or(&inode->flags, INODE_FLAG_NO_HANDLE);
        fd_cache_pin(&t->fds, inode);
    }
}

/* Life and death of the table. */

/* Takes over the records as they are: those half made or half forgotten are free. */
static int rebuild(struct inode_table *t)
{
    uint32_t n_used = atomic_load(&t->config.state->n_records_used);
    int r = reserve_next(t, n_used);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < n_used; i++) {
        struct inode *inode = &t->records[i];
        inode->n_fd_users = 0;
        if (inode->n_opens == 0)
            fd_cache_drop_backing(&t->fds, inode);
        if (inode->nodeid == 0 || inode->n_lookups == 0) {
            inode->nodeid = 0;
            inode->generation++; /* a forget may have come too far to be seen, and not far enough to count this */
            inode->fd = -1;      /* whatever it was, the keeper closes descriptors that no record names */
            release_record(t, i);
            continue;
        }
        t->n_inodes++;
        fd_cache_load(&t->fds, inode);
    }
    uint32_t n_buckets = N_BUCKETS_MIN;
    while (n_buckets < t->n_inodes)
        n_buckets *= 2;
    r = resize_buckets(t, n_buckets);
    publish_counts(t);
    return r;
}

int inode_table_new(const struct inode_table_config *config, struct inode_table **ret_table)
{
    struct inode_table *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->config = *config;
    t->fds.config = &t->config;
    t->records = config->state->records;
    t->free_head = NONE;
    count_recover(config->state, config->slots, REQUEST_MAX_THREADS);
    pthread_mutex_init(&t->lock, NULL);
    for (unsigned i = 0; i < N_OPEN_LOCKS; i++)
        pthread_mutex_init(&t->open_locks[i], NULL);
    int r = rebuild(t);
    if (r < 0) {
        inode_table_free(t);
        return r;
    }
    *ret_table = t;
    return 0;
}

void inode_table_free(struct inode_table *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    for (unsigned i = 0; i < N_OPEN_LOCKS; i++)
        pthread_mutex_destroy(&t->open_locks[i]);
    free(t->buckets);
    free(t->next);
    fd_cache_clear(&t->fds);
    free(t);
}

static struct inode *get_lasting(struct inode_table *t, uint64_t nodeid)
{
    uint32_t index = *bucket_of_id(t, nodeid);
    while (index != NONE && t->records[index].nodeid != nodeid)
        index = t->next[index];
    return index == NONE ? NULL : &t->records[index];
}

/* Made nodeids and the root need no lock. */
static struct inode *get_by_index(struct inode_table *t, uint64_t nodeid)
{
    uint32_t index = (uint32_t)nodeid - 1;
    if (index >= atomic_load_explicit(&t->config.state->n_records_used, memory_order_acquire))
        return NULL;
    struct inode *inode = &t->records[index];
    return __atomic_load_n(&inode->nodeid, __ATOMIC_ACQUIRE) == nodeid ? inode : NULL;
}

static struct inode *get_locked(struct inode_table *t, uint64_t nodeid)
{
    return inode_id_is_lasting(nodeid) ? get_lasting(t, nodeid) : get_by_index(t, nodeid);
}

struct inode *inode_table_get(struct inode_table *t, uint64_t nodeid)
{
    if (!inode_id_is_lasting(nodeid))
        return get_by_index(t, nodeid);
    pthread_mutex_lock(&t->lock);
    struct inode *inode = get_lasting(t, nodeid);
    pthread_mutex_unlock(&t->lock);
    return inode;
}

/*
 * An inode whose number was that of another one, gone from the disk, which the kernel has not forgotten yet: the record
 * goes over to it, lookups included, since the kernel counts them by number.
 */
static struct inode *succeed(struct inode_table *t, const struct inode_key *key, uint8_t type)
{
    uint64_t id = lasting_id(t, key);
    struct inode *inode = id ? get_lasting(t, id) : NULL;
    if (!inode)
        return NULL;
    fd_cache_close(&t->fds, inode);
    inode->key = *key;
    inode->type = type;
    atomic_store(&inode->flags, 0);
    return inode;
}

static uint64_t make_id(const struct inode_table *t, uint32_t index)
{
    const struct inode *inode = &t->records[index];
    uint64_t id = lasting_id(t, &inode->key), generation = inode->generation & 0x3fffffffU;
    if (index == 0 && generation == 0)
        return 1; /* the root */
    return id ? id : INODE_ID_MADE | generation << 32 | (index + 1);
}

static int insert(struct inode_table *t, const struct inode_key *key, uint8_t type, struct inode **ret_inode)
{
    if (t->n_inodes + 1 > t->n_buckets) {
        int r = resize_buckets(t, t->n_buckets * 2);
        if (r < 0)
            return r;
    }
    uint32_t index;
    int r = take_record(t, &index);
    if (r < 0)
        return r;

    struct inode *inode = &t->records[index];
    uint32_t generation = inode->generation;
    *inode = (struct inode){.generation = generation, .fd = -1, .type = type, .key = *key};
    chain(t, index);
    t->n_inodes++;
    *ret_inode = inode;
    return 0;
}

/* One lookup more, of an inode that is known or is published with it. */
static void count_lookup(struct inode_table *t, struct inode *inode)
{
    uint64_t nodeid = inode->nodeid ? inode->nodeid : make_id(t, index_of(t, inode));
    count_begin_lookup(t->config.state, inode, nodeid);
    __atomic_store_n(&inode->nodeid, nodeid, __ATOMIC_RELEASE);
    inode->n_lookups++;
    count_end(t->config.state);
}

int inode_table_intern(struct inode_table *t, const struct inode_key *key, uint8_t type, int *fd, enum inode_keep keep,
                       struct inode **ret_inode)
{
    int r = 0;
    pthread_mutex_lock(&t->lock);
    struct inode *inode = find(t, key);
    if (!inode)
        inode = succeed(t, key, type);
    if (!inode)
        r = insert(t, key, type, &inode);
    if (r == 0) {
        count_lookup(t, inode);
        keep_fd(t, inode, fd, keep);
        *ret_inode = inode;
    }
    publish_counts(t);
    pthread_mutex_unlock(&t->lock);
    FAULT_POINT("lookup-counted");
    return r;
}

/* With the lock held. Leaves the descriptor, if there is one, in *ret_remains. */
static void free_record(struct inode_table *t, struct inode *inode, struct inode_remains *ret_remains)
{
    uint32_t index = index_of(t, inode);
    unchain(t, index);
    fd_cache_drop_backing(&t->fds, inode);
    __atomic_store_n(&inode->nodeid, 0, __ATOMIC_RELEASE);
    FAULT_POINT("forget-freed");
    inode->n_lookups = 0;
    inode->generation++;
    *ret_remains = (struct inode_remains){.key = inode->key,
                                          .flags = atomic_load(&inode->flags),
                                          .type = inode->type,
                                          .fd = fd_cache_release(&t->fds, inode)};
    atomic_store(&inode->flags, 0);
    release_record(t, index);
    t->n_inodes--;
    publish_counts(t);
}

bool inode_table_forget_taking(struct inode_table *t, uint64_t nodeid, uint64_t n_lookups,
                               struct inode_remains *ret_remains)
{
    bool freed = false;
    pthread_mutex_lock(&t->lock);
    struct inode *inode = nodeid == 1 ? NULL : get_locked(t, nodeid); /* the root is never forgotten */
    uint64_t n_left = count_begin_forget(t->config.state, inode, nodeid, n_lookups);
    if (inode && n_left > 0) {
        inode->n_lookups = n_left;
    } else if (inode) {
        free_record(t, inode, ret_remains);
        freed = true;
    }
    count_end(t->config.state);
    pthread_mutex_unlock(&t->lock);
    return freed;
}

void inode_table_forget(struct inode_table *t, uint64_t nodeid, uint64_t n_lookups)
{
    struct inode_remains remains;
    if (inode_table_forget_taking(t, nodeid, n_lookups, &remains))
        fd_close(remains.fd);
}

bool inode_table_look(struct inode_table *t, uint64_t nodeid, struct inode_view *ret_view)
{
    pthread_mutex_lock(&t->lock);
    const struct inode *inode = get_locked(t, nodeid);
    if (inode)
        *ret_view = (struct inode_view){.key = inode->key, .flags = atomic_load(&inode->flags), .type = inode->type};
    pthread_mutex_unlock(&t->lock);
    return inode;
}

struct inode *inode_table_get_any(struct inode_table *t, uint64_t nodeid)
{
    pthread_mutex_lock(&t->lock);
    struct inode *inode = get_locked(t, nodeid);
    pthread_mutex_unlock(&t->lock);
    return inode;
}

uint64_t inode_table_find(struct inode_table *t, const struct inode_key *key)
{
    pthread_mutex_lock(&t->lock);
    struct inode *inode = find(t, key);
    uint64_t nodeid = inode ? inode->nodeid : 0;
    pthread_mutex_unlock(&t->lock);
    return nodeid;
}

struct inode_key inode_table_get_key(struct inode_table *t, const struct inode *inode)
{
    pthread_mutex_lock(&t->lock);
    struct inode_key key = inode->key;
    pthread_mutex_unlock(&t->lock);
    return key;
}

void inode_table_move(struct inode_table *t, struct inode *inode, const struct inode_key *key, int *fd,
                      enum inode_keep keep)
{
    pthread_mutex_lock(&t->lock);
    unchain(t, index_of(t, inode));
    inode->key = *key;
    chain(t, index_of(t, inode));
    if (inode->fd >= 0)
        dup3(*fd, inode->fd, O_CLOEXEC);
    keep_fd(t, inode, fd, keep);
    publish_counts(t);
    pthread_mutex_unlock(&t->lock);
}

int inode_table_get_fd(struct inode_table *t, struct inode *inode)
{
    pthread_mutex_lock(&t->lock);
    uint64_t nodeid = inode->nodeid;
    int fd = fd_cache_use(inode);
    pthread_mutex_unlock(&t->lock);
    if (fd >= 0)
        return fd;

    auto_fd int opened = t->config.open_key(t->config.data, inode);
    if (opened == -EMFILE || opened == -ENFILE) {
        pthread_mutex_lock(&t->lock);
        fd_cache_evict(&t->fds);
        publish_counts(t);
        pthread_mutex_unlock(&t->lock);
        opened = t->config.open_key(t->config.data, inode);
    }
    if (opened < 0)
        return opened;
    pthread_mutex_lock(&t->lock);
    if (inode->nodeid == nodeid && nodeid != 0) {
        fd_cache_adopt(&t->fds, inode, &opened); /* unless another thread was faster */
        publish_counts(t);
        fd = fd_cache_use(inode);
    } else {
        fd = -ESTALE; /* forgotten under way: the kernel never does that, but whoever lies must not gain by it */
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
}

void inode_table_put_fd(struct inode_table *t, struct inode *inode)
{
    pthread_mutex_lock(&t->lock);
    inode->n_fd_users--;
    pthread_mutex_unlock(&t->lock);
}

int inode_table_pin_fd(struct inode_table *t, struct inode *inode)
{
    int fd = inode_table_get_fd(t, inode);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&t->lock);
    inode->n_fd_users--;
    bool full = t->fds.n_pinned >= t->config.n_pinned_max;
    if (!full)
        fd_cache_pin(&t->fds, inode);
    pthread_mutex_unlock(&t->lock);
    return full ? -ENFILE : 0;
}

void inode_table_unpin_fd(struct inode_table *t, struct inode *inode)
{
    pthread_mutex_lock(&t->lock);
    if (!(atomic_load(&inode->flags) & INODE_FLAG_NO_HANDLE))
        fd_cache_unpin(&t->fds, inode);
    pthread_mutex_unlock(&t->lock);
}

void inode_table_lock(struct inode_table *t, const struct inode *inode)
{
    pthread_mutex_lock(&t->open_locks[index_of(t, inode) % N_OPEN_LOCKS]);
}

void inode_table_unlock(struct inode_table *t, const struct inode *inode)
{
    pthread_mutex_unlock(&t->open_locks[index_of(t, inode) % N_OPEN_LOCKS]);
}

void inode_table_foreach(struct inode_table *t, void (*fn)(struct inode *inode, void *data), void *data)
{
    pthread_mutex_lock(&t->lock);
    uint32_t n_used = atomic_load(&t->config.state->n_records_used);
    for (uint32_t i = 0; i < n_used; i++) {
        if (t->records[i].nodeid != 0)
            fn(&t->records[i], data);
    }
    pthread_mutex_unlock(&t->lock);
}

uint32_t inode_table_count(const struct inode_table *t)
{
    return atomic_load_explicit(&t->config.state->n_inodes, memory_order_relaxed);
}

uint32_t inode_table_max(const struct inode_table *t)
{
    return t->config.state->n_records_max;
}

unsigned inode_table_pick_idle(struct inode_table *t, uint64_t *nodeids, unsigned n_max)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    uint32_t n_used = atomic_load(&t->config.state->n_records_used);
    for (uint32_t i = 0; i < MIN(n_used, N_PICKED_FROM) && n < n_max; i++) {
        t->idle_hand = t->idle_hand + 1 < n_used ? t->idle_hand + 1 : 0;
        const struct inode *inode = &t->records[t->idle_hand];
        if (inode->nodeid > 1 && inode->n_opens == 0 && inode->n_fd_users == 0)
            nodeids[n++] = inode->nodeid;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

void inode_table_get_stats(struct inode_table *t, struct inode_table_stats *ret_stats)
{
    pthread_mutex_lock(&t->lock);
    *ret_stats = (struct inode_table_stats){
        .n_inodes = t->n_inodes,
        .n_fds = t->fds.n_fds + t->fds.n_pinned,
        .n_bytes = inode_state_size(atomic_load(&t->config.state->n_records_used)) +
                   (t->n_next + (uint64_t)t->n_buckets + t->fds.n_space) * sizeof(uint32_t),
    };
    pthread_mutex_unlock(&t->lock);
}
