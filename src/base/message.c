/* SPDX-License-Identifier: Apache-2.0 */
#include "base/message.h"

#include <glib.h>
#include <stdio.h>

void message_make_one_line(char *text)
{
    for (; *text; text++) {
        if (g_ascii_iscntrl(*text))
            *text = '?';
    }
}

void message_print(const char *program, const char *text)
{
    g_autofree char *line = g_strdup(text);
    message_make_one_line(line);
    fprintf(stderr, "%s: %s\n", program, line);
}
