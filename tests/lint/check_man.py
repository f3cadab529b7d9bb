#!/usr/bin/env python3
"""The manual pages are clean and name every command, option and key that the programs know.   usage: … BIN"""
import pathlib
import re
import shutil
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
bin_dir = pathlib.Path(sys.argv[1]).resolve()
errors = []


def page(name):
    """The page's text, without the markup of words."""
    text = (root / "docs/man" / name).read_text()
    text = text.replace("\\-", "-")
    text = re.sub(r"\\f[RBIP]", "", text)
    text = re.sub(r"^\.\w+ ", "", text, flags=re.M)
    return re.sub(r"[ \t]+", " ", text.replace('"', ""))


def help_of(*command):
    return subprocess.run([bin_dir / command[0], *command[1:], "--help"], capture_output=True, text=True,
                          check=True, timeout=60).stdout


def want(name, text, words):
    for word in sorted(set(words)):
        if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text):
            errors.append(f"docs/man/{name} does not name {word}")


def long_options(text):
    return [word for word in re.findall(r"--[a-z][a-z-]+", text) if word not in ("--help", "--version")]


gidfs = page("gidfs.8")
commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", help_of("gidfs"), re.M)
want("gidfs.8", gidfs, ["gidfs " + command for command in commands] + long_options(help_of("gidfs")))
for command in commands:
    want("gidfs.8", gidfs, long_options(help_of("gidfs", *command.split())))
want("gidfsd.8", page("gidfsd.8"), long_options(help_of("gidfsd")))
view = help_of("gidfs-view")
want("gidfs-view.8", page("gidfs-view.8"), long_options(view))
options = re.findall(r"^  ([a-z_]+)(?:\+?=\S+)? {2,}", view[view.index("options:\n"):], re.M)
if not options:
    errors.append("no options were found in gidfs-view --help")
want("gidfs-view.8", page("gidfs-view.8"), options)
keys = re.findall(r"^\| `\[\w+\] (\w+)`", (root / "docs/config.md").read_text(), re.M)
if not keys:
    errors.append("no keys were found in docs/config.md")
want("gidfs.conf.5", page("gidfs.conf.5"), keys)

for path in sorted((root / "docs/man").iterdir()):
    if shutil.which("groff") and path.read_text()[:3] != ".so":
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-Kutf8", path], capture_output=True, text=True)
        errors += [line for line in done.stderr.splitlines() if line]
for error in errors:
    print(error)
sys.exit(1 if errors else 0)
