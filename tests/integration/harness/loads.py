"""Loads that check every answer they get: each runs in a process of its own, in a directory of its own, and leaves the
same tree behind wherever and however often it is disturbed. Any error, and any wrong answer, ends it with a traceback.
"""
import ctypes
import fcntl
import mmap
import os
import sys
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
AT_EMPTY_PATH = 0x1000


def append(path, rounds):
    """Numbered lines, each once and in order; and a second descriptor that sees each at once."""
    writer = os.open(path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    reader = os.open(path / "log", os.O_RDONLY)
    for number in range(rounds * 4):
        line = b"%08d\n" % number
        assert os.write(writer, line) == len(line)
        assert os.pread(reader, 100, number * len(line)) == line, "a line is missing or there twice"
    os.close(writer)
    os.close(reader)


def create_and_unlink(path, rounds):
    for number in range(rounds):
        name = path / f"file-{number}"
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        assert os.write(fd, b"x" * number) == number
        assert os.fstat(fd).st_size == number
        assert os.stat(name).st_nlink == 1
        os.link(name, path / f"link-{number}")
        assert os.fstat(fd).st_nlink == 2
        os.unlink(name)
        os.lseek(fd, 0, os.SEEK_SET)
        assert os.read(fd, number + 1) == b"x" * number
        if number % 3:
            os.unlink(path / f"link-{number}")
            assert os.fstat(fd).st_nlink == 0
            assert os.pwrite(fd, b"after the last name", 0) == 19
            assert os.pread(fd, 100, 0)[:19] == b"after the last name"
        os.close(fd)
        assert not os.path.lexists(name)


def make_directories(path, rounds):
    for number in range(rounds):
        name = path / f"dir-{number}"
        os.mkdir(name, 0o750)
        os.mkdir(name / "sub")
        os.symlink("sub", name / "link")
        assert os.readlink(name / "link") == "sub"
        assert sorted(os.listdir(name)) == ["link", "sub"]
        if number % 2:
            os.unlink(name / "link")
            os.rmdir(name / "sub")
            os.rmdir(name)
            assert not name.exists()


def rename(path, rounds):
    (path / "a").write_text("first")
    (path / "b").write_text("second")
    (path / "one").mkdir()
    (path / "two").mkdir()
    (path / "one" / "inside").write_text("inside")
    for number in range(rounds):
        os.rename(path / "a", path / "c")  # a plain one
        os.rename(path / "c", path / "a")
        _exchange(path / "a", path / "b")
        expected = ["second", "first"] if number % 2 == 0 else ["first", "second"]
        assert [(path / "a").read_text(), (path / "b").read_text()] == expected
        (path / "victim").write_text(str(number))  # over something
        (path / "winner").write_text(f"w{number}")
        os.rename(path / "winner", path / "victim")
        assert (path / "victim").read_text() == f"w{number}"
        source, target = ("one", "two") if number % 2 == 0 else ("two", "one")  # between directories
        os.rename(path / source / "inside", path / target / "inside")
        assert os.listdir(path / source) == [] and os.listdir(path / target) == ["inside"]
    os.rename(path / "one", path / "three")


def _exchange(one, other):
    result = LIBC.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)
    assert result == 0, os.strerror(ctypes.get_errno())


def list_directory(path, rounds):
    """What does not change is listed whole, each name once, while other names come and go."""
    stable = {f"stable-{number:04}" for number in range(400)}
    for name in stable:
        (path / name).write_text(name)
    for number in range(rounds):
        passing = path / f"passing-{number}"
        passing.mkdir()
        listed = [entry.name for entry in os.scandir(path) if entry.stat().st_size >= 0]
        assert len(listed) == len(set(listed)), "a name is listed twice"
        assert stable <= set(listed), f"{stable - set(listed)} is missing"
        passing.rmdir()


def lock(path, rounds):
    """Two processes add to a counter under a lock."""
    (path / "counter").write_text("0")
    child = os.fork()
    _count(path / "counter", rounds)
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (path / "counter").read_text() == str(2 * rounds)
    with open(path / "counter", "r+", encoding="ascii") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)


def _count(path, rounds):
    for _ in range(rounds):
        fd = os.open(path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        value = int(os.pread(fd, 20, 0))
        os.pwrite(fd, b"%d" % (value + 1), 0)
        os.close(fd)


def map_memory(path, rounds):
    page = mmap.PAGESIZE
    fd = os.open(path / "mapped", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 16 * page)
    with mmap.mmap(fd, 16 * page) as memory:
        for number in range(rounds):
            offset = (number % 16) * page
            memory[offset:offset + 8] = b"%08d" % number
            memory.flush()
            assert os.pread(fd, 8, offset) == b"%08d" % number
    os.close(fd)


def change_attributes(path, rounds):
    name = path / "file"
    name.write_text("attributes")
    for number in range(rounds):
        mode = 0o600 | (number % 8) << 3
        os.chmod(name, mode)
        assert os.stat(name).st_mode & 0o7777 == mode
        os.chown(name, number, -1)
        assert os.stat(name).st_uid == number
        os.truncate(name, number)
        assert os.stat(name).st_size == number
        os.utime(name, ns=(number, number))
        assert os.stat(name).st_mtime_ns == number
        value = b"%d" % number
        os.setxattr(name, "user.value", value, os.XATTR_CREATE)
        assert os.getxattr(name, "user.value") == value
        os.removexattr(name, "user.value")
        assert os.listxattr(name) == []
    os.chmod(name, 0o644)


def unnamed_files(path, rounds):
    for number in range(rounds):
        fd = os.open(path, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, b"%d" % number)
        assert os.pread(fd, 20, 0) == b"%d" % number
        if number % 2:
            result = LIBC.linkat(fd, b"", -100, os.fsencode(path / f"named-{number}"), AT_EMPTY_PATH)
            assert result == 0, os.strerror(ctypes.get_errno())
        os.close(fd)


def read_and_write(path, rounds):
    """More than one request holds, at odd offsets, and what is sent to the disk."""
    size = 300 * 1024
    fd = os.open(path / "data", os.O_RDWR | os.O_CREAT, 0o644)
    for number in range(rounds):
        data = bytes([number % 251]) * size
        offset = number * 777
        assert os.pwrite(fd, data, offset) == size
        if number % 8 == 0:
            os.fsync(fd)
        assert os.pread(fd, size, offset) == data
    os.close(fd)


ALL = (append, create_and_unlink, make_directories, rename, list_directory, lock, map_memory, change_attributes,
       unnamed_files, read_and_write)


class Load:
    """One load in a process of its own."""

    def __init__(self, function, path, rounds):
        self.name = function.__name__
        path.mkdir()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                function(path, rounds)
                status = 0
            except BaseException:
                print(f"load {self.name}:", file=sys.stderr)
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)

    def has_ended(self):
        """True once it has; fails if it met anything wrong."""
        if self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == 0:
                return False
            self.pid = 0
            assert status == 0, f"load {self.name} met an error"
        return True
