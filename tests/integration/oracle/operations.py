"""The operations of a script, each a function of the tree's root, done in the process of one actor.

play() gives ("ok", result) or ("error", errno name). Results hold nothing that two runs may differ in: no inode
numbers, no times but those that were set. Open files are kept by slot number in this process; a script may use a slot
that is not open, which is EBADF on both trees.
"""
import errno
import fcntl
import hashlib
import mmap
import os
import socket
import stat

from . import syscalls

_slots = {}


def play(root, name, arguments):
    try:
        return "ok", OPERATIONS[name](root, *arguments)
    except OSError as error:
        return "error", errno.errorcode.get(error.errno, str(error.errno))


def describe(path):
    """What a tree's entry looks like, for comparing (never through a link)."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return errno.errorcode.get(error.errno)
    seen = _status(status)
    if stat.S_ISLNK(status.st_mode):
        seen["target"] = os.readlink(path)
    seen["xattrs"] = {name: os.getxattr(path, name, follow_symlinks=False)
                      for name in sorted(os.listxattr(path, follow_symlinks=False))}
    return seen


def full_status(path):
    """Every field of lstat that stands still, for a path in the view and on disk: the kernel may keep an older atime,
    and blocks come and go with writeback."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return errno.errorcode.get(error.errno)
    return {name: getattr(status, name) for name in (
        "st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_rdev", "st_size", "st_blksize",
        "st_mtime_ns", "st_ctime_ns")}


def slot_numbers():
    """Descriptor by slot, for a parent that looks in through /proc."""
    return dict(_slots)


def _status(status):
    seen = {"mode": oct(status.st_mode), "uid": status.st_uid, "gid": status.st_gid, "rdev": status.st_rdev}
    if not stat.S_ISDIR(status.st_mode):
        seen.update(nlink=status.st_nlink, size=status.st_size)
    return seen


def _at(root, path):
    return os.path.join(root, path) if path else ""


def _fd(slot):
    if slot not in _slots:
        raise OSError(errno.EBADF, "the slot is not open")
    return _slots[slot]


def _keep(slot, fd):
    if slot in _slots:
        os.close(_slots.pop(slot))
    _slots[slot] = fd


def _digest(data):
    return len(data), hashlib.sha1(data).hexdigest()


