"""A view outlives its server: whenever and wherever the worker dies, every call of every client ends as it should."""
import errno
import fcntl
import os
import random
import shutil
import signal
import time

from harness import MountTest, loads, main, scaled, snapshot, wait_until
from harness.clients import Client, state_of
from harness.control import Control

CLOCK_REALTIME_COARSE = 5
SIGKILL, SIGABRT = int(signal.SIGKILL), int(signal.SIGABRT)


class Survival(MountTest):
    options = ""

    def start(self, options=""):
        socket_path = self.new_directory(prefix="control-") / "sock"
        words = [word for word in ("gid=5001", f"control={socket_path}", self.options, options) if word]
        self.mounted = self.view(",".join(words))
        self.control = Control(socket_path)
        self.path = self.mounted.path
        return self.mounted


class RandomKills(Survival):
    rounds = 60

    def disturb(self, function):
        """Runs one load while the worker is killed again and again, and compares what is left with a calm run."""
        self.start()
        calm = self.new_directory(self.fs.path)
        self.addCleanup(shutil.rmtree, calm, ignore_errors=True)
        function_path = calm / "tree"
        quiet = loads.Load(function, function_path, self.rounds)
        load = loads.Load(function, self.path / "tree", self.rounds)
        n_kills, n_kills_max = 0, random.randint(5, 50)
        while not load.has_ended() and n_kills < n_kills_max:
            self.let_live(load)
            try:
                os.kill(self.control.worker(), signal.SIGKILL)
                n_kills += 1
            except ProcessLookupError:
                pass
        # After the last kill nothing helps a request that was lost: it would hang here.
        wait_until(lambda: load.has_ended() and quiet.has_ended(), "the end of the loads", timeout=120)
        self.assertGreater(n_kills, 0)
        self.assertEqual(snapshot(function_path, times=False), self.what_is_left())
        self.assertEqual(sorted(os.listdir(self.source / "tree")), sorted(os.listdir(self.path / "tree")))

    def let_live(self, load):
        """Waits for the worker to have served a few requests, or for a moment if none come: then nobody needs it."""
        target = self.control.stats()["n_requests"] + random.randint(1, 60)
        until = time.monotonic() + scaled(random.uniform(0.01, 0.06))
        while self.control.stats()["n_requests"] < target and time.monotonic() < until and not load.has_ended():
            time.sleep(0.001)

    def what_is_left(self):
        return snapshot(self.source / "tree", times=False)


def _add_load(case, function):
    def test(self):
        self.disturb(function)

    setattr(case, f"test_{function.__name__}", test)


class WithPassthrough(RandomKills):
    options = ""


class WithoutPassthrough(RandomKills):
    options = "passthrough=off"


class WithoutCache(RandomKills):
    options = "cache=none"


class WithoutResend(RandomKills):
    """As on kernels before 6.9, which send nothing again: a build with fault points can do without."""

    options = "passthrough=off"

    def start(self, options=""):
        os.environ["GIDFS_NO_RESEND"] = "1"
        self.addCleanup(os.environ.pop, "GIDFS_NO_RESEND")
        return super().start(options)


class Layers(RandomKills):
    """A layered view, whose upper directory is the source: seen through the view, it is what a plain directory is."""

    def start(self, options=""):
        lower, work = self.new_directory(self.fs.path), self.new_directory(self.fs.path)
        self.addCleanup(shutil.rmtree, lower, ignore_errors=True)
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        socket_path = self.new_directory(prefix="control-") / "sock"
        self.mounted = self.view(f"lowerdir={lower},upperdir={self.source},workdir={work},control={socket_path}")
        self.control = Control(socket_path)
        self.path = self.mounted.path

    def what_is_left(self):
        return snapshot(self.path / "tree", times=False)


for load_function in loads.ALL:
    for test_case in (WithPassthrough, WithoutPassthrough, WithoutCache, WithoutResend, Layers):
        _add_load(test_case, load_function)
del RandomKills, test_case


