/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/creds.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_MASK(cap) (1U << ((cap)&31))

static int caps_get(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int caps_set(const struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int creds_keep_caps_over_setfsuid(void)
{
    int bits = prctl(PR_GET_SECUREBITS);
    if (bits < 0)
        return -errno;
    if (bits & SECBIT_NO_SETUID_FIXUP)
        return 0;
    return prctl(PR_SET_SECUREBITS, (unsigned long)(bits | SECBIT_NO_SETUID_FIXUP)) < 0 ? -errno : 0;
}

void creds_set_fsids(uid_t uid, gid_t gid)
{
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
}

void creds_set_fsgid(gid_t gid)
{
    syscall(SYS_setfsgid, gid);
}

int creds_set_groups(const gid_t *groups, size_t n_groups)
{
    return syscall(SYS_setgroups, n_groups, groups) < 0 ? -errno : 0;
}

int creds_drop_server_caps(void)
{
    struct __user_cap_data_struct data[2];
    int r = caps_get(data);
    if (r < 0)
        return r;
    data[0].effective &= ~(CAP_MASK(CAP_FSETID) | CAP_MASK(CAP_SYS_RESOURCE));
    data[0].permitted &= ~CAP_MASK(CAP_SYS_RESOURCE);
    return caps_set(data);
}

int creds_set_fsetid(bool raised)
{
    struct __user_cap_data_struct data[2];
    int r = caps_get(data);
    if (r < 0)
        return r;
    if (raised)
        data[0].effective |= CAP_MASK(CAP_FSETID);
    else
        data[0].effective &= ~CAP_MASK(CAP_FSETID);
    return caps_set(data);
}

int creds_own_umask(void)
{
    if (unshare(CLONE_FS) < 0)
        return -errno;
    umask(0); /* the starting thread's may be a client's */
    return 0;
}
