/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gidfs-nsmount: attaches and removes one mount in the mount namespace of another process. It exists because
 * setns(CLONE_NEWNS) is refused to a threaded process, and to keep privilege in a small place. It is started by the
 * service (sys/ns_mount.h), lives for one operation and holds nothing but the descriptors below.
 *
 * The protocol:
 *
 *     gidfs-nsmount attach TARGET must-exist|directory|file
 *     gidfs-nsmount unmount TARGET MOUNT-ID plain|detach
 *
 *     descriptor 3   a pidfd: the process whose mount namespace and root directory are entered
 *     descriptor 4   attach only: a detached mount, ready with all its attributes
 *
 * TARGET is resolved beneath the root of the process; links count as the process sees them, and lead nowhere else. For
 * attach the word behind it says what a missing target is made as. For unmount no link is followed, and MOUNT-ID, if it
 * is not 0, is the id of the mount that must be there.
 *
 * The answer is on standard output, and the exit status is 0 or 1 accordingly:
 *
 *     ok MOUNT-ID\nPATH          MOUNT-ID and PATH of the mount in that namespace (unmount: as given)
 *     error ERRNO\nMESSAGE
 *
 * PATH and MESSAGE go to the end of the output, whatever they hold. A wrong call is answered by exit status 2.
 */
#include "base/fault.h"
#include "base/fd.h"
#include "sys/mount_api.h"
#include "sys/mount_resolve.h"
#include "sys/ns_enter.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PIDFD = 3,
    MOUNT_FD = 4,
};

struct request {
    const char *target;
    bool attach;
    enum mount_resolve_missing missing;
    int mount_id;
    enum mount_unmount_mode mode;
};

/* The index of word in words (NULL-terminated), or -1. */
static int find_word(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    return -1;
}

static bool parse_request(int argc, char **argv, struct request *ret_request)
{
    static const char *const missing_words[] = {"must-exist", "directory", "file", NULL};
    static const char *const mode_words[] = {"plain", "detach", NULL};
    guint64 mount_id = 0;
    int word;

    if (argc == 4 && strcmp(argv[1], "attach") == 0) {
        word = find_word(argv[3], missing_words);
        *ret_request = (struct request){.target = argv[2], .attach = true, .missing = (enum mount_resolve_missing)word};
        return word >= 0;
    }
    if (argc == 5 && strcmp(argv[1], "unmount") == 0) {
        word = find_word(argv[4], mode_words);
        bool number = g_ascii_string_to_unsigned(argv[3], 10, 0, G_MAXINT, &mount_id, NULL);
        *ret_request =
            (struct request){.target = argv[2], .mount_id = (int)mount_id, .mode = (enum mount_unmount_mode)word};
        return number && word >= 0;
    }
    return false;
}

/* Attaches, and finds out what the kernel calls the result: the path without links, and the id. */
static int attach(int root_fd, struct request *request, char **ret_path, GError **error)
{
    auto_fd int target_fd = -1;
    int r = mount_resolve(root_fd, request->target, request->missing, &target_fd, error);
    if (r < 0)
        return r;
    g_autofree char *path = mount_resolve_path_of_fd(target_fd);
    if (!path)
        return gidfs_error(error, EIO, "target %s: the kernel gives it no path", request->target);
    r = mount_id_of_fd(MOUNT_FD, &request->mount_id);
    if (r < 0)
        return gidfs_error_errno(error, r, "read the id of the mount for %s", request->target);
    r = mount_attach(MOUNT_FD, target_fd, request->target, error);
    if (r < 0)
        return r;
    FAULT_POINT("nsmount-attached");
    *ret_path = g_steal_pointer(&path);
    return 0;
}

static int serve(struct request *request, char **ret_path, GError **error)
{
    auto_fd int root_fd = -1;
    int r = ns_enter_mount_namespace(PIDFD, &root_fd, error);
    if (r < 0)
        return r;
    if (request->attach)
        return attach(root_fd, request, ret_path, error);
    r = mount_unmount_beneath(root_fd, request->target, request->mount_id, request->mode, error);
    if (r == 0)
        *ret_path = g_strdup(request->target);
    return r;
}

int main(int argc, char **argv)
{
    struct request request = {0};
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("gidfs-nsmount " GIDFS_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: gidfs-nsmount attach TARGET must-exist|directory|file   3<PIDFD 4<MOUNT\n"
             "       gidfs-nsmount unmount TARGET MOUNT-ID plain|detach      3<PIDFD\n"
             "Mounts in the namespace of another process. Started by gidfsd; not meant to be called by hand.");
        return 0;
    }
    if (!parse_request(argc, argv, &request)) {
        fputs("gidfs-nsmount: wrong usage: this program is started by gidfsd; see gidfs-nsmount --help\n", stderr);
        return 2;
    }
    FAULT_POINT("nsmount-start");
    int r = serve(&request, &path, &error);
    if (r < 0)
        printf("error %d\n%s", -r, error->message);
    else
        printf("ok %d\n%s", request.mount_id, path);
    /* no exit handler may run: this is the other namespace, whose files are not ours to read or write */
    _exit(fflush(stdout) != 0 || r < 0);
}