class OpenFiles(Survival):
    """What clients hold over the death of a worker."""

    def test_descriptors_locks_and_maps_stay(self):
        for options in ("", "passthrough=off"):
            with self.subTest(options=options):
                self.start(options)
                self.hold_over_death()

    def hold_over_death(self):
        name = self.path / "file"
        name.write_text("before")
        with open(name, "r+", encoding="ascii") as file, open(name, "r", encoding="ascii") as other:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.unlink(name)
            self.control.kill_worker()
            self.assertEqual("before", file.read())
            self.assertEqual(0, os.fstat(file.fileno()).st_nlink)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(" and after")
            file.flush()
            self.assertEqual("before and after", other.read())
        self.assertEqual([], os.listdir(self.path))

    def test_nothing_is_kept_of_closed_files(self):
        self.start()
        for number in range(50):
            (self.path / f"file-{number}").write_text("x")
        files = [open(self.path / f"file-{number}", "rb") for number in range(50)]
        self.control.kill_worker()
        for file in files:
            self.assertEqual(b"x", file.read())
            file.close()
        keeper = self.control.stats()["keeper_pid"]
        self.control.kill_worker()
        before = self.descriptors(keeper)
        for _ in range(5):
            self.control.kill_worker()
            os.listdir(self.path)
        self.assertLessEqual(self.descriptors(keeper), before + 5)

    @staticmethod
    def descriptors(pid):
        return len(os.listdir(f"/proc/{pid}/fd"))


