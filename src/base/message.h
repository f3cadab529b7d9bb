/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages hold names from disks and networks, and those may hold anything: a line feed that makes one message two, or
 * an escape sequence that the reader's terminal obeys.
 */

/* Replaces every control character of text by '?', in place. */
void message_make_one_line(char *text);

/* What a program fails with, as one line on standard error: "PROGRAM: TEXT". */
void message_print(const char *program, const char *text);
