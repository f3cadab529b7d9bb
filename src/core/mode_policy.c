/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mode_policy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define PERMISSION_BITS ((mode_t)07777)

static const char *const policy_names[] = {
    [MODE_POLICY_NONE] = "none",
    [MODE_POLICY_SHARED] = "shared",
    [MODE_POLICY_MESOS] = "mesos",
    [MODE_POLICY_FSGROUP] = "fsgroup",
};

int mode_policy_from_string(const char *text, enum mode_policy *ret_policy, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(policy_names); i++) {
        if (strcmp(text, policy_names[i]) == 0) {
            *ret_policy = (enum mode_policy)i;
            return 0;
        }
    }
    return gidfs_error(error, EINVAL, "policy=%s: no such policy; known are shared, mesos and fsgroup", text);
}

const char *mode_policy_to_string(enum mode_policy policy)
{
    return policy_names[policy];
}

/* Kubernetes: rwMask 0660 or roMask 0440, for directories execMask 0110 and setgid too; links are left alone. */
static mode_t fsgroup_mask(bool read_only, mode_t disk_mode)
{
    mode_t mask = read_only ? 0440 : 0660;
    if (S_ISLNK(disk_mode))
        return 0;
    return S_ISDIR(disk_mode) ? mask | 0110 | S_ISGID : mask;
}

mode_t mode_policy_to_view(enum mode_policy policy, bool read_only, mode_t disk_mode)
{
    switch (policy) {
    case MODE_POLICY_SHARED:
        if (S_ISDIR(disk_mode) && (disk_mode & S_IRWXG))
            return disk_mode | S_ISGID | S_IWGRP;
        return disk_mode;
    case MODE_POLICY_MESOS:
        return S_ISDIR(disk_mode) ? disk_mode | S_ISGID | S_IWGRP : disk_mode;
    case MODE_POLICY_FSGROUP:
        return disk_mode | fsgroup_mask(read_only, disk_mode);
    case MODE_POLICY_NONE:
        break;
    }
    return disk_mode;
}

mode_t mode_policy_to_disk(enum mode_policy policy, bool read_only, mode_t disk_mode, mode_t view_mode,
                           bool allow_setid)
{
    mode_t added = mode_policy_to_view(policy, read_only, disk_mode) & ~disk_mode;
    mode_t wanted = view_mode & PERMISSION_BITS & ~added;
    if (!allow_setid)
        wanted &= ~(mode_t)(S_ISUID | S_ISGID) | (disk_mode & (S_ISUID | S_ISGID));
    return wanted;
}
