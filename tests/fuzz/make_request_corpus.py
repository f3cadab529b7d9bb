#!/usr/bin/env python3
"""Writes the inputs of corpus/requests: the form is told in fuzz_requests.c, opcodes and structs in linux/fuse.h."""
import os
import pathlib
import struct
import sys

LOOKUP, FORGET, GETATTR, SETATTR, READLINK, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
RENAME, LINK, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, SETXATTR, GETXATTR = 12, 13, 14, 15, 16, 17, 18, 20, 21, 22
LISTXATTR, REMOVEXATTR, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR = 23, 24, 25, 26, 27, 28, 29, 30
ACCESS, CREATE, INTERRUPT, DESTROY, IOCTL, POLL, NOTIFY_REPLY, BATCH_FORGET = 34, 35, 36, 38, 39, 40, 41, 42
FALLOCATE, READDIRPLUS, RENAME2, LSEEK, COPY_FILE_RANGE, SYNCFS, TMPFILE, STATX = 43, 44, 45, 46, 47, 50, 51, 52
IDENTITY, SUCCESSOR, FSGROUP, NO_CACHE, LAYERS = 1, 2, 4, 8, 16
ROOT, RESENT = 0x20, 0x40
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in (
    (1, 7, 0xffffffff), (2, 7, 1000), (4, 5, 0xffffffff), (0x10, 7, 0xffffffff), (0x20, 5, 0xffffffff)))


def request(opcode, node, body=b"", *more):
    data = body if isinstance(body, bytes) else body.encode() + b"\0"
    for part in more:
        data += part if isinstance(part, bytes) else part.encode() + b"\0"
    return struct.pack("<BBH", opcode, node, len(data)) + data


def read(opcode, node, size=4096, offset=0):
    return request(opcode, node, struct.pack("<QQIIQII", 0, offset, size, 0, 0, 0, 0))


def write(node, content, offset=0, claimed=None):
    size = len(content) if claimed is None else claimed
    return request(WRITE, node, struct.pack("<QQIIQII", 2, offset, size, 0, 0, 2, 0), content)


def setattr_(node, valid, mode=0, size=0, uid=0, gid=0):
    return request(SETATTR, node, struct.pack("<IIQQQQQQIIIIIIII", valid, 0, 0, size, 0, 1, 2, 3, 4, 5, 6, mode, 0,
                                              uid, gid, 0))


def create(parent, name, flags=0o102, mode=0o6755):
    return request(CREATE, parent, struct.pack("<IIII", flags, mode, 0o22, 0), name)


def setxattr(node, name, value, claimed=None):
    size = len(value) if claimed is None else claimed
    return request(SETXATTR, node, struct.pack("<IIII", size, 0, 1, 0), name, value)


def forget(node, count):
    return request(FORGET, node, struct.pack("<Q", count))


def batch_forget(count, *pairs):
    return request(BATCH_FORGET, 0, struct.pack("<II", count, 0), *(struct.pack("<QQ", *pair) for pair in pairs))


LOOKUPS = request(LOOKUP, 1, "file") + request(LOOKUP, 1, "dir") + request(LOOKUP, 1, "link")
FILE, DIR, LINKNODE, NEW = 2, 3, 4, 5

