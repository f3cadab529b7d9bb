/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of inodes: see source.h.
 *
 * Bytes of a key: 'H', number of the mount (2), type of the handle (4), the handle; or 'I', device (8), inode number
 * (8), birth time (8). For source_identify() the number of the mount is 0 throughout.
 */
#include "view/common/source.h"

#include "base/fd.h"
#include "sys/handle.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#define HANDLE_HEAD_BYTES 7

static pthread_mutex_t mounts_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t device_of(const struct statx *stx)
{
    return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

static bool find_mount(const struct source_state *state, uint64_t mount_id, uint32_t *ret_index)
{
    uint32_t n = atomic_load_explicit(&state->n_mounts, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        if (state->mounts[i].mount_id == mount_id) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* A descriptor by which handles of the mount of fd can be opened: a directory, or a file that does not block. */
static int open_for_handles(int fd, const struct statx *stx)
{
    if (S_ISDIR(stx->stx_mode))
        return inode_fd_reopen(fd, O_RDONLY | O_DIRECTORY);
    if (S_ISREG(stx->stx_mode))
        return inode_fd_reopen(fd, O_RDONLY | O_NONBLOCK);
    return -EINVAL;
}

/* Adds a mount that handles can be opened by; *ret_index is its number. Finds it if it is known. */
static int add_mount(struct source_state *state, int fd, const struct statx *stx, uint32_t *ret_index)
{
    if (find_mount(state, stx->stx_mnt_id, ret_index))
        return 0;

    int r = 0;
    pthread_mutex_lock(&mounts_lock);
    uint32_t n = atomic_load(&state->n_mounts);
    if (find_mount(state, stx->stx_mnt_id, ret_index)) {
        r = 0;
    } else if (n == SOURCE_MAX_MOUNTS) {
        r = -ENFILE;
    } else {
        int mount_fd = open_for_handles(fd, stx);
        if (mount_fd < 0) {
            r = mount_fd;
        } else {
            state->mounts[n].mount_id = stx->stx_mnt_id;
            state->mounts[n].fd = mount_fd;
            atomic_store_explicit(&state->n_mounts, n + 1, memory_order_release);
            *ret_index = n;
        }
    }
    pthread_mutex_unlock(&mounts_lock);
    return r;
}

/* Handles are of use only where they can be opened: not in a user namespace, nor on every file system. */
static bool handles_open(int root_fd)
{
    struct handle handle;
    if (handle_of_fd(root_fd, &handle) < 0)
        return false;
    auto_fd int fd = handle_open(root_fd, &handle, O_PATH);
    return fd >= 0 || fd == -ESTALE;
}

int source_state_init(struct source_state *state, int root_fd)
{
    struct statx stx;
    uint32_t index;
    int r = inode_fd_statx(root_fd, &stx);
    if (r < 0)
        return r;
    state->root_dev = device_of(&stx);
    state->handles = handles_open(root_fd);
    return add_mount(state, root_fd, &stx, &index);
}

static void key_without_handle(const struct statx *stx, struct inode_key *ret_key)
{
    uint64_t parts[3] = {device_of(stx), stx->stx_ino, 0};
    if (stx->stx_mask & STATX_BTIME)
        parts[2] = (uint64_t)stx->stx_btime.tv_sec * 1000000000U + stx->stx_btime.tv_nsec;
    ret_key->n_bytes = 1 + sizeof(parts);
    ret_key->bytes[0] = 'I';
    memcpy(ret_key->bytes + 1, parts, sizeof(parts));
}

static bool key_of_handle(const struct handle *handle, uint32_t mount, struct inode_key *ret_key)
{
    uint16_t number = (uint16_t)mount;
    if (handle->n_bytes + HANDLE_HEAD_BYTES > INODE_KEY_MAX_BYTES)
        return false;
    ret_key->n_bytes = (uint8_t)(HANDLE_HEAD_BYTES + handle->n_bytes);
    ret_key->bytes[0] = 'H';
    memcpy(ret_key->bytes + 1, &number, sizeof(number));
    memcpy(ret_key->bytes + 3, &handle->type, sizeof(handle->type));
    memcpy(ret_key->bytes + HANDLE_HEAD_BYTES, handle->bytes, handle->n_bytes);
    return true;
}

int source_key_of_fd(struct source_state *state, int fd, const struct statx *stx, struct inode_key *ret_key,
                     enum inode_keep *ret_keep)
{
    struct handle handle;
    uint32_t mount;
    if (state->handles && handle_of_fd(fd, &handle) == 0 && add_mount(state, fd, stx, &mount) == 0 &&
        key_of_handle(&handle, mount, ret_key)) {
        *ret_keep = INODE_KEEP_CACHED;
        return 0;
    }
    key_without_handle(stx, ret_key);
    *ret_keep = INODE_KEEP_PINNED;
    return 0;
}

static bool was_born_before(const struct statx *stx, const struct timespec *moment)
{
    if (!(stx->stx_mask & STATX_BTIME))
        return false;
    return stx->stx_btime.tv_sec < moment->tv_sec ||
           (stx->stx_btime.tv_sec == moment->tv_sec && stx->stx_btime.tv_nsec < moment->tv_nsec);
}

/*
 * The name may be given to another inode between the two calls. That one has another number, or if it has the same
 * then because the first is gone, and so it was born later than that was seen. File systems take birth times from the
 * coarse clock.
 */
bool source_key_of_name(const struct source_state *state, int dir_fd, const char *name, struct statx *ret_stx,
                        struct inode_key *ret_key)
{
    struct handle handle;
    struct timespec begun;
    uint32_t mount;
    clock_gettime(CLOCK_REALTIME_COARSE, &begun);
    if (!state->handles || handle_of_name(dir_fd, name, &handle) < 0 || inode_fd_statx_at(dir_fd, name, ret_stx) < 0)
        return false;
    return handle_ino(&handle) == ret_stx->stx_ino && was_born_before(ret_stx, &begun) &&
           find_mount(state, ret_stx->stx_mnt_id, &mount) && key_of_handle(&handle, mount, ret_key);
}

void source_identify(const struct source_state *state, int dir_fd, const char *name, struct inode_key *ret_key)
{
    struct handle handle;
    struct statx stx;
    ret_key->n_bytes = 0;
    int r = state->handles ? handle_of_name(dir_fd, name, &handle) : -EOPNOTSUPP;
    if (r == -ENOENT || (r == 0 && key_of_handle(&handle, 0, ret_key)))
        return;
    if (inode_fd_statx_at(dir_fd, name, &stx) == 0)
        key_without_handle(&stx, ret_key);
}

uint64_t source_find(struct source_state *state, struct inode_table *inodes, const struct handle *handle, unsigned *at)
{
    uint32_t n_mounts = atomic_load_explicit(&state->n_mounts, memory_order_acquire);
    struct inode_key key;
    while (*at < n_mounts) {
        uint64_t nodeid = key_of_handle(handle, (*at)++, &key) ? inode_table_find(inodes, &key) : 0;
        if (nodeid != 0)
            return nodeid;
    }
    return 0;
}

int source_open_key(struct source_state *state, const struct inode_key *key)
{
    struct handle handle;
    uint16_t number;
    if (key->n_bytes < HANDLE_HEAD_BYTES || key->bytes[0] != 'H')
        return -ESTALE;
    memcpy(&number, key->bytes + 1, sizeof(number));
    if (number >= atomic_load_explicit(&state->n_mounts, memory_order_acquire))
        return -ESTALE;
    memcpy(&handle.type, key->bytes + 3, sizeof(handle.type));
    handle.n_bytes = key->n_bytes - HANDLE_HEAD_BYTES;
    memcpy(handle.bytes, key->bytes + HANDLE_HEAD_BYTES, handle.n_bytes);
    return handle_open(state->mounts[number].fd, &handle, O_PATH | O_NOFOLLOW);
}

/* FILEID_INO32_GEN: inode number and generation, 32 bits each. A file system that gets generation 0 takes any. */
#define INO32_GEN       1
#define INO32_GEN_BYTES 8

static bool is_lasting(const struct inode_key *key)
{
    uint16_t mount;
    int32_t type;
    if (key->bytes[0] != 'H' || key->n_bytes != HANDLE_HEAD_BYTES + INO32_GEN_BYTES)
        return false;
    memcpy(&mount, key->bytes + 1, sizeof(mount));
    memcpy(&type, key->bytes + 3, sizeof(type));
    return mount == 0 && type == INO32_GEN;
}

static uint32_t word_of(const struct inode_key *key, unsigned number)
{
    uint32_t word;
    memcpy(&word, key->bytes + HANDLE_HEAD_BYTES + number * sizeof(word), sizeof(word));
    return word;
}

uint64_t source_lasting_id(const struct inode_key *key)
{
    uint32_t ino = is_lasting(key) ? word_of(key, 0) : 0;
    return ino > 1 ? ino : 0; /* 1 is the root of a view */
}

uint32_t source_generation(const struct inode_key *key)
{
    return is_lasting(key) ? word_of(key, 1) : 0;
}

int source_open_lasting(struct source_state *state, uint64_t id)
{
    uint32_t words[2] = {(uint32_t)id, 0};
    struct handle handle = {.type = INO32_GEN, .n_bytes = sizeof(words)};
    if (!state->handles || id > UINT32_MAX)
        return -ESTALE;
    memcpy(handle.bytes, words, sizeof(words));
    int fd = handle_open(state->mounts[0].fd, &handle, O_PATH | O_NOFOLLOW);
    return fd < 0 ? -ESTALE : fd;
}

uint64_t source_ino(const struct source_state *state, const struct statx *stx)
{
    uint64_t device = device_of(stx);
    if (device == state->root_dev)
        return stx->stx_ino;
    uint64_t mixed = (device * 0x9e3779b97f4a7c15U) >> 48;
    return (stx->stx_ino & 0xffffffffffffU) | (mixed | 0x8000U) << 48;
}
