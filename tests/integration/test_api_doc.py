#!/usr/bin/env python3
"""docs/api.md shows the members that answers really have: the examples against a running service."""
import pathlib
import re

from harness import MountTest, Service, main

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "docs/api.md").read_text()


def example(heading):
    """The members that the first example behind a heading names."""
    section = re.split(r"^#", TEXT[TEXT.index(f"\n{heading}\n") + len(heading) + 2:], maxsplit=1, flags=re.M)[0]
    block = re.search(r"(?m)(^    \{.*\n(?:^ {5,}.*\n)*)", section)
    return set(re.findall(r'"(\w+)":', block[1]))


def members(value):
    """The names of all members at any depth; a map from words to numbers (as of requests) counts as a value."""
    if isinstance(value, list):
        return set().union(*map(members, value)) if value else set()
    if isinstance(value, dict):
        return set(value) | members(list(value.values()))
    return set()


class ApiDocTest(MountTest):
    size_mib = 64

    def setUp(self):
        super().setUp()
        self.service = Service("--gid-range", "50000-50009", directory=self.new_directory(prefix="service-"))
        self.addCleanup(self.service.discard)
        self.call = self.service.call
        self.service.start()
        self.data = self.source / "data"
        self.data.mkdir()
        self.target = pathlib.Path(self.new_directory(prefix="target-"))

    def test_examples(self):
        volume = self.call("POST", "/v1/volumes", {"name": "data", "source": str(self.data)})
        self.assertEqual(members(volume) - {"reused"}, example("## Volumes"))
        self.assertEqual(volume["reused"], False)
        attachment = self.call("POST", "/v1/attachments", {"volume": "data", "target": str(self.target)})
        self.assertEqual(members(attachment) - {"reused"}, example("## Attachments"))
        self.assertEqual(members(self.call("GET", "/v1/service")), example("### GET /v1/service"))
        self.assertEqual(members(self.call("GET", "/v1/gids")), example("### GET /v1/gids"))
        container = self.call("POST", "/v1/containers", {"id": "c", "user": 1001, "volumes": [
            {"name": "data", "target": "/data"}]})
        self.assertEqual(members(container), example("### POST /v1/containers"))
        plan = self.call("POST", "/v1/recover", {"dry_run": True})
        self.assertTrue(plan["plan"])
        self.assertEqual(members(plan), example("### POST /v1/recover"))
        rows = self.call("GET", "/v1/ls")["rows"]
        fields = re.search(r"(?ms)^Fields: (.*?);", TEXT)[1]
        for row in rows:
            self.assertEqual(set(row), set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", fields))))
        rootfs = self.call("POST", "/v1/rootfs", {"id": "web-1", "layers": [str(self.data)]})
        self.assertEqual(members(rootfs), example("## Rootfs"))
        self.call("DELETE", "/v1/rootfs/web-1")
        self.call("DELETE", "/v1/containers/c")
        self.call("DELETE", f"/v1/attachments?target={self.target}")


if __name__ == "__main__":
    main()
