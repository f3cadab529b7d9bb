#!/usr/bin/env python3
"""core is pure: its undefined symbols hold no I/O, no clock, no environment, no syscalls.

usage: check_pure.py libgidfs_core.a
"""
import re
import subprocess
import sys

ALLOWED = re.compile(
    r"^(g_(?!file_|spawn_|get_real|get_mono|getenv|setenv|io_|mkdir|open|unlink|key_file_load|thread)"
    r"(?!date_time_new_now|random|print|warning|log|unix)\w+"
    r"|mem\w+|str\w+|__(mem|str)\w+_chk|__stack_chk_fail|__isoc\w+|__ctype_\w+|snprintf|__snprintf_chk"
    r"|bsearch|qsort|abort|__errno_location|__assert_fail|toupper|tolower|is\w+|malloc|calloc|realloc|free"
    r"|__(a|ub|t)san_\w+|__sanitizer_\w+|__gcov_\w+|_GLOBAL_OFFSET_TABLE_|gidfs_error\w*)$")

out = subprocess.run(["nm", "-g", sys.argv[1]], check=True, capture_output=True, text=True).stdout
defined = set(re.findall(r"^[0-9a-f]+ [A-TV-Z] (\S+)$", out, re.M))
undefined = set(re.findall(r"^\s+[Uw] (\S+)$", out, re.M)) - defined
bad = sorted(name for name in undefined if not ALLOWED.match(name))
for name in bad:
    print(f"core uses {name}: rules are pure functions; what touches the system belongs to sys")
sys.exit(1 if bad else 0)
