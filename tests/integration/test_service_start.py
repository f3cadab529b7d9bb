#!/usr/bin/env python3
"""How the service starts and when it refuses to: ranges, configuration, the table (behaviours A1, A6, A7)."""
import os
import pathlib
import signal
import sqlite3
import subprocess

from harness import MountTest, Service, main, make_file_system, run, scaled, wait_until
from harness.api import ApiError


class StartTest(MountTest):
    file_system = "tmpfs"
    size_mib = 16

    def setUp(self):
        super().setUp()
        self.base = self.new_directory(prefix="service-")
        self.service = Service("--gid-range", "50000-50009", directory=self.base)
        self.addCleanup(self.service.discard)
        self.call = self.service.call

    def fails(self, *more, status=1):
        """Runs the service, which ends with this status; gives what it said."""
        done = subprocess.run(self.service.command(*more), capture_output=True, text=True, timeout=scaled(60),
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def create(self, name):
        path = self.source / name
        path.mkdir(exist_ok=True)
        return self.call("POST", "/v1/volumes", {"name": name, "source": str(path)})

    @property
    def table(self):
        return self.service.state_dir / "gids.db"


class Ranges(StartTest):
    def test_four_ways_to_be_wrong(self):
        said = {text: self.fails("--gid-range", text)
                for text in ("fifty", "50000", "50000-4294967296", "50000-49999", "0-10", "60000-70000", "")}
        self.assertEqual(len(set(said.values())), len(said))
        for text, message in said.items():
            self.assertIn(text, message)
        self.assertFalse(self.table.exists())

    def test_mesos_form(self):
        self.service.start("--gid-range", "[50000-50001, 70000-70001]")
        self.assertEqual(self.call("GET", "/v1/gids")["total"], 4)

    def test_overlap_is_warned_of(self):
        line = next(line for line in pathlib.Path("/etc/group").read_text().splitlines() if line.split(":")[2] != "0")
        name, _, gid = line.split(":")[:3]
        self.service.start("--gid-range", f"{gid}-{gid}")
        warnings = self.call("GET", "/v1/service")["warnings"]
        self.assertTrue(any(name in warning and gid in warning for warning in warnings), warnings)
        self.assertIn(name, self.service.log())

    def test_changed_ranges(self):
        """Old gids stay with their volumes, are not free, and do not come back (behaviour A7)."""
        config = self.base / "gidfs.conf"
        self.service.arguments = ("--config", str(config))
        config.write_text("[gids]\nranges = 50000-50001\n")
        self.service.start()
        self.create("a")
        self.service.stop()
        config.write_text("[gids]\nranges = 60000-60001\n")
        self.service.start()
        gids = self.call("GET", "/v1/gids")
        self.assertEqual((gids["total"], gids["free"], gids["allocated"], gids["out_of_range"]), (2, 2, 0, 1))
        self.assertEqual(self.create("a")["gid"], 50000)
        self.assertEqual(self.create("b")["gid"], 60000)
        self.assertIn("out of", self.call("GET", "/v1/volumes/a")["note"])
        self.assertEqual(self.call("DELETE", "/v1/volumes/a")["gid_state"], "out-of-range")
        self.assertEqual(self.call("GET", "/v1/gids")["out_of_range"], 0)

        config.write_text("[gids]\nranges = nonsense\n")
        os.kill(self.service.process.pid, signal.SIGHUP)
        wait_until(lambda: "nonsense" in self.service.log(), "the complaint")
        self.assertEqual(self.call("GET", "/v1/gids")["ranges"], "60000-60001")
        config.write_text("[gids]\nranges = 70000-70004\n")
        os.kill(self.service.process.pid, signal.SIGHUP)
        wait_until(lambda: self.call("GET", "/v1/gids")["total"] == 5, "the new range")
        self.assertEqual(self.call("GET", "/v1/gids")["out_of_range"], 1)


class Configuration(StartTest):
    def test_what_is_not_known_is_refused(self):
        config = self.base / "gidfs.conf"
        for text in ("[gids]\nrange = 1-2\n", "[gid]\nranges = 1-2\n", "[gids]\norder = any\n", "ranges = 1-2\n",
                     "[service]\nlog_level = loud\n", "[service]\nread_group = no-such-group\n"):
            with self.subTest(text):
                config.write_text(text)
                self.assertIn(str(config), self.fails("--config", str(config)))
        self.assertIn("/nonexistent", self.fails("--config", "/nonexistent"))

    def test_wrong_usage(self):
        self.assertIn("--no-such", self.fails("--no-such", status=2))
        self.assertIn("word", self.fails("word", status=2))

    def test_ends_on_sigterm(self):
        self.service.start()
        self.assertEqual(self.service.stop(), 0)
        self.assertFalse(self.service.socket_path.exists())


class Table(StartTest):
    def test_bad_files_are_refused_and_left_alone(self):
        self.service.start()
        self.create("a")
        self.service.stop()
        with sqlite3.connect(self.table) as table:
            table.execute("PRAGMA journal_mode = DELETE")
        good = self.table.read_bytes()
        newer = good[:60] + (999).to_bytes(4, "big") + good[64:]
        foreign = good[:68] + b"\0\0\0\1" + good[72:]
        for content, word in ((b"", "empty"), (b"garbage" * 100, "not an SQLite"), (good[:4096], "damaged"),
                              (newer, "newer"), (foreign, "another program")):
            with self.subTest(word):
                self.table.write_bytes(content)
                message = self.fails()
                self.assertIn(word, message)
                self.assertIn(str(self.table), message)
                self.assertEqual(self.table.read_bytes(), content)
        self.table.write_bytes(good)
        self.service.start()
        self.assertEqual(self.create("a")["gid"], 50000)

    def test_a_directory_that_cannot_be_written(self):
        self.service.start()
        self.service.stop()
        run(["mount", "--bind", self.service.state_dir, self.service.state_dir])
        self.addCleanup(run, ["umount", "-l", self.service.state_dir])
        run(["mount", "-o", "remount,bind,ro", self.service.state_dir])
        self.assertIn("Read-only file system", self.fails())


class FullDisk(StartTest):
    def test_a_full_disk_loses_nothing(self):
        disk = make_file_system("tmpfs", 8)
        self.addCleanup(disk.unmount)
        self.service.state_dir = disk.path / "state"
        self.service.start()
        first = self.create("first")
        with open(disk.path / "filler", "wb", buffering=0) as filler:
            with self.assertRaises(OSError):
                while True:
                    filler.write(b"x" * 4096)
        errors = []
        for i in range(3):
            with self.assertRaises(ApiError) as caught:
                self.create(f"more-{i}")
            errors.append(caught.exception)
        for error in errors:
            self.assertEqual((error.code, error.errno), ("internal", 28), error)
            self.assertIn("free space", error.message)
        self.assertEqual([v["name"] for v in self.call("GET", "/v1/volumes")["volumes"]], ["first"])
        self.assertEqual(self.call("GET", "/v1/gids")["allocated"], 1)
        with self.assertRaises(ApiError):
            self.call("DELETE", "/v1/volumes/first")
        self.assertEqual(os.stat(first["view"]).st_gid, 50000)
        self.assertEqual(self.call("GET", "/v1/volumes/first")["state"], "mounted")

        os.unlink(disk.path / "filler")
        self.assertEqual(self.create("more-0")["gid"], 50001)
        self.service.kill()
        self.service.start()
        self.assertEqual({v["name"]: v["gid"] for v in self.call("GET", "/v1/volumes")["volumes"]},
                         {"first": 50000, "more-0": 50001})
        self.service.stop()


if __name__ == "__main__":
    main()
