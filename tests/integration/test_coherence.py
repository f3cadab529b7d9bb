"""Changes behind a view are seen in it (behaviour B10), also where the kernel has cached what was there before."""
import errno
import os
import pathlib
import random
import shutil
import signal
import threading
import time

from harness import MountTest, main, mount_entry, run, scaled, wait_until
from harness.control import Control
from oracle import syscalls

DEADLINE_S = 20  # only bounds a failure: what is asserted is that the new state is seen, not how soon


class Fresh(MountTest):
    """A view whose answers are compared with the disk's."""

    options = "gid=5000"

    def setUp(self):
        super().setUp()
        self.path = self.view(self.options).path

    def becomes(self, wanted, ask, *arguments):
        """Waits until ask(*arguments) gives `wanted`; an error counts as its errno."""
        deadline = time.monotonic() + scaled(DEADLINE_S)
        while True:
            got = outcome(ask, *arguments)
            if got == wanted:
                return
            if time.monotonic() > deadline:
                self.fail(f"{ask.__name__}{arguments}: {got!r} in the view, {wanted!r} on disk")
            time.sleep(0.001)


class Changes(Fresh):

    def test_a_name_that_was_known_absent_appears(self):
        self.assertFalse((self.path / "name").exists())
        self.assertEqual([], os.listdir(self.path))
        (self.source / "name").write_text("here")
        self.becomes(True, os.path.exists, self.path / "name")
        self.becomes(["name"], os.listdir, self.path)

    def test_what_changes_while_it_is_listed_for_the_first_time(self):
        """An inode that the view does not know when its change is reported, and whose attributes it has read before."""
        for number in range(20):
            directory = self.source / f"d{number}"
            directory.mkdir()
            files = [directory / f"f{file}" for file in range(200)]
            for file in files:
                file.touch()
            writer = threading.Thread(target=lambda files=files: [file.write_bytes(b"more") for file in files])
            writer.start()
            with os.scandir(self.path / directory.name) as entries:
                for entry in entries:
                    entry.stat()
            writer.join()
            for file in files:
                self.becomes(4, size, self.path / directory.name / file.name)

    def test_a_name_that_was_known_goes(self):
        (self.source / "name").write_text("here")
        self.assertEqual("here", (self.path / "name").read_text())
        self.assertEqual(["name"], os.listdir(self.path))
        (self.source / "name").unlink()
        self.becomes(False, os.path.exists, self.path / "name")
        self.becomes([], os.listdir, self.path)
        os.close(os.open(self.path / "name", os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # not held back by what was there

    def test_a_renamed_directory_is_found_by_its_new_name_with_all_in_it(self):
        (self.source / "old" / "deep").mkdir(parents=True)
        (self.source / "old" / "deep" / "file").write_text("kept")
        self.assertEqual("kept", (self.path / "old" / "deep" / "file").read_text())
        (self.source / "old").rename(self.source / "new")
        self.becomes(False, os.path.exists, self.path / "old")
        self.assertEqual("kept", (self.path / "new" / "deep" / "file").read_text())

    def test_a_replaced_file_shows_the_new_content(self):
        (self.source / "file").write_text("old")
        self.assertEqual("old", (self.path / "file").read_text())
        (self.source / "new").write_text("newer")
        (self.source / "new").rename(self.source / "file")
        self.becomes("newer", pathlib.Path.read_text, self.path / "file")
        self.becomes(5, size, self.path / "file")

    def test_size_mode_owner_and_times_are_seen(self):
        (self.source / "file").write_text("1")
        file, shown = self.source / "file", self.path / "file"
        self.assertEqual(1, size(shown))
        with open(file, "a", encoding="ascii") as opened:
            opened.write("23")
        self.becomes(3, size, shown)
        file.chmod(0o600)
        self.becomes(0o600, mode, shown)
        os.chown(file, 1234, 0)
        self.becomes(1234, owner, shown)
        os.utime(file, (5, 6))
        self.becomes(6, modified, shown)
        os.truncate(file, 0)
        self.becomes(0, size, shown)

    def test_what_is_kept_of_a_file_that_was_read_opens_nothing_else(self):
        """Its descriptor is kept, and the kernel's access to its data: not for a name that has become another's."""
        disk, shown = self.source / "file", self.path / "file"
        for number in range(20):
            disk.write_text(f"old {number}")
            self.becomes(f"old {number}", shown.read_text)
            self.assertEqual(f"old {number}", shown.read_text())
            disk.unlink()
            self.becomes(errno.ENOENT, shown.read_text)
            disk.write_text("new")
            self.becomes("new", shown.read_text)
            (self.source / "other").write_text("another")
            os.rename(self.source / "other", disk)
            self.becomes("another", shown.read_text)
            disk.write_text("changed in place")
            self.assertEqual("changed in place", shown.read_text())
            shown.unlink()

    def test_a_file_that_was_read_leaves_the_disk_when_it_is_removed(self):
        disk, shown, n_bytes = self.source / "file", self.path / "file", 16 << 20
        for remove in (disk.unlink, shown.unlink):
            with self.subTest(remove=remove):
                disk.write_bytes(os.urandom(n_bytes))
                self.becomes(n_bytes, lambda: len(shown.read_bytes()))
                before = free_bytes(self.source)
                remove()
                self.becomes(True, lambda: free_bytes(self.source) > before + n_bytes * 3 // 4)

    def test_an_open_file_shows_what_was_written_and_that_it_was_removed(self):
        (self.source / "file").write_text("1")
        fd = os.open(self.path / "file", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assertEqual(1, os.fstat(fd).st_size)
        (self.source / "file").write_text("12345")
        self.becomes(5, lambda: os.fstat(fd).st_size)
        self.assertEqual(b"12345", os.pread(fd, 10, 0))
        (self.source / "file").unlink()
        self.becomes(0, lambda: os.fstat(fd).st_nlink)

    def test_a_file_that_is_written_to_all_the_time(self):
        """It is hushed after a while, and listened to again by who asks."""
        file, shown = self.source / "file", self.path / "file"
        file.write_text("")
        with open(file, "ab", buffering=0) as outside, open(shown, "ab", buffering=0) as inside:
            for number in range(1, 100):
                for _ in range(10):
                    outside.write(b"x" * 10)
                self.becomes(os.stat(file).st_size, size, shown)
                for _ in range(number % 5):
                    inside.write(b"y" * 10)
                self.becomes(os.stat(file).st_size, size, shown)
            outside.write(b"z")
            self.becomes(os.stat(file).st_size, lambda: os.fstat(inside.fileno()).st_size)
        self.becomes(file.read_bytes(), pathlib.Path.read_bytes, shown)

    def test_a_file_moved_out_of_sight_is_followed(self):
        (self.source / "unseen").mkdir()
        (self.source / "file").write_text("1")
        fd = os.open(self.path / "file", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        (self.source / "file").rename(self.source / "unseen" / "file")
        self.becomes(False, os.path.exists, self.path / "file")
        (self.source / "unseen" / "file").write_text("12345")
        self.becomes(5, lambda: os.fstat(fd).st_size)

    def test_a_change_through_another_link_is_seen(self):
        (self.source / "unseen").mkdir()
        (self.source / "file").write_text("1")
        os.link(self.source / "file", self.source / "unseen" / "link")
        self.assertEqual(2, os.stat(self.path / "file").st_nlink)
        (self.source / "unseen" / "link").write_text("12345")
        self.becomes(5, size, self.path / "file")
        (self.source / "unseen" / "link").unlink()
        self.becomes(1, lambda: os.stat(self.path / "file").st_nlink)

    def test_attributes_of_a_directory_that_was_only_looked_at(self):
        (self.source / "dir").mkdir()
        before = modified(self.path / "dir")
        os.utime(self.source / "dir", (5, 6))
        self.becomes(6, modified, self.path / "dir")
        (self.source / "dir" / "file").write_text("")
        self.becomes(modified(self.source / "dir"), modified, self.path / "dir")
        self.assertNotEqual(6, modified(self.path / "dir"))
        self.assertLessEqual(before, modified(self.path / "dir"))

    def test_acls_and_attributes_are_seen(self):
        (self.source / "file").write_text("1")
        try:
            os.setxattr(self.source / "file", "user.note", b"one")
        except OSError as error:
            self.skipTest(f"no user attributes on {self.fs.kind}: {error}")
        self.becomes(b"one", os.getxattr, self.path / "file", "user.note")
        os.setxattr(self.source / "file", "user.note", b"two")
        self.becomes(b"two", os.getxattr, self.path / "file", "user.note")
        acl = run(["setfacl", "-m", "u:4321:r", self.source / "file"], check=False)
        if acl.returncode == 0:
            self.becomes(True, lambda: "4321" in run(["getfacl", "-n", self.path / "file"]).stdout)

    def test_what_the_view_changes_itself_stays(self):
        (self.path / "dir").mkdir()
        (self.path / "dir" / "file").write_text("own")
        (self.path / "dir" / "file").rename(self.path / "dir" / "other")
        self.assertEqual(["other"], os.listdir(self.path / "dir"))
        self.assertEqual("own", (self.path / "dir" / "other").read_text())
        (self.path / "dir" / "other").unlink()
        self.assertEqual([], os.listdir(self.path / "dir"))

    def test_a_thousand_random_changes_leave_nothing_stale(self):
        """Readers fill the caches all the time, so that answers are under way while something changes."""
        chooser = random.Random(20260729)
        for number in range(6):
            (self.source / f"dir{number}").mkdir()
        done = threading.Event()
        readers = [threading.Thread(target=read_until, args=(done, random.Random(number), self.path))
                   for number in range(3)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(50):
                for _ in range(20):
                    change(chooser, self.source)
                self.becomes(tree(self.source), tree, self.path)
        finally:
            done.set()
            for reader in readers:
                reader.join()


class ChangesOfAnIdentityView(Changes):
    """The same where nothing is mapped: there inodes have the numbers of the disk."""

    options = "cache=auto"


def exchange(one, other):
    syscalls.renameat2(one, other, syscalls.RENAME_EXCHANGE)


MOUNT_POINT_CHANGES = ((os.rmdir, "mounted"), (os.unlink, "file"), (os.rename, "mounted", "moved"),
                       (os.rename, "file", "moved"), (os.rename, "dir", "mounted"), (os.rename, "other", "file"),
                       (exchange, "dir", "mounted"), (exchange, "file", "other"))


class MountsInside(MountTest):
    """A source that holds other file systems, and parts of itself once more."""

    def test_changes_are_seen_in_each_of_them(self):
        for name in ("other", "again", "plain"):
            (self.source / name).mkdir()
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", self.source / "other"])
        self.addCleanup(run, ["umount", "-l", self.source / "other"], check=False)
        run(["mount", "--bind", self.source / "plain", self.source / "again"])
        self.addCleanup(run, ["umount", "-l", self.source / "again"], check=False)
        path = self.view("gid=5000").path
        for number in range(20):
            for name in ("other", "again", "plain"):
                self.assertFalse((path / name / f"file{number}").exists())
            (self.source / "other" / f"file{number}").write_text("12")
            (self.source / "plain" / f"file{number}").write_text("123")
            for name, wanted in (("other", 2), ("again", 3), ("plain", 3)):
                wait_until((path / name / f"file{number}").exists, f"the file in {name}")
                wait_until(lambda file=path / name / f"file{number}", wanted=wanted: size(file) == wanted, "its size")
            (self.source / "again" / f"file{number}").unlink()
            for name in ("again", "plain"):
                wait_until(lambda file=path / name / f"file{number}": not file.exists(), f"none in {name}")


    def test_mount_points_stay(self):
        """They are in use on the host: who may write to the view may not unmount there. As on the disk itself."""
        for name in ("mounted", "plain", "dir"):
            (self.source / name).mkdir()
        for name in ("file", "bound", "other"):
            (self.source / name).write_text(name)
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", self.source / "mounted"])
        self.addCleanup(run, ["umount", "-l", self.source / "mounted"], check=False)
        run(["mount", "--bind", self.source / "bound", self.source / "file"])
        self.addCleanup(run, ["umount", "-l", self.source / "file"], check=False)
        for root in (self.source, self.view("gid=5000").path, self.view("").path):
            for function, *names in MOUNT_POINT_CHANGES:
                with self.subTest(f"{root} {function.__name__} {names}"):
                    with self.assertRaises(OSError) as caught:
                        function(*(root / name for name in names))
                    self.assertEqual(errno.EBUSY, caught.exception.errno)
        for name in ("mounted", "file"):
            self.assertIsNotNone(mount_entry(self.source / name), name)


class Overflow(Fresh):
    """More changes than the kernel keeps: what is lost is not known, so all that is cached is dropped."""

    def setUp(self):
        super().setUp()
        self.control = Control(self.directory / "control.sock")

    def view(self, options, **named):
        return super().view(f"{options},control={self.directory / 'control.sock'}", **named)

    def test_nothing_stays_stale_when_changes_are_lost(self):
        for number in range(100):
            (self.source / f"file{number}").write_text("old")
        self.assertEqual([3] * 100, [size(self.path / f"file{number}") for number in range(100)])
        limit = int(pathlib.Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
        if limit > 100000:
            self.skipTest(f"the kernel's queue takes {limit} changes")
        (self.source / "first").write_text("")
        self.becomes(True, os.path.exists, self.path / "first")
        wait_until(lambda: notifiers_of(self.control.worker()), "a notifier")  # it is started by the first change
        notifier, = notifiers_of(self.control.worker())
        os.kill(notifier, signal.SIGSTOP)  # so its queue fills up, and then the kernel's
        for number in range(limit + 40000):  # more than both queues hold; no change merges with another name's
            path = self.source / f"more-{number}"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            os.unlink(path)
        for number in range(100):
            (self.source / f"file{number}").write_text("newer")
        (self.source / "file7").unlink()
        os.kill(notifier, signal.SIGCONT)
        self.becomes(False, os.path.exists, self.path / "file7")
        for number in set(range(100)) - {7}:
            self.becomes(5, size, self.path / f"file{number}")
        self.becomes(sorted(os.listdir(self.source)), lambda: sorted(os.listdir(self.path)))
        wait_until(lambda: self.control.stats()["n_lost_changes"] > 0, "the loss is noticed")


class Death(Fresh):
    """The worker dies while changes are reported; what its successor does not know of is not lost."""

    def view(self, options, **named):
        return super().view(f"{options},control={self.directory / 'control.sock'}", **named)

    def test_changes_around_a_death_are_seen(self):
        control = Control(self.directory / "control.sock")
        chooser = random.Random(7)
        for number in range(6):
            (self.source / f"dir{number}").mkdir()
        for _ in range(10):
            for _ in range(20):
                change(chooser, self.source)
                read(chooser, self.path)
            control.kill_worker()
            for _ in range(10):
                change(chooser, self.source)
            self.becomes(tree(self.source), tree, self.path)

    def test_another_notifier_takes_over(self):
        control = Control(self.directory / "control.sock")
        self.assertFalse((self.path / "one").exists())
        (self.source / "one").write_text("")
        self.becomes(True, os.path.exists, self.path / "one")
        wait_until(lambda: notifiers_of(control.worker()), "a notifier")  # it is started by the first change
        notifier, = notifiers_of(control.worker())
        os.kill(notifier, signal.SIGKILL)
        for number in range(20):
            self.assertFalse((self.path / f"more{number}").exists())
            (self.source / f"more{number}").write_text("")
            self.becomes(True, os.path.exists, self.path / f"more{number}")
        self.assertEqual(1, control.stats()["n_workers_started"])


def notifiers_of(worker):
    children = pathlib.Path(f"/proc/{worker}/task").glob("*/children")
    return [int(pid) for file in children for pid in file.read_text().split()]


def outcome(ask, *arguments):
    try:
        return ask(*arguments)
    except OSError as error:
        return error.errno


def size(path):
    return os.stat(path).st_size


def free_bytes(path):
    run(["sync", "-f", path])
    state = os.statvfs(path)
    return state.f_bfree * state.f_frsize


def mode(path):
    return os.stat(path).st_mode & 0o7777


def owner(path):
    return os.stat(path).st_uid


def modified(path):
    return os.stat(path).st_mtime


def pick(chooser, root):
    """A name that may be there or not."""
    return root / f"dir{chooser.randrange(6)}" / f"name{chooser.randrange(8)}"


def change(chooser, root):
    path, other = pick(chooser, root), pick(chooser, root)
    kind = chooser.choice(["write", "write", "append", "unlink", "rename", "rename", "link", "chmod", "mkdir", "rmtree",
                           "symlink", "exchange"])
    try:
        if kind == "write":
            path.write_text("x" * chooser.randrange(5000))
        elif kind == "append":
            with open(path, "a", encoding="ascii") as file:
                file.write("y" * chooser.randrange(100))
        elif kind == "unlink":
            path.unlink()
        elif kind == "rename":
            path.rename(other)
        elif kind == "link":
            os.link(path, other)
        elif kind == "chmod":
            path.chmod(chooser.choice([0o600, 0o644, 0o755]))
        elif kind == "mkdir":
            path.mkdir()
            (path / "below").write_text("z")
        elif kind == "rmtree":
            shutil.rmtree(path)
        elif kind == "symlink":
            path.symlink_to(f"name{chooser.randrange(8)}")
        elif kind == "exchange":
            temporary = root / "exchange"
            path.rename(temporary)
            if other.exists():
                other.rename(path)
            temporary.rename(other)
    except OSError:
        pass  # what does not fit the tree as it happens to be


def read(chooser, root):
    path = pick(chooser, root)
    for ask in (os.lstat, os.listdir, os.readlink, pathlib.Path.read_bytes):
        outcome(ask, path if ask is not os.listdir else path.parent)


def read_until(done, chooser, root):
    while not done.is_set():
        read(chooser, root)
        outcome(os.listdir, root)


def tree(root):
    """Names, types, sizes, modes, link counts and contents, asked in the ways that go through different caches."""
    seen = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = pathlib.Path(directory, name)
            status = os.lstat(path)
            entry = [status.st_mode & 0o170777 if not path.is_dir() else "directory", status.st_nlink]
            if path.is_symlink():
                entry.append(os.readlink(path))
            elif path.is_file():
                entry += [status.st_size, path.read_bytes()]
            seen[str(path.relative_to(root))] = entry
    return seen


if __name__ == "__main__":
    main()
