#!/usr/bin/env python3
"""Small rules that no compiler checks: length of files and lines, white space, licence lines, no paths of a machine."""
import pathlib
import re
import subprocess
import sys

MAX_LINES = 700
MAX_COLUMNS = 120

root = pathlib.Path(__file__).resolve().parents[2]
names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True)
files = names.stdout.split() if names.returncode == 0 else [
    str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "/build" not in str(p)]
errors = []
for name in files:
    path = root / name
    if name == "LICENSE" or path.suffix in (".svg", ".png", ".json", ".tar", ".bin") or not path.is_file():
        continue
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        continue
    if re.search(r"/wor[k]/|/far[m]/|https?://(deb|registry|npm)\.", text):
        errors.append(f"{name}: holds a path of one machine or the address of a package host")
    if path.suffix not in (".c", ".h", ".py", ".sh", ".txt"):
        continue
    lines = text.split("\n")
    if path.suffix in (".c", ".h"):
        if len(lines) > MAX_LINES:
            errors.append(f"{name}: {len(lines)} lines; split what is longer than {MAX_LINES}")
        if "SPDX-License-Identifier: Apache-2.0" not in "".join(lines[:2]):
            errors.append(f"{name}:1: the first line is the SPDX licence line")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            errors.append(f"{name}:{number}: {len(line)} columns")
        if line != line.rstrip():
            errors.append(f"{name}:{number}: white space at the end")
        if path.suffix in (".c", ".h") and "\t" in line:
            errors.append(f"{name}:{number}: a tab")
for error in errors:
    print(error)
sys.exit(1 if errors else 0)
