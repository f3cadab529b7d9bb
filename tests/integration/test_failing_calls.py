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
# What the kernel makes of some of them, or the view on purpose: an inode that can't be looked at is looked up again.
ALSO = {errno.ESTALE, errno.ENOENT, errno.EIO}


class UnknownCall(Exception):
    """strace doesn't know a system call: it is older than that."""


class Injection:
    """strace on the worker: from the second on, every third call fails."""

    def __init__(self, pid, call, error):
        self.pid = pid
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={call}",
                   "-e", f"inject={call}:error={error}:when=2+3"]
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

    def meet(self, call, error):
        path = self.path / f"{call}-{error}"
        os.mkdir(path)
        allowed = ALSO | {getattr(errno, error)}
        with Injection(self.worker, call, error):
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

    def test_through_the_kernel(self):
        self.meet_all("")

    def test_through_the_server(self):
        self.meet_all(",passthrough=off,cache=none")


if __name__ == "__main__":
    if not strace_works():
        skip_file("strace can't make system calls fail here")
    main(scaled(200))
