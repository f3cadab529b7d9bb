/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Removes name in dir_fd and all below it, whatever it is; that it isn't there is no error. Never follows a link and
 * never enters another mount or file system (-EXDEV, with everything there untouched). Goes on after a failure and
 * returns the first one.
 */
int remove_tree(int dir_fd, const char *name);
