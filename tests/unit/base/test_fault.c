/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include "gidfs_test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process ends with that passes one, two, one with GIDFS_FAULT set so; 0 if it passes all three. */
static int pass_points(const char *fault)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("GIDFS_FAULT", fault, 1);
        FAULT_POINT("step-one");
        FAULT_POINT("step-two");
        FAULT_POINT("step-one");
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_the_point_asked_for_ends_the_process(void **state)
{
#ifdef GIDFS_FAULTS
    const int killed = 137;
#else
    const int killed = 0; /* not compiled in: nothing ever ends a process */
#endif
    assert_int_equal(pass_points("step-one"), killed);
    assert_int_equal(pass_points("step-two:1"), killed);
    assert_int_equal(pass_points("step-one:2"), killed);
    assert_int_equal(pass_points("step-*:3"), killed);
    assert_int_equal(pass_points("unit-base-fault/step-*:3"), killed);
    assert_int_equal(pass_points("gidfsd/step-*:3"), 0);
    assert_int_equal(pass_points("step-*:4"), 0);
    assert_int_equal(pass_points("step-one:3"), 0);
    assert_int_equal(pass_points("step"), 0);
    assert_int_equal(pass_points("none"), 0);
    assert_int_equal(pass_points(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_point_asked_for_ends_the_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