class AtEachStep(Survival):
    """The worker dies at a chosen step of an operation (fault points, in builds that have them)."""

    def setUp(self):
        super().setUp()
        self.start()
        if self.control.ask(f"fault none {SIGKILL} 0") != "ok":
            self.skipTest("fault points are not compiled in (GIDFS_FAULTS)")

    def die_at(self, point, n_times=1, number=SIGKILL):
        self.n_workers = self.control.stats()["n_workers_started"]
        self.assertEqual("ok", self.control.ask(f"fault {point} {number} {n_times}"))
        self.n_deaths = n_times

    def check_died(self):
        wait_until(lambda: self.control.stats()["n_workers_started"] == self.n_workers + self.n_deaths,
                   f"{self.n_deaths} deaths")

    COMMON = ("request-read", "request-noted", "request-answered")
    JOURNAL = ("journal-begun", "journal-undone", "journal-done")
    OPEN = ("backing-closed", "open-backing", "open-begun", "open-counted")

    once = ()  # points that a successor does not come to again

    def at_each(self, points, function, deaths=(1, 2)):
        for point in points:
            for n_times in deaths if point not in self.once else (1,):
                with self.subTest(point=point, deaths=n_times):
                    self.die_at(point, n_times)
                    function()
                    if point not in ("request-answered",):
                        self.check_died()
                    self.control.ask(f"fault none {SIGKILL} 0")

    def test_create(self):
        def create():
            name = self.path / "created"
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
            os.write(fd, b"content")
            os.close(fd)
            self.assertEqual(b"content", (self.source / "created").read_bytes())
            with self.assertRaises(FileExistsError):
                os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.unlink(self.path / "created")

        self.at_each(self.JOURNAL + self.OPEN + self.COMMON, create)

    def test_create_of_what_is_there(self):
        """That a name was there before the first try must not look like its doing."""
        for point in ("journal-begun", "journal-undone", "journal-done"):
            with self.subTest(point=point):
                self.die_at("journal-start", number=signal.SIGSTOP)
                client = Client(os.mkdir, self.path / point)
                worker = self.control.worker()
                wait_until(lambda: state_of(worker) == "T", "the worker to stop")
                os.mkdir(self.source / point)  # after the kernel has looked, and before the worker has
                made = os.stat(self.source / point).st_ctime_ns
                wait_until(lambda: time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > made, "the next tick of the clock")
                self.die_at(point)
                os.kill(worker, signal.SIGCONT)
                self.assertEqual(errno.EEXIST, client.error())
                self.check_died()

    def test_mkdir_and_rmdir(self):
        def mkdir():
            os.mkdir(self.path / "dir")
            self.assertTrue((self.source / "dir").is_dir())
            os.rmdir(self.path / "dir")

        self.at_each(self.JOURNAL + self.COMMON, mkdir)

    def test_unlink(self):
        def unlink():
            os.unlink(self.path / "file")
            self.assertEqual([], os.listdir(self.source))
            with self.assertRaises(FileNotFoundError):
                os.unlink(self.path / "file")
            (self.path / "file").write_text("again")

        (self.path / "file").write_text("x")
        self.at_each(self.JOURNAL + self.COMMON, unlink)

    def test_link(self):
        def link():
            os.link(self.path / "file", self.path / "other")
            self.assertEqual(2, os.stat(self.source / "file").st_nlink)
            with self.assertRaises(FileExistsError):
                os.link(self.path / "file", self.path / "other")
            os.unlink(self.path / "other")

        (self.path / "file").write_text("x")
        self.at_each(self.JOURNAL + self.COMMON, link)

    def test_symlink(self):
        def symlink():
            os.symlink("target", self.path / "link")
            self.assertEqual("target", os.readlink(self.path / "link"))
            os.unlink(self.path / "link")

        self.at_each(self.JOURNAL, symlink)

    def test_rename(self):
        def there_and_back():
            os.rename(self.path / "a", self.path / "b")
            self.assertEqual(["b"], os.listdir(self.source))
            os.rename(self.path / "b", self.path / "a")

        (self.path / "a").write_text("x")
        self.at_each(self.JOURNAL + self.COMMON, there_and_back)

    def test_exchange(self):
        (self.path / "a").write_text("a")
        (self.path / "b").write_text("b")
        for point in self.JOURNAL:
            before = (self.source / "a").read_text()
            self.die_at(point)
            loads._exchange(self.path / "a", self.path / "b")
            self.check_died()
            self.assertNotEqual(before, (self.source / "a").read_text(), point)
            self.assertNotEqual((self.source / "a").read_text(), (self.source / "b").read_text())

    def test_open_and_close(self):
        name = self.path / "file"
        name.write_text("x" * 1000)

        def open_and_close():
            # What is opened for reading may find the backing id of an earlier open; a writer never does.
            with open(name, "r+b") as first, open(name, "rb") as second:
                self.assertEqual(first.read(), second.read())
            self.control.ask("stats")

        self.at_each(self.OPEN + self.COMMON, open_and_close)
        self.at_each(("release-begun", "release-counted"), open_and_close)
        # Nothing of that may have left its mark: files of this inode still open in every way.
        open_and_close()
        with open(name, "r+b") as file:
            file.write(b"y")

    def test_lookups_are_counted_once(self):
        def look_and_remove():
            """Names that are unlinked are forgotten by the kernel, and the view must then have none left either."""
            directory = f"dir-{next(numbers)}"
            (self.source / directory).mkdir()
            for number in range(100):
                (self.source / directory / f"file-{number}").write_text("x")
            self.assertEqual(100, len([entry.stat() for entry in os.scandir(self.path / directory)]))
            for number in range(100):
                os.unlink(self.path / directory / f"file-{number}")
            os.rmdir(self.path / directory)
            wait_until(lambda: self.control.stats()["n_inodes"] <= 1, "all inodes forgotten")

        numbers = iter(range(1000))
        look_and_remove()
        self.at_each(("request-noted", "lookup-counted", "count-half", "forget-freed"), look_and_remove)

    def test_a_request_that_ends_every_worker_fails(self):
        (self.path / "poison").write_text("x")
        self.die_at("journal-begun", 3, SIGABRT)
        with self.assertRaises(OSError) as caught:
            os.unlink(self.path / "poison")
        self.assertEqual(errno.EIO, caught.exception.errno)
        self.check_died()
        self.assertEqual(["poison"], os.listdir(self.path))
        os.unlink(self.path / "poison")

    def test_being_killed_is_not_held_against_a_request(self):
        self.die_at("journal-begun", 20)
        os.mkdir(self.path / "dir")
        self.check_died()
        self.assertEqual(["dir"], os.listdir(self.source))


class AtEachStepWithoutResend(AtEachStep):
    once = ("open-counted",)

    def start(self, options=""):
        os.environ["GIDFS_NO_RESEND"] = "1"
        self.addCleanup(os.environ.pop, "GIDFS_NO_RESEND")
        return super().start(options)

    def test_lookups_are_counted_once(self):
        self.skipTest("without resending nobody knows whether an answer was sent: counts may stay too high")


if __name__ == "__main__":
    main(scaled(600))
