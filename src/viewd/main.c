/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs-view: mounts one view. */
#include "base/log.h"
#include "base/message.h"
#include "sys/sandbox.h"
#include "viewd/viewd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static void print_help(void)
{
    g_autofree char *options = view_options_help();
    printf("usage: gidfs-view [-f] -o OPTIONS SOURCE MOUNTPOINT\n"
           "       gidfs-view [-f] -o lowerdir=TOP[:…:BOTTOM][,upperdir=U,workdir=W][,…] [SOURCE] MOUNTPOINT\n\n"
           "Mounts a view of SOURCE at MOUNTPOINT in which everything belongs to one gid, or a view of layers.\n"
           "Returns when the view is usable; unmount it with umount(8).\n\n"
           "  -f, --foreground  stay in the foreground\n"
           "  -o OPTIONS        options, separated by commas\n"
           "  -h, --help        this text\n"
           "  -V, --version     the version\n\n"
           "options:\n%s",
           options);
}

static int usage(const char *message)
{
    g_autofree char *text = g_strconcat(message, "; see gidfs-view --help", NULL);
    message_print("gidfs-view", text);
    return EXIT_USAGE;
}

/* -o may be given more than once. */
static void add_options(GString *all, const char *more)
{
    if (all->len > 0)
        g_string_append_c(all, ',');
    g_string_append(all, more);
}

/* What a keeper that hands its view over says: --takeover=MEMORY,CONTROL,UPGRADER,STARTED or --check-takeover=MEMORY.
 */
struct handover {
    bool takes_over, checks;
    struct viewd_takeover from;
};

static bool read_handover(const char *text, bool checks, struct handover *ret_handover)
{
    struct viewd_takeover *from = &ret_handover->from;
    ret_handover->checks = checks;
    ret_handover->takes_over = !checks;
    if (checks)
        return sscanf(text, "%d", &from->memory_fd) == 1;
    return sscanf(text, "%d,%d,%d,%" SCNu64, &from->memory_fd, &from->control_fd, &from->upgrader_fd,
                  &from->started_ms) == 4;
}

static int run(const struct viewd_request *request, const struct handover *handover)
{
    if (handover->takes_over)
        return viewd_take_over(request, &handover->from);
    if (handover->checks)
        return viewd_check_takeover(request, handover->from.memory_fd);
    return viewd_mount(request);
}

static int serve_view(const char *option_text, char **operands, int n_operands, bool foreground,
                      const struct handover *handover)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(view_options) options = NULL;
    if (view_options_parse(option_text, &options, &error) < 0) {
        message_print("gidfs-view", error->message);
        return EXIT_USAGE;
    }
    viewd_make_absolute(options);
    bool layered = options->n_lower_dirs > 0;
    if (n_operands < (layered ? 1 : 2) || n_operands > 2)
        return usage(layered ? "MOUNTPOINT is missing" : "SOURCE and MOUNTPOINT are needed");
    /* Called as fuse-overlayfs is, for a container's root: as there, its programs may be setuid. */
    if (layered && n_operands == 1 && !(options->flags_given & VIEW_NOSUID))
        options->flags &= ~(uint32_t)VIEW_NOSUID;
    if (options->debug)
        log_set_level(LOG_LEVEL_DEBUG);
    struct viewd_request request = {
        .program = "gidfs-view",
        .options = options,
        .source = n_operands == 2 ? operands[0] : NULL,
        .mountpoint = operands[n_operands - 1],
        .foreground = foreground,
    };
    return run(&request, handover);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"foreground", no_argument, NULL, 'f'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {"version", no_argument, NULL, 'V'},
                                                 {"takeover", required_argument, NULL, 't'},
                                                 {"check-takeover", required_argument, NULL, 'c'},
                                                 {NULL, 0, NULL, 0}};
    g_autoptr(GString) options = g_string_new("");
    struct handover handover = {0};
    bool foreground = false;
    log_setup("gidfs-view", LOG_LEVEL_INFO);
    for (int c; (c = getopt_long(argc, argv, "fo:hV", long_options, NULL)) != -1;) {
        switch (c) {
        case 'f':
            foreground = true;
            break;
        case 'o':
            add_options(options, optarg);
            break;
        case 't':
        case 'c':
            if (!read_handover(optarg, c == 'c', &handover))
                return usage("--takeover is for a keeper to say");
            break;
        case 'h':
            print_help();
            return EXIT_SUCCESS;
        case 'V':
            printf("gidfs-view %s\n", GIDFS_VERSION);
            return EXIT_SUCCESS;
        default:
            return EXIT_USAGE;
        }
    }
    if (!handover.takes_over && !handover.checks) {
        sandbox_clean_fds();
        sandbox_clean_signals();
    }
    return serve_view(options->str, argv + optind, argc - optind, foreground, &handover);
}
