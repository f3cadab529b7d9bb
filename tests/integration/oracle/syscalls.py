"""System calls that Python 3.11 has no name for."""
import ctypes
import os

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW = -100, 0x100, 0x400
STATX_BASIC_STATS, STATX_BTIME = 0x7ff, 0x800

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    return _checked(_libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), ctypes.c_uint(flags)))


def link_descriptor(fd, path):
    """Gives an open file a name, as for O_TMPFILE (os.link can't be made to follow the link in /proc)."""
    return _checked(_libc.linkat(AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, os.fsencode(path),
                                 AT_SYMLINK_FOLLOW))


def fallocate(fd, mode, offset, length):
    return _checked(_libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def birth_time(path):
    """(seconds, nanoseconds) of the birth of path, or None where the file system keeps none."""
    buffer = (ctypes.c_uint8 * 256)()
    _checked(_libc.statx(AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW,
                         ctypes.c_uint(STATX_BASIC_STATS | STATX_BTIME), buffer))
    data = bytes(buffer)
    if not int.from_bytes(data[0:4], "little") & STATX_BTIME:
        return None
    return int.from_bytes(data[80:88], "little"), int.from_bytes(data[88:92], "little")


def inotify_init():
    return _checked(_libc.inotify_init1(os.O_CLOEXEC))


def inotify_add_watch(fd, path, mask):
    return _checked(_libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint(mask)))
