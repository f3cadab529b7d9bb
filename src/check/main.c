/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gidfs-check: tries on this machine, once, each thing that gidfs builds on. A program of its own, because the probes
 * need a mount namespace and a single thread: the service and the command line run it.
 */
#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/message.h"
#include "sys/check.h"

#define DEFAULT_DIR   "/var/tmp"
#define LIMIT_SECONDS 60
#define EXIT_USAGE    2

struct check {
    const char *name;
    bool needed;
    int (*probe)(const char *dir, char **ret_detail, GError **error);
    const char *remedy; /* what to do where it fails */
    bool ok;
    char *detail;
};

static struct check checks[] = {
    {"capabilities", true, check_capabilities, "run as root, and in a container with these capabilities", false, NULL},
    {"fuse", true, check_fuse, "load the module (modprobe fuse); in a container let /dev/fuse in", false, NULL},
    {"mount-api", false, check_mount_api, "Linux 5.12 or later; without it read-only mounts are made in two steps",
     false, NULL},
    {"file-handles", false, check_file_handles,
     "use a file system with handles (ext4, xfs, btrfs, tmpfs); without them a view holds a descriptor for each inode",
     false, NULL},
    {"fanotify", false, check_fanotify,
     "Linux 5.9 or later, as root; without it views cache for a second (cache=auto) or say cache=always", false, NULL},
    {"passthrough", false, check_passthrough,
     "Linux 6.9 or later and a source that is not stacked; without it data is copied through the view's process", false,
     NULL},
    {"idmapped-mounts", false, check_idmapped_mounts,
     "Linux 5.12 or later and a file system that allows them; without them ids are mapped by the view", false, NULL},
    {"overlay", false, check_overlay, "only for comparing with the kernel's overlayfs; gidfs works without", false,
     NULL},
};

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

/* Everything is tried in one directory that goes away again, whatever a probe left in it. */
static int run_checks(const char *parent, GError **error)
{
    g_autofree char *dir = g_build_filename(parent, "gidfs-check-XXXXXX", NULL);
    if (!g_mkdtemp(dir))
        return gidfs_error_errno(error, errno, "make a directory in %s", parent);
    g_autoptr(GError) unshared = NULL;
    bool alone = check_enter(&unshared) == 0;
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autoptr(GError) problem = NULL;
        bool mounts = checks[i].probe != check_capabilities && checks[i].probe != check_file_handles;
        if (mounts && !alone)
            checks[i].detail = g_strdup(unshared->message);
        else if (checks[i].probe(dir, &checks[i].detail, &problem) == 0)
            checks[i].ok = true;
        else
            checks[i].detail = g_strdup(problem->message);
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return 0;
}

static bool all_needed_ok(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        if (checks[i].needed && !checks[i].ok)
            return false;
    }
    return true;
}

static void append_boolean(GString *out, const char *name, bool value)
{
    g_string_append_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void print_json(void)
{
    g_autoptr(GString) out = g_string_new("{");
    g_string_append_printf(out, "\"ok\":%s,\"checks\":[", all_needed_ok() ? "true" : "false");
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autofree char *detail = g_utf8_make_valid(checks[i].detail, -1);
        g_string_append(out, i ? ",{\"name\":" : "{\"name\":");
        json_append_string(out, checks[i].name);
        append_boolean(out, "ok", checks[i].ok);
        append_boolean(out, "needed", checks[i].needed);
        g_string_append(out, ",\"detail\":");
        json_append_string(out, detail);
        g_string_append(out, ",\"remedy\":");
        json_append_string(out, checks[i].ok ? NULL : checks[i].remedy);
        g_string_append_c(out, '}');
    }
    g_string_append(out, "]}");
    puts(out->str);
}

static void print_text(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        const struct check *check = &checks[i];
        printf("%-7s %-16s %s\n", check->ok ? "ok" : check->needed ? "FAILED" : "missing", check->name, check->detail);
        if (!check->ok)
            printf("%-24s %s\n", "", check->remedy);
    }
}

int main(int argc, char **argv)
{
    gboolean json = FALSE, version = FALSE;
    g_autofree char *dir = NULL;
    const GOptionEntry entries[] = {
        {"json", 'J', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Try things on this directory's file system (" DEFAULT_DIR ")",
         "DIR"},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    setlocale(LC_CTYPE, ""); /* what --help is printed in */
    g_option_context_set_summary(context, "Tries each thing on this machine that gidfs builds on.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        message_print("gidfs-check", error ? error->message : "it takes no arguments (see --help)");
        return EXIT_USAGE;
    }
    if (version) {
        puts("gidfs-check " GIDFS_VERSION);
        return EXIT_SUCCESS;
    }
    alarm(LIMIT_SECONDS); /* a kernel that hangs in a probe must not hang the caller */
    if (run_checks(dir ? dir : DEFAULT_DIR, &error) < 0) {
        message_print("gidfs-check", error->message);
        return EXIT_FAILURE;
    }
    if (json)
        print_json();
    else
        print_text();
    return all_needed_ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}
