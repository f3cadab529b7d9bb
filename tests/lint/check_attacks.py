#!/usr/bin/env python3
"""docs/security.md names a test for each attack: each is there. I/x is tests/integration/test_x.py, U/x tests/unit/x.

In a cell, I/x or U/x says where to look for the names in `code` that follow it: Class.name and name are tests, Class
is a class."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
document = (root / "docs/security.md").read_text()
table = document.split("\n## Attacks\n", 1)[1].split("\n## ", 1)[0]
rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
errors = []


def source_of(place):
    kind, name = place.split("/", 1)
    if kind == "U":
        path = root / "tests/unit" / name
        return path.with_name(f"test_{path.name}.c")
    return root / "tests/integration" / (name if name.endswith(".c") else f"test_{name}.py")


def is_there(text, name):
    group, _, test = name.rpartition(".")
    if group and not re.search(rf"^class {group}\b", text, re.M):
        return False
    return re.search(rf"\b(def|void) test_{test}\b|^class {test}\b", text, re.M)


for row in rows:
    attack, _, tests = (cell.strip() for cell in row)
    text = None
    for word in re.findall(r"[IU]/[\w/.]*\w|`[^`]+`", tests):
        if word.startswith("`"):
            name = word.strip("`")
            if name.startswith("fuzz-"):
                if not (root / f"tests/fuzz/fuzz_{name[5:]}.c").exists():
                    errors.append(f"{attack}: there is no {name}")
            elif text is None or not is_there(text, name):
                errors.append(f"{attack}: no test {name}")
            continue
        path = source_of(word)
        text = path.read_text() if path.exists() else None
        if text is None:
            errors.append(f"{attack}: no file {path.relative_to(root)}")
    if "/" not in tests:
        errors.append(f"{attack}: no test at all")

if len(rows) < 20:
    errors.append(f"{len(rows)} attacks in docs/security.md: the table is not read right")
print("\n".join(errors))
sys.exit(1 if errors else 0)
