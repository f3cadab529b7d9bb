/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api/api.h"

/* The objects of docs/api.md, as they are written, and checks that several handlers share. */
void api_write_volume(struct json_out *out, const struct volume_info *info);
void api_write_volume_with(struct json_out *out, const struct volume_info *info, bool with_reused);
void api_write_attachment(struct json_out *out, const struct attachment_info *info);

/* {"name", "code", "errno", "message"} */
void api_write_error(struct json_out *out, const char *name, const GError *error);

/*
 * An answer of two lists that grow side by side: what was done, and what failed. api_lists_end() writes both into out,
 * under their names, and frees them.
 */
struct api_lists {
    struct json_out done, failed;
};
void api_lists_begin(struct api_lists *lists);
void api_lists_end(struct api_lists *lists, struct json_out *out, const char *done, const char *failed);

int api_expect_no_query(struct api_request *request, GError **error);
int api_expect_nothing(struct api_request *request, GError **error); /* neither query nor body */
int api_refuse_when_draining(struct api *api, GError **error);
