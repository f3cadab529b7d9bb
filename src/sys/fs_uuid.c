/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/fs_uuid.h"

#include "base/fd.h"
#include "sys/inode_fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* linux/fs.h, struct fsuuid2: newer than Debian 12's headers. */
struct uuid_answer {
    uint8_t n_bytes;
    uint8_t uuid[FS_UUID_BYTES];
};
#define GET_FS_UUID _IOR(0x15, 0, struct uuid_answer)

static int ask(int fd, uint8_t ret_uuid[FS_UUID_BYTES])
{
    struct uuid_answer answer = {0};
    if (ioctl(fd, GET_FS_UUID, &answer) < 0)
        return errno == ENOTTY ? -EOPNOTSUPP : -errno;
    if (answer.n_bytes != FS_UUID_BYTES)
        return -EOPNOTSUPP;
    memcpy(ret_uuid, answer.uuid, FS_UUID_BYTES);
    return 0;
}

int fs_uuid_of_fd(int fd, uint8_t ret_uuid[FS_UUID_BYTES])
{
    int r = ask(fd, ret_uuid);
    if (r != -EBADF)
        return r;
    /* An O_PATH descriptor: open what can be opened without a side effect. */
    struct stat st;
    if (fstat(fd, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
        return -EOPNOTSUPP;
    auto_fd int opened = inode_fd_reopen(fd, O_RDONLY | O_NONBLOCK);
    return opened < 0 ? opened : ask(opened, ret_uuid);
}
