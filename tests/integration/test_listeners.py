"""inotify watches in a view hear of changes that are made behind it (behaviour B10), and the disk does not notice."""
import ctypes
import os
import select
import struct
import time

from harness import MountTest, main, scaled, snapshot, wait_until
from harness.control import Control

MODIFY, ATTRIB, CREATE, DELETE, DELETE_SELF, ISDIR = 0x2, 0x4, 0x100, 0x200, 0x400, 0x40000000
ALL = MODIFY | ATTRIB | CREATE | DELETE | DELETE_SELF
NAMES = {MODIFY: "modify", ATTRIB: "attrib", CREATE: "create", DELETE: "delete", DELETE_SELF: "delete-self"}
libc = ctypes.CDLL(None, use_errno=True)


class Listener:
    """An inotify descriptor that gathers what it hears as (event, name)."""

    def __init__(self, *paths):
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self.heard = set()
        for path in paths:
            if libc.inotify_add_watch(self.fd, os.fsencode(path), ALL) < 0:
                raise OSError(ctypes.get_errno(), f"inotify_add_watch {path}")

    def close(self):
        os.close(self.fd)

    def listen(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return
        data, at = os.read(self.fd, 65536), 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            self.heard |= {(NAMES[bit], name) for bit in NAMES if mask & bit}
            at += 16 + length

    def hears(self, *wanted, timeout=20):
        deadline = time.monotonic() + scaled(timeout)
        while not set(wanted) <= self.heard:
            if time.monotonic() > deadline:
                raise AssertionError(f"not heard of {set(wanted) - self.heard}, only of {self.heard}")
            self.listen(0.1)
        self.heard -= set(wanted)


    def heard_soon(self, wanted):
        deadline = time.monotonic() + scaled(0.5)
        while wanted not in self.heard and time.monotonic() < deadline:
            self.listen(0.1)
        return wanted in self.heard


class Listeners(MountTest):

    def setUp(self):
        super().setUp()
        (self.source / "dir").mkdir()
        (self.source / "dir" / "old").write_text("old")
        (self.source / "dir" / "below").mkdir()
        socket = self.directory / "control.sock"
        self.mounted = self.view(f"gid=5000,control={socket}")
        self.path = self.mounted.path / "dir"
        self.disk = self.source / "dir"
        self.control = Control(socket)

    def listen_to(self, *paths):
        listener = Listener(*paths)
        self.addCleanup(listener.close)
        return listener

    def test_each_kind_of_change_is_heard(self):
        listener = self.listen_to(self.path)
        (self.disk / "file").write_text("new")
        listener.hears(("create", "file"))
        (self.disk / "made").mkdir()
        listener.hears(("create", "made"))
        (self.disk / "link").symlink_to("file")
        listener.hears(("create", "link"))
        os.mkfifo(self.disk / "fifo")
        listener.hears(("create", "fifo"))
        with open(self.disk / "old", "a", encoding="ascii") as file:
            file.write("more")
        listener.hears(("modify", "old"))
        (self.disk / "old").chmod(0o600)
        listener.hears(("attrib", "old"))
        (self.disk / "file").unlink()
        listener.hears(("delete", "file"))
        (self.disk / "made").rmdir()
        listener.hears(("delete", "made"))
        (self.disk / "old").rename(self.disk / "new")
        listener.hears(("delete", "old"), ("create", "new"))

    def test_what_was_seen_before_is_heard_of_too(self):
        self.assertEqual("old", (self.path / "old").read_text())
        self.assertFalse((self.path / "file").exists())
        listener = self.listen_to(self.path, self.path / "old")
        (self.disk / "file").write_text("new")
        listener.hears(("create", "file"))
        self.assertEqual("new", (self.path / "file").read_text())
        (self.disk / "old").unlink()
        listener.hears(("delete", "old"), ("delete-self", ""))
        self.assertFalse((self.path / "old").exists())

    def test_the_view_and_the_disk_stay_what_they_were(self):
        listener = self.listen_to(self.path, self.path / "below")
        for number in range(30):
            (self.disk / "below" / f"file{number}").write_text(f"content {number}")
            (self.disk / "below" / f"link{number}").symlink_to("nowhere")
            (self.disk / "below" / f"dir{number}").mkdir()
        for number in range(0, 30, 2):
            (self.disk / "below" / f"file{number}").unlink()
        listener.hears(("create", "file29"), ("create", "dir29"), ("delete", "file28"))
        before = snapshot(self.disk)
        wait_until(lambda: sorted(os.listdir(self.disk / "below")) == sorted(os.listdir(self.path / "below")),
                   "the view is as the disk")
        for name in os.listdir(self.path / "below"):
            if name.startswith("file"):
                self.assertEqual((self.disk / "below" / name).read_text(), (self.path / "below" / name).read_text())
        for path in (self.path / "below").iterdir():
            same = self.disk / "below" / path.name
            self.assertEqual(os.lstat(same).st_nlink, os.lstat(path).st_nlink, path)
        self.assertGreater(self.control.stats()["n_echoes"], 0)
        self.assertEqual(before, snapshot(self.disk))

    def test_a_log_is_followed(self):
        with open(self.path / "old", "rb") as file:
            file.read()
            listener = self.listen_to(self.path / "old")
            for number in range(20):
                with open(self.disk / "old", "a", encoding="ascii") as log:
                    log.write(f"line {number}\n")
                listener.hears(("modify", ""))
                self.assertEqual(f"line {number}\n".encode(), file.read())

    def test_listeners_hear_again_after_a_death(self):
        """What changes while a worker dies is seen by all, but listeners may miss it: docs/architecture.md."""
        listener = self.listen_to(self.path)
        for number in range(5):
            (self.disk / f"before{number}").write_text("")
            self.control.kill_worker()
            for attempt in range(40):
                (self.disk / f"after{number}-{attempt}").write_text("")
                if listener.heard_soon(("create", f"after{number}-{attempt}")):
                    break
            else:
                self.fail(f"nothing is heard after death {number}, only {listener.heard}")
        self.assertEqual(sorted(os.listdir(self.disk)), sorted(os.listdir(self.path)))

    def test_who_begins_to_listen_late_hears_the_next_change(self):
        for number in range(5):
            (self.disk / f"before{number}").write_text("")
            wait_until((self.path / f"before{number}").exists, "it is seen")
            listener = Listener(self.path)
            (self.disk / f"after{number}").write_text("")
            listener.hears(("create", f"after{number}"))
            listener.close()

    def test_nothing_is_echoed_to_nobody(self):
        for number in range(10):
            (self.disk / f"file{number}").write_text("")
            wait_until((self.path / f"file{number}").exists, "it is seen")
        self.assertEqual(0, self.control.stats()["n_echoes"])

    def test_the_view_can_be_unmounted(self):
        listener = self.listen_to(self.path)
        (self.disk / "file").write_text("")
        listener.hears(("create", "file"))
        pids = [self.control.stats()[key] for key in ("keeper_pid", "worker_pid")]
        self.mounted.unmount()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "its processes end")


if __name__ == "__main__":
    main()
