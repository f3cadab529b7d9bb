#!/usr/bin/env python3
"""Dependencies point one way: checks the includes of every module against the table below.

The table is the architecture (docs/architecture.md says why). A module may include its own headers,
those of the modules named behind it, and the public headers (gidfs/…) where PUBLIC says so.
"""
import pathlib
import re
import sys

LAYERS = {
    "base": [],
    "core": ["base"],
    "sys": ["core", "base"],
    "layer": ["sys", "core", "base"],
    "provision": ["layer", "sys", "core", "base"],
    "fuse": ["sys", "core", "base"],
    "inode": ["fuse", "sys", "core", "base"],
    "watch": ["inode", "fuse", "sys", "core", "base"],
    "view/common": ["watch", "inode", "fuse", "sys", "core", "base"],
    "view/gid": ["view/common", "watch", "inode", "fuse", "sys", "core", "base"],
    "view/layers": ["view/common", "layer", "watch", "inode", "fuse", "sys", "core", "base"],
    "viewd": ["view/gid", "view/layers", "view/common", "watch", "inode", "fuse", "sys", "core", "base"],
    "check": ["sys", "core", "base"],
    "nsmount": ["sys", "core", "base"],
    "table": ["core", "base"],
    "mounts": ["table", "sys", "core", "base"],
    "api": ["mounts", "table", "sys", "core", "base"],
    "daemon": ["api", "mounts", "table", "sys", "core", "base"],
    "client": ["base"],
    "cli": ["core", "base"],  # and the client module through its public header alone
}
PUBLIC = {"client", "cli"}
# libraries that belong to one place
ONLY_IN = {
    r"fuse_lowlevel\.h|fuse_log\.h": ("fuse", "inode", "watch", "view/common", "view/gid", "view/layers", "viewd"),
    r"libmount(/|\.h)": ("sys",),
    r"linux/fuse\.h": ("sys", "fuse"),
    r"sqlite3\.h": ("table",),
    r"microhttpd\.h": ("api",),
    r"libsmartcols": ("cli",),
    r"archive(_entry)?\.h": ("provision",),
    r"sys/mount\.h|sys/fanotify\.h|sys/xattr\.h|sys/fsuid\.h|linux/mount\.h": ("sys",),
}

root = pathlib.Path(__file__).resolve().parents[2]
errors = []


def module_of(path):
    rel = path.relative_to(root / "src").parent.as_posix()
    return rel


for path in sorted((root / "src").rglob("*.[ch]")):
    module = module_of(path)
    if module not in LAYERS:
        errors.append(f"{path.relative_to(root)}: the folder src/{module} is no module of the table in {__file__}")
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.relative_to(root)}:{number}"
        quoted = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if quoted:
            target = str(pathlib.PurePosixPath(quoted.group(1)).parent)
            if target == "gidfs":
                if module not in PUBLIC:
                    errors.append(f"{where}: {module} may not use the public header {quoted.group(1)}")
            elif target not in LAYERS:
                errors.append(f'{where}: write includes from the source root ("module/file.h")')
            elif target != module and target not in LAYERS[module]:
                errors.append(f"{where}: {module} may not use {target}")
        angled = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if angled:
            for pattern, places in ONLY_IN.items():
                if re.match(pattern, angled.group(1)) and module not in places:
                    errors.append(f"{where}: <{angled.group(1)}> belongs to {', '.join(places)} only")

for error in errors:
    print(error)
sys.exit(1 if errors else 0)
