#!/usr/bin/env python3
"""Every route of the service stands in docs/api.md with the right to call it, every error of docs/api.md exists, and
the command line asks for fields that /v1/ls has."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
doc = (root / "docs/api.md").read_text()
code = "".join(path.read_text() for path in sorted((root / "src/api").glob("*.c")))
errors = []


def compare(what, documented, served):
    for key in sorted(served):
        if key not in documented:
            errors.append(f"the service has the {what} {key}, docs/api.md has not")
        elif documented[key] != served[key]:
            errors.append(f"{what} {key}: {documented[key]} in docs/api.md, {served[key]} in the service")
    for key in sorted(set(documented) - set(served)):
        errors.append(f"docs/api.md has the {what} {key}, the service has not")


documented = {}
for method, path, who in re.findall(r"^\| `(GET|POST|DELETE|PUT) (/[^`]*)` \| (read|root) \|", doc, re.M):
    documented[f"{method} {re.sub(r'/(NAME|ID)(?=/|$)', '/*', path.split('?')[0])}"] = who
served = {f"{method} {path}": who.lower() for method, path, who in
          re.findall(r'\{"(GET|POST|DELETE|PUT)", "(/[^"]*)", API_ACCESS_(READ|ROOT)', code)}
if not documented or not served:
    errors.append("no routes were found: has their form changed?")
compare("route", documented, served)

refusals = (root / "src/mounts/refusal.c").read_text() + (root / "src/mounts/refusal.h").read_text() + code
words = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (\w+|the errno of the cause) \|", doc, re.M)
for word, status, _ in words:
    if f'"{word}"' not in refusals:
        errors.append(f"docs/api.md has the error {word}, the service has not")

# the command line asks for fields by the names of its columns
fields = set(re.findall(r"^    \{\"(\w+)\", FIELD_\w+, .*\},", (root / "src/api/listing.c").read_text(), re.M))
infos = (root / "src/cli/cmd_attach.c").read_text().split("infos[] = {")[1].split("};")[0]
columns = set(re.findall(r'"(\w+)"\},$', infos, re.M))
for name in sorted(columns - fields):
    errors.append(f"a column of gidfs ls asks for {name}, which /v1/ls has not")
for error in errors:
    print(error)
sys.exit(1 if errors else 0)
