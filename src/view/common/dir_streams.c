/* SPDX-License-Identifier: Apache-2.0 */
/* A few slots, the oldest is replaced. `lock` guards them; opening and closing happens outside it. */
#include "view/common/dir_streams.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define N_STREAMS 32

struct stream {
    uint64_t nodeid; /* 0: empty */
    int64_t offset;
    int fd;
};

struct dir_streams {
    struct inode_table *inodes;
    pthread_mutex_t lock;
    unsigned next;
    struct stream streams[N_STREAMS];
};

int dir_streams_new(struct inode_table *inodes, struct dir_streams **ret_streams)
{
    struct dir_streams *streams = calloc(1, sizeof(*streams));
    if (!streams)
        return -ENOMEM;
    streams->inodes = inodes;
    pthread_mutex_init(&streams->lock, NULL);
    *ret_streams = streams;
    return 0;
}

void dir_streams_free(struct dir_streams *streams)
{
    if (!streams)
        return;
    for (unsigned i = 0; i < N_STREAMS; i++) {
        if (streams->streams[i].nodeid != 0)
            fd_close(streams->streams[i].fd);
    }
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}

static int take_kept(struct dir_streams *streams, uint64_t nodeid, int64_t offset)
{
    int fd = -1;
    pthread_mutex_lock(&streams->lock);
    for (unsigned i = 0; i < N_STREAMS && fd < 0; i++) {
        struct stream *stream = &streams->streams[i];
        if (stream->nodeid == nodeid && stream->offset == offset) {
            fd = stream->fd;
            stream->nodeid = 0;
        }
    }
    pthread_mutex_unlock(&streams->lock);
    return fd;
}

int dir_streams_take(struct dir_streams *streams, struct inode *dir, int64_t offset)
{
    int fd = offset == 0 ? -1 : take_kept(streams, dir->nodeid, offset);
    if (fd >= 0)
        return fd;
    int path_fd = inode_table_get_fd(streams->inodes, dir);
    if (path_fd < 0)
        return path_fd;
    auto_fd int opened = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = opened < 0 ? -errno : 0;
    inode_table_put_fd(streams->inodes, dir);
    if (r == 0 && offset != 0 && lseek(opened, offset, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : fd_steal(&opened);
}

void dir_streams_give(struct dir_streams *streams, const struct inode *dir, int64_t offset, int fd, bool at_end)
{
    if (at_end) {
        fd_close(fd);
        return;
    }
    pthread_mutex_lock(&streams->lock);
    struct stream *stream = &streams->streams[streams->next++ % N_STREAMS];
    int replaced = stream->nodeid != 0 ? stream->fd : -1;
    *stream = (struct stream){.nodeid = dir->nodeid, .offset = offset, .fd = fd};
    pthread_mutex_unlock(&streams->lock);
    fd_close(replaced);
}
