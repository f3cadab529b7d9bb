#!/usr/bin/env python3
"""The header, the linker map and the header test name the same functions, and every one of them is documented."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
header = (root / "include/gidfs/gidfs.h").read_text()
declared = set(re.findall(r"^GIDFS_PUBLIC[^;]*?\b(gidfs_\w+)\(", header, re.M))
mapped = set(re.findall(r"^\s+(gidfs_\w+);", (root / "src/client/libgidfs.map").read_text(), re.M))
tested = set(re.findall(r"\(function\)(gidfs_\w+)", (root / "tests/header/header.c").read_text()))

errors = []
for name in sorted(declared | mapped | tested):
    for where, names in (("the header", declared), ("the linker map", mapped), ("the header test", tested)):
        if name not in names:
            errors.append(f"{name} is missing in {where}")

# Documented: a comment stands right before the declaration, or before the group of declarations that it is in.
for group in re.split(r"\n\s*\n", header):
    undocumented = not re.match(r"\s*(/\*|GIDFS_PUBLIC void gidfs_result_free)", group)
    if re.search(r"^GIDFS_PUBLIC", group, re.M) and undocumented:
        errors.append(f"no documentation before: {group.strip().splitlines()[0]}")
for error in errors:
    print(error)
sys.exit(1 if errors else 0)
