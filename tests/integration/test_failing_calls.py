"""System calls of the worker that fail, one kind after the other (strace -e inject): the caller gets that errno or what
it wanted, the worker stays, and afterwards everything works and nothing is left open."""
import contextlib
import errno
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

from harness import MountTest, loads, main, scaled, skip_file, wait_until
from harness.control import Control

# What a call may fail with, besides what is tried with all of them.
CALLS = {
    "openat": ("EMFILE", "ENFILE", "EIO"),
    "statx": ("EIO",),
    "name_to_handle_at": ("EIO", "EOPNOTSUPP"),
    "open_by_handle_at": ("ESTALE", "EMFILE"),
    "getdents64": ("EIO",),
    "mkdirat": ("ENOSPC", "EDQUOT"),
    "mknodat": ("ENOSPC",),
    "symlinkat": ("ENOSPC",),
    "linkat": ("EMLINK", "ENOSPC"),
    "unlinkat": ("EIO", "EBUSY"),
    "renameat2": ("ENOSPC", "EIO"),
    "readlinkat": ("EIO",),
    "pread64": ("EIO",),
    "pwrite64": ("ENOSPC", "EIO"),
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "ftruncate": ("EIO",),
    "utimensat": ("EIO",),
    "fchownat": ("EDQUOT",),
    "fchmodat2": ("EIO",),  # this and the next are skipped where strace doesn't know them
    "setxattrat": ("ENOSPC",),
    "getxattrat": ("EIO",),
    "ioctl": ("EIO",),
    "read": ("EINTR", "EIO"),  # of requests: the worker looks again
}
ALWAYS = ("ENOMEM",)
# Of each kind of call that is made, so many fail one after the other, with these in turn.
N_IN_TURN = int(os.environ.get("GIDFS_CALLS_IN_TURN", "2"))
IN_TURN = ("ENOMEM", "EIO", "ENOSPC", "EMFILE", "EINTR")
# Those whose failure says nothing of the program: what only waits, and what the kernel never fails. writev is an
# answer: the kernel refuses one that nobody waits for, and for nothing else that a right one could meet. close has
# closed, even if it fails; but not here, where it is left out.
NEVER_FAIL = {"restart_syscall", "exit", "exit_group", "rt_sigreturn", "gettid", "getpid", "umask", "futex", "writev",
              "close"}
# What the kernel makes of some of them, or the view on purpose: an inode that can't be looked at is looked up again.
ALSO = {errno.ESTALE, errno.ENOENT, errno.EIO}


class UnknownCall(Exception):
    """strace doesn't know a system call: it is older than that."""


class Injection:
    """strace on the worker: from the second on, every third call fails, or those that `when` says."""

    def __init__(self, pid, call, error, when="2+3"):
        self.pid = pid
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={call}",
                   "-e", f"inject={call}:error={error}:when={when}"]
        self.strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        wait_until(self.is_attached, "strace to attach")
        return self

    def is_attached(self):
        if self.strace.poll() is not None:
            with self.strace.stderr as said:
                text = said.read()
            if "invalid system call" in text:
                raise UnknownCall(text)
            if "ptrace" in text:
                raise unittest.SkipTest(f"no tracing here: {text}")
            raise AssertionError(text)
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=scaled(60))


def strace_works():
    if not shutil.which("strace"):
        return False
    command = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=mkdir,mkdirat:error=ENOSPC", "mkdir", "/"]
    return "No space left" in subprocess.run(command, check=False, capture_output=True, text=True).stderr


