"""Random scripts: who does what, drawn from a seed. The same seed and kind always give the same script."""
import fcntl
import os
import random
import stat
import struct

from . import syscalls

ROOT, OWNER, MEMBER, OTHER = "root", "owner", "member", "other"
SLOTS = 6
LONGEST = "n" * 255
ODD_NAMES = ("sp ace", "-dash", "new\nline", "caf\u00e9", "\udcff\udc80", LONGEST, "n" * 256, ".hidden", "*", "a.b")
OPEN_FLAGS = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL,
              os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT | os.O_APPEND,
              os.O_RDONLY | os.O_DIRECTORY, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDWR | os.O_TRUNC,
              os.O_RDWR | os.O_CREAT | os.O_SYNC, os.O_PATH, os.O_RDONLY | os.O_NOATIME)


def acl(*entries):
    """The bytes of system.posix_acl_*; entries are (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def some_acl(draw):
    anyone = 0xffffffff
    entries = [(0x01, 6 | draw.randrange(2), anyone)]
    if draw.random() < 0.8:
        entries.append((0x02, draw.randrange(8), draw.choice((1000, 1001, 1002))))
    entries.append((0x04, draw.randrange(8), anyone))
    if draw.random() < 0.6:
        entries.append((0x08, draw.randrange(8), draw.choice((1000, 2000, 3000))))
    if len(entries) > 2:
        entries.append((0x10, draw.randrange(8), anyone))
    entries.append((0x20, draw.randrange(8), anyone))
    return acl(*entries)


class Script:
    """An iterator of (actor, operation, arguments); note() tells it what came of the last one, so that most of what
    follows is about things that exist.

    kind "identity": everything. kind "gid": nothing whose outcome rightly differs with gid= (B1, B5): no set-id bits,
    no chgrp to other groups, no ACLs and no device nodes."""

    def __init__(self, seed, length, kind="identity"):
        self.draw = random.Random(seed)
        self.length = length
        self.gid_view = kind == "gid"
        # Where data begins in space that was allocated and never written depends on what the page cache holds, so a
        # script either allocates or asks for holes.
        self.asks_for_holes = self.draw.random() < 0.5
        self.makers = [maker for maker, weight in self._weights() for _ in range(weight)]
        self.folders, self.entries, self.open_slots = {""}, set(), {who: set() for who in (ROOT, OWNER, MEMBER, OTHER)}
        self.actor = ROOT

    def __iter__(self):
        yield from self._foundation()
        for _ in range(self.length):
            self.actor = self.draw.choice((ROOT, ROOT, OWNER, OWNER, OWNER, MEMBER, MEMBER, MEMBER, OTHER))
            yield (self.actor, *self.draw.choice(self.makers)(self.actor))

    def note(self, who, name, arguments, done):
        """Keeps a rough model of what is there; a path in it may well be gone, which is wanted now and then."""
        if not done:
            return
        if name in ("open", "tmpfile"):
            self.open_slots[who].add(arguments[0])
        if name == "close":
            self.open_slots[who].discard(arguments[0])
        if name == "mkdir":
            self.folders.add(arguments[0])
        if name in ("rmdir", "unlink"):
            self.folders.discard(arguments[0])
            self.entries.discard(arguments[0])
        if name == "rename":
            self._note_rename(*arguments[:2])
        if name in ("open", "link", "symlink", "link_slot"):
            self.entries.add(arguments[1])
        if name in ("fifo", "socket", "node"):
            self.entries.add(arguments[0])

    def _note_rename(self, old, new):
        for known in (self.folders, self.entries):
            moved = {path for path in known if path == old or path.startswith(old + "/")}
            known -= moved
            known |= {new + path[len(old):] for path in moved}

    def _foundation(self):
        for name, mode in (("d0", 0o775), ("d1", 0o777), ("d2", 0o770), ("d0/d0", 0o777), ("d1/d1", 0o700)):
            yield OWNER, "mkdir", (name, mode)
            yield OWNER, "chmod", (name, mode)
        for name in ("f0", "d0/f0", "d0/f1", "d1/f0", "d2/f0"):
            yield OWNER, "open", (0, name, os.O_RDWR | os.O_CREAT, 0o664)
            yield OWNER, "write", (0, 0, 5000, name)

    def _weights(self):
        draw = self.draw
        return [
            (lambda who: ("open", (draw.randrange(SLOTS), self._path(), draw.choice(OPEN_FLAGS), self._mode())), 10),
            (lambda who: ("close", (self._slot(),)), 3),
            (lambda who: ("write", (self._slot(), self._offset(-1), self._size(), draw.random())), 10),
            (lambda who: ("read", (self._slot(), self._offset(), self._size())), 4),
            (lambda who: ("read_file", (self._path(),)), 3),
            (lambda who: ("map_write", (self._slot(), self._offset(), self._size(), draw.random())), 2),
            (lambda who: ("truncate", (self._path(), self._offset())), 3),
            (lambda who: ("truncate_slot", (self._slot(), self._offset())), 2),
            (self._holes, 5),
            (lambda who: ("copy_range", (self._slot(), self._slot(), self._size(), self._offset(), self._offset())), 2),
            (lambda who: ("send", (self._slot(), self._slot(), self._offset(), self._size())), 1),
            (lambda who: ("link", (self._path(), self._path())), 4),
            (lambda who: ("rename", (self._path(), self._path(), draw.choice((0, 0, 0, 1, 2, 3)))), 7),
            (lambda who: ("symlink", (self._target(), self._path())), 3),
            (lambda who: ("readlink", (self._path(),)), 1),
            (lambda who: ("fifo", (self._path(), self._mode())), 1),
            (lambda who: ("socket", (self._path(),)), 1),
            (self._node, 1),
            (lambda who: ("mkdir", (self._path(), self._directory_mode())), 6),
            (lambda who: ("unlink", (self._path(),)), 5),
            (lambda who: ("rmdir", (self._path(),)), 2),
            (lambda who: ("chmod", (self._path(), self._directory_mode())), 4),
            (lambda who: ("chmod_slot", (self._slot(), self._directory_mode())), 1),
            (self._chown, 4),
            (self._times, 2),
            (lambda who: ("tmpfile", (self._slot(), self._path(), os.O_RDWR, self._mode())), 2),
            (lambda who: ("link_slot", (self._slot(), self._path())), 2),
            (self._lock, 4),
            (lambda who: ("list", (self._path(),)), 2),
            (lambda who: ("types", (self._path(),)), 1),
            (lambda who: ("access", (self._path(), draw.randrange(8))), 3),
            (lambda who: ("stat", (self._path(),)), 4),
            (lambda who: ("stat_slot", (self._slot(),)), 4),
            (lambda who: ("sync", (self._slot(),)), 1),
            (lambda who: ("statfs", (self._path(),)), 1),
            (self._xattr, 6),
        ]

    def _name(self, letter):
        return self.draw.choice(ODD_NAMES) if self.draw.random() < 0.05 else f"{letter}{self.draw.randrange(4)}"

    def _path(self):
        chance = self.draw.random()
        if self.entries and chance < 0.35:
            return self.draw.choice(sorted(self.entries))
        if chance < 0.5:
            return self.draw.choice(sorted(self.folders))
        folder = self.draw.choice(sorted(self.folders)) if chance < 0.9 else self._name("d")
        parts = [part for part in folder.split("/") if part][:6] + [self._name(self.draw.choice("dfffl"))]
        chance = self.draw.random()
        if chance < 0.02:
            parts.insert(self.draw.randrange(len(parts)), "..")
        elif chance < 0.04:
            parts.append(self.draw.choice(("", ".", "..")))
        elif chance < 0.045:
            return self.draw.choice(("", "."))
        path = "/".join(parts)
        return path if _stays_inside(path) else parts[-1] or "f0"

    def _target(self):
        return self.draw.choice(("f0", "d0", "l0", "../f1", "nowhere", "d1/../f0", "l1", "x" * 4000))

    def _slot(self):
        known = sorted(self.open_slots[self.actor])
        return self.draw.choice(known) if known and self.draw.random() < 0.8 else self.draw.randrange(SLOTS)

    def _offset(self, lowest=0):
        draw = self.draw
        return draw.choice((lowest, 0, 1, draw.randrange(5000), 4096, 8192, draw.randrange(300000), 1 << 20))

    def _size(self):
        return self.draw.choice((0, 1, 100, 4096, self.draw.randrange(20000), 65536))

    def _with_special(self, mode):
        """Setgid comes with the group's x: without it (mandatory locking, once) a write keeps the bit on disk for
        members of the group and clears it through a view, which can't tell them."""
        special = 0 if self.gid_view else self.draw.choice((0,) * 8 + (0o4000, 0o2010, 0o6010, 0o1000))
        return mode | special

    def _mode(self):
        return self._with_special(self.draw.choice((0o644, 0o664, 0o600, 0o660, 0o666, 0o755, 0o400, 0o000, 0o640)))

    def _directory_mode(self):
        return self._with_special(self.draw.choice((0o755, 0o775, 0o777, 0o777, 0o750, 0o770, 0o770, 0o1777, 0o700,
                                                    0o640)))

    def _holes(self, who):
        draw, slot = self.draw, self._slot()
        if self.asks_for_holes and draw.random() < 0.6:
            return "seek", (slot, self._offset(), draw.choice((os.SEEK_HOLE, os.SEEK_DATA)))
        punch = syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE
        modes = (punch,) if self.asks_for_holes else (0, syscalls.FALLOC_KEEP_SIZE, punch, syscalls.FALLOC_ZERO_RANGE,
                                                      0x8000)
        return "fallocate", (slot, draw.choice(modes), self._offset(), self._size())

    def _node(self, who):
        kind = stat.S_IFREG if self.gid_view else self.draw.choice((stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK))
        return "node", (self._path(), kind | self._mode(), 0 if kind == stat.S_IFREG else os.makedev(1, 3))

    def _chown(self, who):
        uid = self.draw.choice((-1, -1, 0, 1000, 1001, 1002))
        gid = -1 if self.gid_view else self.draw.choice((-1, 1000, 1001, 2000, 5001))
        if self.draw.random() < 0.2:
            return "chown_slot", (self._slot(), uid, gid)
        return "chown", (self._path(), uid, gid)

    def _times(self, who):
        times = (0, 1, 10**18 + 123456789, 1234567890 * 10**9 + 5)
        return "set_times", (self._path(), self.draw.choice(times), self.draw.choice(times), self.draw.random() < 0.7)

    def _lock(self, who):
        draw, slot = self.draw, self._slot()
        choice = draw.randrange(3)
        if choice == 0:
            return "flock", (slot, draw.choice((fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN)))
        start, length = draw.randrange(4) * 10, draw.choice((0, 5, 10, 25))
        if choice == 1:
            return "lock", (slot, draw.choice((fcntl.LOCK_SH, fcntl.LOCK_EX)), start, length)
        return "unlock", (slot, start, length)

    def _xattr(self, who):
        draw, path = self.draw, self._path()
        names = ["user.a", "user.b", "user." + "x" * 250, "user." + "x" * 251, "user.", "wrong.a"]
        if not self.gid_view:
            names += ["system.posix_acl_access", "system.posix_acl_default", "trusted.t", "security.capability"] * 2
        name = draw.choice(names)
        choice = draw.randrange(6)
        if choice == 0:
            return "listxattr", (path,)
        if choice == 1:
            return "getxattr", (path, name)
        if choice == 2:
            return "removexattr", (path, name)
        return "setxattr", (path, name, self._xattr_value(name), draw.choice((0, 0, os.XATTR_CREATE, os.XATTR_REPLACE)))

    def _xattr_value(self, name):
        if name.startswith("system."):
            return some_acl(self.draw)
        if name == "security.capability":
            return struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)
        return bytes(self.draw.randrange(256) for _ in range(self.draw.choice((0, 1, 30, 1000))))


def _stays_inside(path):
    """Whether '..' never climbs above the tree's root (through links it can't either: targets are shallow)."""
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return False
    return True
