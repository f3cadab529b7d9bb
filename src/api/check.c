/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route that tells what this machine can do. gidfs-check tries it: probes need a single thread and a mount
 * namespace of their own, and one that goes wrong must not take the service along.
 */
#include "api/api.h"
#include "api/objects.h"
#include "base/json.h"
#include "base/program_path.h"
#include "sys/spawn.h"

#include <string.h>

#define CHECK_TIMEOUT_MS  70000 /* it ends itself after a minute */
#define STATUS_ALL_WORKS  0
#define STATUS_SOME_FAILS 1

static int check_machine(struct api *api, struct api_request *request, GError **error)
{
    g_autofree char *program = program_path("gidfs-check"), *output = NULL;
    const char *argv[] = {program, "--json", "--dir", registry_state_dir(api->registry), NULL};
    struct spawn_options options = {.argv = argv, .timeout_ms = CHECK_TIMEOUT_MS};
    g_autoptr(json_doc) doc = NULL;
    int status;

    int r = api_expect_no_query(request, error);
    if (r == 0)
        r = spawn_run(&options, &output, &status, error);
    if (r < 0)
        return r;
    if ((status != STATUS_ALL_WORKS && status != STATUS_SOME_FAILS) ||
        json_doc_parse(output, strlen(output), &doc, NULL) < 0)
        return gidfs_error(error, EIO, "%s ended with %d and no result; run it by hand", program, status);
    json_doc_write(doc, 0, request->out.text);
    return 0;
}

const struct api_route api_check_routes[] = {
    {"GET", "/v1/check", API_ACCESS_READ, check_machine},
    {0},
};