class Recording(Injection):
    """strace on a process: which system calls it makes, and how often."""

    def __init__(self, pid, path):
        self.pid, self.path = pid, path
        self.strace = subprocess.Popen(["strace", "-f", "-qq", "-c", "-o", path, "-p", str(pid)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       text=True)

    def counts(self):
        fields = [line.split() for line in pathlib.Path(self.path).read_text().splitlines()[2:-2]]
        return {words[-1]: int(words[3]) for words in fields}


class Faults(MountTest):
    def start(self, options):
        socket_path = self.new_directory(prefix="control-") / "sock"
        self.path = self.view(f"gid=5001,control={socket_path}{options}").path
        self.control = Control(socket_path)
        self.worker = self.control.worker()
        (self.source / "there").mkdir()
        for number in range(30):
            (self.source / "there" / f"file-{number}").write_text(f"{number}")

    def operations(self, path):
        """One of each kind, on names of their own."""
        there = self.path / "there"
        yield lambda: os.mkdir(path / "dir")
        yield lambda: os.mkfifo(path / "fifo")
        yield lambda: os.symlink("target", path / "link")
        yield lambda: os.readlink(path / "link")
        yield lambda: (path / "file").write_text("content")
        yield lambda: (path / "file").read_text()
        yield lambda: os.link(path / "file", path / "other")
        yield lambda: os.rename(path / "other", path / "renamed")
        yield lambda: os.chmod(path / "file", 0o640)
        yield lambda: os.chown(path / "file", 7, -1)
        yield lambda: os.utime(path / "file", ns=(1, 2))
        yield lambda: os.truncate(path / "file", 3)
        yield lambda: os.setxattr(path / "file", "user.name", b"value")
        yield lambda: os.getxattr(path / "file", "user.name")
        yield lambda: self.write_and_sync(path / "file")
        yield lambda: [os.stat(there / name) for name in os.listdir(there)]
        for number in range(6):
            yield lambda number=number: (there / f"file-{number}").read_text()
        yield lambda: os.unlink(path / "renamed")
        yield lambda: os.rmdir(path / "dir")

    @staticmethod
    def write_and_sync(name):
        fd = os.open(name, os.O_RDWR)
        try:
            os.pwrite(fd, b"x" * 5000, 0)
            os.fsync(fd)
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def meet(self, call, error, when="2+3"):
        path = self.path / f"{call}-{error}-{when}"
        os.mkdir(path)
        allowed = ALSO | {getattr(errno, error)}
        if error == "EINTR":  # Python calls again by itself, and finds what was done
            allowed.add(errno.EEXIST)
        with Injection(self.worker, call, error, when):
            for operation in self.operations(path):
                try:
                    operation()
                except OSError as caught:
                    self.assertIn(caught.errno, allowed, f"{call} failed with {error}: {caught}")
        self.assertEqual(self.worker, self.control.worker(), "the worker ended")
        shutil.rmtree(path)
        self.assertFalse((self.source / path.name).exists())

    def meet_all(self, options):
        self.start(options)
        for call, errors in CALLS.items():
            for error in ALWAYS + errors:
                with self.subTest(call=call, error=error), contextlib.suppress(UnknownCall):
                    self.meet(call, error)
        self.assertEqual(30, len([entry.stat() for entry in os.scandir(self.path / "there")]))
        for function in loads.ALL:
            load = loads.Load(function, self.path / function.__name__, 5)
            wait_until(load.has_ended, function.__name__)
        self.assertEqual(self.worker, self.control.worker(), "the worker ended")

    def meet_in_turn(self, options):
        """Every call that the worker makes for the operations fails once: the first of its kind, the second, …"""
        if scaled(1) != 1:
            self.skipTest("an instrumented build makes calls of its own, which it does not expect to fail")
        self.start(options)
        os.mkdir(self.path / "recorded")
        with Recording(self.worker, self.directory / "calls") as recording:
            for operation in self.operations(self.path / "recorded"):
                operation()
        shutil.rmtree(self.path / "recorded")
        wait_until(lambda: self.control.stats()["oldest_request_ms"] == 0, "the last request to end")
        before, n_tried = self.leftovers(), 0
        for call, count in sorted(recording.counts().items()):
            for number in range(1, min(count, N_IN_TURN) + 1):
                error = IN_TURN[(n_tried + number) % len(IN_TURN)]
                if call not in NEVER_FAIL:
                    with self.subTest(call=call, error=error, number=number), contextlib.suppress(UnknownCall):
                        self.meet(call, error, str(number))
                        n_tried += 1
        self.assertGreater(n_tried, 30)
        wait_until(lambda: self.nothing_leaks(*before), f"no more inodes and descriptors than before: {before}")

    def leftovers(self):
        stats = self.control.stats()
        return stats["n_inodes"], len(os.listdir(f"/proc/{self.worker}/fd"))

    def nothing_leaks(self, n_inodes, n_fds):
        """Threads that were started meanwhile have a few descriptors of their own."""
        n_inodes_now, n_fds_now = self.leftovers()
        return n_inodes_now <= n_inodes and n_fds_now <= n_fds + 5

    def test_each_call_in_turn(self):
        self.meet_in_turn("")

    def test_each_call_in_turn_through_the_server(self):
        self.meet_in_turn(",passthrough=off,cache=none")

    def test_through_the_kernel(self):
        self.meet_all("")

    def test_through_the_server(self):
        self.meet_all(",passthrough=off,cache=none")


if __name__ == "__main__":
    if not strace_works():
        skip_file("strace can't make system calls fail here")
    main(scaled(380))
