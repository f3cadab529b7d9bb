/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set-associative cache of opened files, keyed by nodeid and flags. A slot in use is never replaced: whoever
 * finds no free slot opens a file for this one use. `lock` guards the slots; nothing but close() is called under it.
 */
#include "view/common/data_files.h"

#include "base/fd.h"
#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#define N_SETS     64
#define N_WAYS     4
#define KEPT_FLAGS (O_ACCMODE | O_DIRECT)

/* Of a slot that was dropped while it was in use: nobody finds it any more. */
#define NODEID_DROPPED UINT64_MAX

struct slot {
    uint64_t nodeid; /* 0: empty */
    int flags;
    int fd;
    unsigned n_users;
    uint64_t used_at;
};

struct data_files {
    struct inode_table *inodes;
    pthread_mutex_t lock;
    uint64_t clock;
    struct slot slots[N_SETS * N_WAYS];
};

int data_files_new(struct inode_table *inodes, struct data_files **ret_files)
{
    struct data_files *files = calloc(1, sizeof(*files));
    if (!files)
        return -ENOMEM;
    files->inodes = inodes;
    pthread_mutex_init(&files->lock, NULL);
    *ret_files = files;
    return 0;
}

static void clear(struct slot *slot)
{
    if (slot->nodeid != 0)
        fd_close(slot->fd);
    slot->nodeid = 0;
}

void data_files_free(struct data_files *files)
{
    if (!files)
        return;
    for (unsigned i = 0; i < N_SETS * N_WAYS; i++)
        clear(&files->slots[i]);
    pthread_mutex_destroy(&files->lock);
    free(files);
}

static struct slot *set_of(struct data_files *files, uint64_t nodeid)
{
    return &files->slots[(nodeid % N_SETS) * N_WAYS];
}

static bool use(struct data_files *files, struct slot *slot, struct data_file *ret_file)
{
    slot->n_users++;
    slot->used_at = ++files->clock;
    *ret_file = (struct data_file){.fd = slot->fd, .slot = (unsigned)(slot - files->slots)};
    return true;
}

static bool find(struct data_files *files, uint64_t nodeid, int flags, struct data_file *ret_file)
{
    struct slot *set = set_of(files, nodeid);
    for (unsigned i = 0; i < N_WAYS; i++) {
        if (set[i].nodeid == nodeid && set[i].flags == flags)
            return use(files, &set[i], ret_file);
    }
    return false;
}

/* Puts a new descriptor in the place of the one of its set that was used least recently, if one is free. */
static bool keep(struct data_files *files, uint64_t nodeid, int flags, int fd, struct data_file *ret_file)
{
    struct slot *set = set_of(files, nodeid), *victim = NULL;
    for (unsigned i = 0; i < N_WAYS; i++) {
        if (set[i].n_users == 0 && (!victim || set[i].nodeid == 0 || set[i].used_at < victim->used_at))
            victim = &set[i];
    }
    if (!victim)
        return false;
    clear(victim);
    *victim = (struct slot){.nodeid = nodeid, .flags = flags, .fd = fd};
    return use(files, victim, ret_file);
}

int data_files_get(struct data_files *files, struct inode *inode, int flags, struct data_file *ret_file)
{
    flags &= KEPT_FLAGS;
    pthread_mutex_lock(&files->lock);
    bool found = find(files, inode->nodeid, flags, ret_file);
    pthread_mutex_unlock(&files->lock);
    if (found)
        return 0;

    int path_fd = inode_table_get_fd(files->inodes, inode);
    if (path_fd < 0)
        return path_fd;
    int fd = inode_fd_reopen(path_fd, flags | O_NONBLOCK);
    inode_table_put_fd(files->inodes, inode);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&files->lock);
    if (!keep(files, inode->nodeid, flags, fd, ret_file))
        *ret_file = (struct data_file){.fd = fd, .slot = UINT_MAX};
    pthread_mutex_unlock(&files->lock);
    return 0;
}

void data_files_put(struct data_files *files, struct data_file *file)
{
    if (file->slot == UINT_MAX) {
        file->fd = fd_close(file->fd);
        return;
    }
    pthread_mutex_lock(&files->lock);
    files->slots[file->slot].n_users--;
    pthread_mutex_unlock(&files->lock);
}

void data_files_drop(struct data_files *files, const struct inode *inode)
{
    pthread_mutex_lock(&files->lock);
    struct slot *set = set_of(files, inode->nodeid);
    for (unsigned i = 0; i < N_WAYS; i++) {
        if (set[i].nodeid != inode->nodeid)
            continue;
        if (set[i].n_users == 0)
            clear(&set[i]);
        else
            set[i].nodeid = NODEID_DROPPED;
    }
    pthread_mutex_unlock(&files->lock);
}
