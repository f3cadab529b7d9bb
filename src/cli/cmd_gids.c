/* SPDX-License-Identifier: Apache-2.0 */
/* gidfs gids. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/listing.h"

static const struct column holder_columns[] = {
    {"GID", 5, COLUMN_RIGHT, "the gid", "gid"},
    {"STATE", 11, 0, "allocated or quarantined", "state"},
    {"VOLUME", 0.2, COLUMN_TREE, "the volume that has or had it", "volume"},
    {"SOURCE", 0.4, COLUMN_SHORTENS, "the volume's directory", "source"},
    {"SINCE", 20, 0, "since when", "since"},
    {"IN-RANGE", 3, 0, "whether it lies in the configured ranges", "in_range"},
    {"REASON", 0.3, COLUMN_SHORTENS, "why it is in quarantine", "reason"},
};

static const struct listing holder_listing =
    LISTING("holders", holder_columns, "GID,STATE,VOLUME,SOURCE,SINCE,IN-RANGE,REASON");

static void print_counts(const gidfs_result *gids)
{
    static const char *const counts[] = {"total", "free", "allocated", "quarantined", "out_of_range"};
    const char *ranges = gidfs_result_string(gids, "ranges");
    printf("ranges %s\n", ranges ? ranges : "unknown");
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        int64_t number;
        if (gidfs_result_number(gids, counts[i], &number) == 0)
            printf("%s%s %lld", i ? "  " : "", counts[i], (long long)number);
    }
    printf("\n");
}

COMMAND(cmd_gids)
{
    g_auto(listing_options) options = {0};
    struct column_choice choice;
    const GOptionEntry entries[] = {LISTING_ENTRIES(options), {0}};
    if (!cli_parse(command, entries, 0, 0, &argc, &argv))
        return CLI_USAGE;
    enum cli_status status = listing_choose(command, &holder_listing, options.columns, &choice);
    if (status != CLI_OK || choice.n == 0)
        return status;
    g_autoptr(gidfs_result) gids = NULL;
    status = cli_call(cli, "GET", "/v1/gids", &gids);
    if (status != CLI_OK)
        return status;
    if (!options.json && !options.raw && !options.no_headings && !options.columns)
        print_counts(gids);
    listing_print(&holder_listing, &options, &choice, gids);
    return CLI_OK;
}
