/* SPDX-License-Identifier: Apache-2.0 */
#include "base/message.h"
#include "gidfs_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_control_characters_go(void **state)
{
    char text[] = "\x01no\nsuch\x1b[31m\t\x7f";
    (void)state;
    message_make_one_line(text);
    assert_string_equal(text, "?no?such?[31m??");
}

static void test_all_else_stays(void **state)
{
    char text[] = " ~\"\\ \xc3\xbc\xff", before[sizeof(text)], empty[] = "";
    (void)state;
    memcpy(before, text, sizeof(text));
    message_make_one_line(text);
    assert_string_equal(text, before);
    message_make_one_line(empty);
    assert_string_equal(empty, "");
}

static void test_one_line_is_printed(void **state)
{
    int ends[2], kept = dup(STDERR_FILENO);
    char line[64] = "";
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    message_print("program", "no\nsuch");
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
    assert_string_equal(line, "program: no?such\n");
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_go),
        cmocka_unit_test(test_all_else_stays),
        cmocka_unit_test(test_one_line_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