INPUTS = {
    "read": LOOKUPS + request(GETATTR, FILE, bytes(16)) + request(OPEN, FILE, struct.pack("<II", 0, 0)) +
            read(READ, FILE) + request(FLUSH, FILE, bytes(24)) + request(RELEASE, FILE, bytes(24)) + forget(FILE, 1),
    "write": LOOKUPS + request(OPEN, FILE | ROOT, struct.pack("<II", 2, 0)) + write(FILE, b"x" * 100, 50) +
             request(FALLOCATE, FILE, struct.pack("<QQQII", 2, 0, 8192, 0, 0)) +
             request(LSEEK, FILE, struct.pack("<QQII", 2, 0, 4, 0)) + setattr_(FILE, 0x1 | 0x8, mode=0o100777, size=9) +
             request(FSYNC, FILE, bytes(16)) + request(RELEASE, FILE, bytes(24)),
    "create": create(1, "new") + create(1, "new") + write(2, b"text") + request(UNLINK, 1, "new") +
              read(READ, 2) + request(RELEASE, 2, bytes(24)) +
              request(TMPFILE, 1, struct.pack("<IIII", 0o20200002, 0o600, 0, 0), "#1"),
    "names": LOOKUPS + request(MKDIR, 1, struct.pack("<II", 0o2777, 0o22), "sub") +
             request(MKNOD, 1, struct.pack("<IIII", 0o010600, 0, 0o22, 0), "fifo") +
             request(MKNOD, 1, struct.pack("<IIII", 0o020600, 0x103, 0, 0), "device") +
             request(SYMLINK, 1, "other", "../../..") + request(LINK, 1, struct.pack("<Q", FILE), "hard") +
             request(RENAME2, 1, struct.pack("<QII", 1, 2, 0), "file", "dir") +
             request(RENAME, 1, struct.pack("<Q", NEW), "link", "moved") + request(RMDIR, 1, "sub") +
             request(UNLINK, 1, "hard"),
    "lists": LOOKUPS + read(READDIR, 1) + read(READDIRPLUS, 1) + read(READDIRPLUS, DIR, 200) + read(READDIR, 1, 20) +
             read(READDIR, FILE) + request(READLINK, LINKNODE) + request(READLINK, FILE) + request(STATFS, 1) +
             request(FSYNCDIR, DIR, bytes(16)) + request(OPENDIR, 1, bytes(8)) + request(RELEASEDIR, 1, bytes(24)) +
             read(READDIR, 1, 0xffffffff, 1 << 62),
    "xattrs": LOOKUPS + setxattr(FILE, "user.note", b"value") + request(LISTXATTR, FILE, struct.pack("<II", 4096, 0)) +
              request(GETXATTR, FILE, struct.pack("<II", 4096, 0), "user.note") +
              request(GETXATTR, FILE, struct.pack("<II", 0xffffffff, 0), "user.note") +
              setxattr(DIR, "system.posix_acl_access", ACL) + setxattr(DIR, "system.posix_acl_default", ACL) +
              setxattr(DIR, "system.posix_acl_access", ACL[:-3]) +
              request(GETXATTR, DIR, struct.pack("<II", 200, 0), "system.posix_acl_access") +
              setxattr(FILE, "security.capability", bytes(20)) + setxattr(FILE, "user.big", b"abc", claimed=60000) +
              request(REMOVEXATTR, FILE, "user.note"),
    "lies": LOOKUPS + forget(FILE, 1 << 60) + forget(1, 1 << 60) + forget(31, 1) + batch_forget(2, (DIR, 7), (9, 1)) +
            batch_forget(0xffffffff, (LINKNODE, 1)) + request(GETATTR, FILE, bytes(16)) +
            request(RELEASE, 1, bytes(24)) +
            request(OPEN, 1, bytes(8)) + read(READ, DIR) + request(RELEASE, FILE, bytes(24)) +
            request(LOOKUP, 1, "file") + request(GETATTR, FILE, bytes(16)) + request(GETATTR, 0, bytes(16)),
    "paths": b"".join(request(LOOKUP, 1, name) for name in ("..", ".", "../canary", "", "dir/inside", "/etc/passwd")) +
             LOOKUPS + request(LOOKUP, LINKNODE, "x") + request(LOOKUP, FILE, "x") + create(1, "../escaped") +
             create(LINKNODE, "x") + request(UNLINK, 1, "../canary") +
             request(OPEN, LINKNODE, struct.pack("<II", 1, 0)) +
             request(RENAME2, 1, struct.pack("<QII", 1, 0, 0), "file", "../canary") + write(LINKNODE, b"gone") +
             request(LINK, 1, struct.pack("<Q", FILE), "../linked") + setattr_(LINKNODE, 0x9, mode=0o777, size=0),
    "shapes": request(LOOKUP, 1) + request(LOOKUP, 1, b"unterminated") + request(SETATTR, 1, bytes(40)) +
              LOOKUPS + write(FILE, b"abc", claimed=0xffffffff) + request(IOCTL, FILE, struct.pack(
                  "<QIIQII", 0, 0, 0x80086601, 0, 0xffffffff, 0xffffffff)) + request(RENAME2, 1, bytes(16), "one") +
              request(SYMLINK, 1, b"name") + request(INIT, 0, bytes(64)) + request(NOTIFY_REPLY, 1, bytes(40)) +
              request(200, 1) + request(0, 1) + request(DESTROY, 0) + request(GETATTR, 1, bytes(16)),
    "others": LOOKUPS + request(IOCTL, FILE, struct.pack("<QIIQII", 0, 0, 0x80086601, 0, 0, 8)) +
              request(IOCTL, FILE | ROOT, struct.pack("<QIIQII", 0, 0, 0x40086602, 0, 8, 0), bytes(8)) +
              request(COPY_FILE_RANGE, FILE, struct.pack("<QQQQQQQ", 0, 0, FILE, 2, 100, 1 << 40, 0)) +
              request(STATX, FILE, bytes(24)) + request(ACCESS, FILE, bytes(8)) + request(POLL, FILE, bytes(24)) +
              request(INTERRUPT, 0, struct.pack("<Q", 4)) + request(SYNCFS, 1, bytes(8)) +
              request(READ, FILE, struct.pack("<QQIIQII", 0, 1 << 63, 0xffffffff, 0, 0, 0, 0)),
    "resent": LOOKUPS + create(1, "a") + request(MKDIR, 1, bytes(8), "b") + request(UNLINK, 1, "file") +
              create(1 | RESENT, "a") + request(MKDIR, 1 | RESENT, bytes(8), "b") +
              request(UNLINK, 1 | RESENT, "file") +
              request(RENAME2, 1 | RESENT, struct.pack("<QII", 1, 0, 0), "a", "c") + read(READDIRPLUS, 1) +
              request(GETATTR, FILE, bytes(16)) + forget(DIR, 1),
}


def main():
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(__file__) + "/corpus/requests")
    target.mkdir(parents=True, exist_ok=True)
    for name, body in INPUTS.items():
        for suffix, settings in (("gid", 0), ("identity", IDENTITY), ("fsgroup", FSGROUP | NO_CACHE),
                                 ("layers", IDENTITY | LAYERS), ("layers-gid", LAYERS | NO_CACHE)):
            if name == "resent":
                settings |= SUCCESSOR
            (target / f"{name}-{suffix}").write_bytes(bytes([settings]) + body)


if __name__ == "__main__":
    main()
