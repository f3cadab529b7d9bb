/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asks whoever listens on the unix stream socket at path one line (without its end), and reads one line as the answer
 * (without its end; the caller frees it). -ETIMEDOUT after timeout_ms, -ECONNREFUSED, -ENOENT when nobody listens,
 * -EPIPE when the other side ends without an answer, -EMSGSIZE for one beyond 64 KiB. Thread-safe.
 */
int unix_line_ask(const char *path, const char *line, unsigned int timeout_ms, char **ret_answer);