def _bytes(size, seed):
    return (hashlib.sha1(str(seed).encode()).digest() * (size // 20 + 1))[:size]


def _open(root, slot, path, flags, mode):
    """Never waits: the path may be a FIFO."""
    _keep(slot, os.open(_at(root, path), flags | os.O_NONBLOCK, mode))


def _close(root, slot):
    os.close(_fd(slot))
    del _slots[slot]


def _write(root, slot, offset, size, seed):
    data = _bytes(size, seed)
    return os.pwrite(_fd(slot), data, offset) if offset >= 0 else os.write(_fd(slot), data)


def _read(root, slot, offset, size):
    return _digest(os.pread(_fd(slot), size, offset))


def _read_file(root, path):
    fd = os.open(_at(root, path), os.O_RDONLY | os.O_NONBLOCK)
    try:
        return _digest(os.read(fd, 1 << 20))
    finally:
        os.close(fd)


def _map_write(root, slot, offset, size, seed):
    fd = _fd(slot)
    length = os.fstat(fd).st_size
    if length < offset + size or size == 0:
        return "too short"
    with mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as area:
        area[offset:offset + size] = _bytes(size, seed)
        area.flush()
        return _digest(area[:])


def _seek(root, slot, offset, whence):
    fd = _fd(slot)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        return "a directory"  # where its data ends is for its file system to say
    where = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        return os.lseek(fd, offset, whence)
    finally:
        os.lseek(fd, where, os.SEEK_SET)


def _copy_range(root, source, target, size, from_offset, to_offset):
    return os.copy_file_range(_fd(source), _fd(target), size, from_offset, to_offset)


def _send(root, source, target, offset, size):
    return os.sendfile(_fd(target), _fd(source), offset, size)


def _socket(root, path):
    """Bound through the directory's descriptor: the path of the tree may be longer than an address."""
    folder, name = os.path.split(_at(root, path))
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.bind(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def _tmpfile(root, slot, path, flags, mode):
    _keep(slot, os.open(_at(root, path), os.O_TMPFILE | flags, mode))


def _link_slot(root, slot, path):
    syscalls.link_descriptor(_fd(slot), _at(root, path))


def _set_times(root, path, atime_ns, mtime_ns, follow):
    os.utime(_at(root, path), ns=(atime_ns, mtime_ns), follow_symlinks=follow)
    return os.stat(_at(root, path), follow_symlinks=follow).st_mtime_ns


def _lock(root, slot, how, start, length):
    fcntl.lockf(_fd(slot), how | fcntl.LOCK_NB, length, start)


def _unlock(root, slot, start, length):
    fcntl.lockf(_fd(slot), fcntl.LOCK_UN, length, start)


def _statfs(root, path):
    seen = os.statvfs(_at(root, path))
    return seen.f_namemax, seen.f_bsize > 0


def _list(root, path):
    return sorted(os.listdir(_at(root, path)))


def _types(root, path):
    """Types as readdir tells them."""
    with os.scandir(_at(root, path)) as entries:
        return sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in entries)


OPERATIONS = {
    "open": _open, "close": _close, "write": _write, "read": _read, "read_file": _read_file, "map_write": _map_write,
    "seek": _seek, "copy_range": _copy_range, "send": _send, "socket": _socket, "tmpfile": _tmpfile,
    "link_slot": _link_slot, "set_times": _set_times, "lock": _lock, "unlock": _unlock, "statfs": _statfs,
    "list": _list, "types": _types,
    "truncate": lambda root, path, size: os.truncate(_at(root, path), size),
    "truncate_slot": lambda root, slot, size: os.ftruncate(_fd(slot), size),
    "fallocate": lambda root, slot, mode, offset, size: syscalls.fallocate(_fd(slot), mode, offset, size),
    "link": lambda root, old, new: os.link(_at(root, old), _at(root, new), follow_symlinks=False),
    "rename": lambda root, old, new, flags: syscalls.renameat2(_at(root, old), _at(root, new), flags),
    "symlink": lambda root, target, path: os.symlink(target, _at(root, path)),
    "readlink": lambda root, path: os.readlink(_at(root, path)),
    "fifo": lambda root, path, mode: os.mkfifo(_at(root, path), mode),
    "node": lambda root, path, mode, device: os.mknod(_at(root, path), mode, device),
    "mkdir": lambda root, path, mode: os.mkdir(_at(root, path), mode),
    "unlink": lambda root, path: os.unlink(_at(root, path)),
    "rmdir": lambda root, path: os.rmdir(_at(root, path)),
    "chmod": lambda root, path, mode: os.chmod(_at(root, path), mode),
    "chmod_slot": lambda root, slot, mode: os.fchmod(_fd(slot), mode),
    "chown": lambda root, path, uid, gid: os.lchown(_at(root, path), uid, gid),
    "chown_slot": lambda root, slot, uid, gid: os.fchown(_fd(slot), uid, gid),
    "access": lambda root, path, mode: os.access(_at(root, path), mode),
    "stat": lambda root, path: _status(os.stat(_at(root, path))),
    "stat_slot": lambda root, slot: _status(os.fstat(_fd(slot))),
    "sync": lambda root, slot: os.fsync(_fd(slot)),
    "flock": lambda root, slot, how: fcntl.flock(_fd(slot), how | fcntl.LOCK_NB),
    "setxattr": lambda root, path, name, value, flags: os.setxattr(_at(root, path), name, value, flags,
                                                                   follow_symlinks=False),
    "getxattr": lambda root, path, name: os.getxattr(_at(root, path), name, follow_symlinks=False),
    "listxattr": lambda root, path: sorted(os.listxattr(_at(root, path), follow_symlinks=False)),
    "removexattr": lambda root, path, name: os.removexattr(_at(root, path), name, follow_symlinks=False),
}
