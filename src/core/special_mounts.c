/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists are those that runc and the Docker engine agree on. devpts has gid 5, the tty group of every distribution:
 * grantpt(3) wants it. /dev is a tmpfs without noexec because programs map /dev/zero executable.
 */
#include "core/special_mounts.h"

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define MOUNTS_BEFORE_SYS                                                                                              \
    {"/proc", "proc", "proc", OPTIONS("nosuid", "noexec", "nodev")},                                                   \
        {"/dev", "tmpfs", "tmpfs", OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k")},                       \
        {"/dev/pts", "devpts", "devpts",                                                                               \
         OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")},                           \
        {"/dev/shm", "tmpfs", "shm", OPTIONS("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")},                \
    {                                                                                                                  \
        "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev")                                        \
    }
#define MOUNT_CGROUP                                                                                                   \
    {                                                                                                                  \
        "/sys/fs/cgroup", "cgroup", "cgroup", OPTIONS("nosuid", "noexec", "nodev", "relatime", "ro")                   \
    }

static const struct special_mount mounts_own_sys[] = {
    MOUNTS_BEFORE_SYS,
    {"/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", "ro")},
    MOUNT_CGROUP,
};

static const struct special_mount mounts_host_sys[] = {
    MOUNTS_BEFORE_SYS,
    {"/sys", "none", "/sys", OPTIONS("rbind", "nosuid", "noexec", "nodev", "ro")},
    MOUNT_CGROUP,
};

static const char *const read_only_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const char *const masked_paths[] = {
    "/proc/acpi",          "/proc/asound",
    "/proc/interrupts",    "/proc/kcore",
    "/proc/keys",          "/proc/key-users",
    "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi",          "/proc/timer_list",
    "/proc/timer_stats",   "/sys/devices/virtual/powercap",
    "/sys/firmware",       NULL,
};

static const char *const no_paths[] = {NULL};

static const struct special_device devices[] = {
    {"/dev/null", 1, 3, 0666, 0, 0},   {"/dev/zero", 1, 5, 0666, 0, 0},    {"/dev/full", 1, 7, 0666, 0, 0},
    {"/dev/random", 1, 8, 0666, 0, 0}, {"/dev/urandom", 1, 9, 0666, 0, 0}, {"/dev/tty", 5, 0, 0666, 0, 5},
};

static const struct special_link links[] = {
    {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/ptmx", "pts/ptmx"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct special_plan special_plan_for(const struct special_request *request)
{
    bool host_sys = request->user_namespace && request->host_network;
    return (struct special_plan){
        .mounts = host_sys ? mounts_host_sys : mounts_own_sys,
        .n_mounts = host_sys ? COUNT(mounts_host_sys) : COUNT(mounts_own_sys),
        .read_only_paths = request->host_pid ? no_paths : read_only_paths,
        .masked_paths = request->host_pid ? no_paths : masked_paths,
        .devices = devices,
        .n_devices = COUNT(devices),
        .links = links,
        .n_links = COUNT(links),
    };
}
