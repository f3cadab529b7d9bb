"""Acting as somebody else: one call (run_as), or a process that stays and does call after call (Actor)."""
import ctypes
import os
import pickle
import select
import signal
import struct
import traceback

from .tools import abort_fuse_connections, scaled


CAP_FSETID = 4


def drop_capability(number):
    """Gives up one capability (below 32) for good in this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for word in (0, 1):
        data[word] &= ~(1 << number)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


class Denied(AssertionError):
    """The other process died or hung."""


def become(uid, gid=None, groups=()):
    """Takes an identity for good; what fork's child and preexec_fn call."""
    gid = uid if gid is None else gid
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_as(uid, function, *arguments, gid=None, groups=(), timeout=30):
    """Calls function(*arguments) in a child with that identity and gives its result; its exception is raised here."""
    with Actor(uid, gid=gid, groups=groups, timeout=timeout) as actor:
        return actor.call(function, *arguments)


class Actor:
    """A child process with an identity of its own that calls functions when told. It is forked, so it knows every
    function and module that the parent knew; arguments and results are pickled, so functions must have a name."""

    def __init__(self, uid=0, gid=None, groups=(), timeout=30, umask=0o022):
        self.timeout = timeout
        to_child, self._to_child = os.pipe()
        self._from_child, from_child = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._to_child)
            os.close(self._from_child)
            _serve(to_child, from_child, (uid, gid, groups), umask)
        os.close(to_child)
        os.close(from_child)

    def call(self, function, *arguments):
        _send(self._to_child, (function, arguments))
        ready, _, _ = select.select([self._from_child], [], [], scaled(self.timeout))
        if not ready:
            abort_fuse_connections()
            os.kill(self.pid, signal.SIGKILL)
            raise Denied(f"{function} did not end in {scaled(self.timeout):.0f} s")
        answer = _receive(self._from_child)
        if answer is None:
            raise Denied(f"the process that called {function} died")
        ok, value, trace = answer
        if ok:
            return value
        value.__notes__ = [trace]
        raise value

    def close(self):
        """Ends the child, by word: later children hold copies of its pipe, so that it would never see the end."""
        try:
            _send(self._to_child, None)
        except BrokenPipeError:
            pass
        os.close(self._to_child)
        os.close(self._from_child)
        os.waitpid(self.pid, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _serve(commands, answers, identity, umask):
    status = 1
    try:
        become(*identity)
        os.umask(umask)
        while (command := _receive(commands)) is not None:
            _send(answers, _attempt(*command))
        status = 0
    finally:
        os._exit(status)


def _attempt(function, arguments):
    try:
        return True, function(*arguments), None
    except Exception as error:
        return False, error, traceback.format_exc()


def _send(fd, value):
    data = pickle.dumps(value)
    data = struct.pack("=Q", len(data)) + data
    while data:
        data = data[os.write(fd, data):]


def _receive(fd):
    head = _read(fd, 8)
    return pickle.loads(_read(fd, struct.unpack("=Q", head)[0])) if head else None


def _read(fd, size):
    data = b""
    while len(data) < size:
        part = os.read(fd, size - len(data))
        if not part:
            return b""
        data += part
    return data
