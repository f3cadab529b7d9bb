/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/fanotify_group.h"

#include "sys/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>

/* What says that a name came or went. A rename is two of them, an exchange four. */
#define NAME_EVENTS (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define FILE_EVENTS (FAN_ATTRIB | FAN_MODIFY)
#define DIR_EVENTS  (NAME_EVENTS | FILE_EVENTS | FAN_ONDIR | FAN_EVENT_ON_CHILD)

/* Of file systems whose other users are not in this kernel, where linux/magic.h does not know them. */
#define MAGIC_GFS2   0x01161970
#define MAGIC_LUSTRE 0x0bd00bd0
#define MAGIC_ORANGE 0x20030528

int fanotify_group_open(bool bounded_queue)
{
    unsigned flags = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS | FAN_REPORT_DFID_NAME_TARGET;
    if (!bounded_queue)
        flags |= FAN_UNLIMITED_QUEUE;
    int fd = fanotify_init(flags, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int fanotify_group_mark(int group_fd, int fd, bool is_dir)
{
    return inode_fd_mark(group_fd, FAN_MARK_ADD, is_dir ? DIR_EVENTS : FILE_EVENTS, fd, is_dir);
}

int fanotify_group_unmark(int group_fd, int fd, bool is_dir)
{
    return inode_fd_mark(group_fd, FAN_MARK_REMOVE, is_dir ? DIR_EVENTS : FILE_EVENTS, fd, is_dir);
}

int fanotify_group_ignore_data(int group_fd, int fd, bool ignored)
{
    unsigned flags = ignored ? FAN_MARK_ADD | FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE : FAN_MARK_REMOVE;
    return inode_fd_mark(group_fd, flags | FAN_MARK_IGNORED_MASK, FAN_MODIFY, fd, false);
}

bool fanotify_sees_all(int fd)
{
    static const uint32_t foreign[] = {
        AFS_FS_MAGIC,      AFS_SUPER_MAGIC,  CEPH_SUPER_MAGIC, CIFS_SUPER_MAGIC, CODA_SUPER_MAGIC,
        FUSE_SUPER_MAGIC,  MAGIC_GFS2,       MAGIC_LUSTRE,     MAGIC_ORANGE,     NFS_SUPER_MAGIC,
        OCFS2_SUPER_MAGIC, SMB2_SUPER_MAGIC, SMB_SUPER_MAGIC,  V9FS_MAGIC,
    };
    struct statfs st;
    if (fstatfs(fd, &st) < 0)
        return false;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        if ((uint32_t)st.f_type == foreign[i])
            return false;
    }
    return true;
}

ssize_t fanotify_group_read(int group_fd, void *buffer)
{
    ssize_t n = read(group_fd, buffer, FANOTIFY_BUFFER_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n;
}

/* The handle in a record, if it is whole. Returns its end, where a name may follow. */
static const char *read_handle(const struct fanotify_event_info_fid *info, struct handle *ret_handle)
{
    const struct file_handle *kernel = (const void *)info->handle;
    const char *bytes = (const char *)kernel->f_handle;
    size_t n_record = info->hdr.len;
    ret_handle->n_bytes = 0;
    if (n_record < sizeof(*info) + sizeof(*kernel) || kernel->handle_bytes > HANDLE_MAX_BYTES ||
        n_record < sizeof(*info) + sizeof(*kernel) + kernel->handle_bytes)
        return NULL;
    ret_handle->type = kernel->handle_type;
    ret_handle->n_bytes = kernel->handle_bytes;
    memcpy(ret_handle->bytes, bytes, kernel->handle_bytes);
    return bytes + kernel->handle_bytes;
}

static void read_info(const struct fanotify_event_info_fid *info, struct fanotify_change *change)
{
    const char *end;
    switch (info->hdr.info_type) {
    case FAN_EVENT_INFO_TYPE_FID:
        read_handle(info, &change->object);
        break;
    case FAN_EVENT_INFO_TYPE_DFID:
        read_handle(info, &change->dir);
        break;
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
        end = read_handle(info, &change->dir);
        if (end && memchr(end, '\0', (size_t)((const char *)info + info->hdr.len - end)))
            change->name = end;
        break;
    default: /* of a newer kernel; nothing was asked for that would need it */
        break;
    }
}

static unsigned what_of(uint64_t mask)
{
    static const struct {
        uint64_t mask;
        unsigned what;
    } map[] = {
        {FAN_CREATE | FAN_MOVED_TO, FANOTIFY_CAME},
        {FAN_DELETE | FAN_MOVED_FROM, FANOTIFY_GONE},
        {FAN_MOVED_FROM | FAN_MOVED_TO, FANOTIFY_MOVED},
        {FAN_ATTRIB, FANOTIFY_ATTRIBUTES},
        {FAN_MODIFY, FANOTIFY_DATA},
        {FAN_ONDIR, FANOTIFY_IS_DIR},
        {FAN_Q_OVERFLOW, FANOTIFY_LOST},
    };
    unsigned what = 0;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        what |= mask & map[i].mask ? map[i].what : 0;
    return what;
}

bool fanotify_next_change(const void *buffer, size_t n_bytes, size_t *at, struct fanotify_change *ret_change)
{
    struct fanotify_event_metadata event; /* in the buffer it stands at a multiple of 4 only */
    const char *begin = (const char *)buffer + *at;
    size_t n_left = n_bytes - *at;
    if (n_left < sizeof(event))
        return false;
    memcpy(&event, begin, sizeof(event));
    if (event.event_len < sizeof(event) || event.event_len > n_left || event.metadata_len > event.event_len)
        return false;
    *ret_change = (struct fanotify_change){.what = what_of(event.mask), .pid = event.pid, .name = ""};
    for (const char *info = begin + event.metadata_len, *end = begin + event.event_len; info < end;) {
        const struct fanotify_event_info_header *header = (const void *)info;
        if ((size_t)(end - info) < sizeof(*header) || header->len < sizeof(*header) || header->len > end - info)
            break;
        read_info((const void *)info, ret_change);
        info += header->len;
    }
    *at += event.event_len;
    return true;
}
