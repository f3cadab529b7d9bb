"""POSIX ACLs as extended attributes: written and read without getfacl and setfacl."""
import os
import struct

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
TAGS = {"u": (0x01, 0x02), "g": (0x04, 0x08), "m": (0x10, None), "o": (0x20, None)}
NO_ID = 0xffffffff


def encode(text):
    """The value for the short form of acl(5) with numeric ids: "u::rwx,u:1000:r-x,g::r-x,m::r-x,o::---"."""
    entries = []
    for word in text.split(","):
        kind, who, perm = word.split(":")
        plain, named = TAGS[kind]
        bits = sum(bit for letter, bit in zip("rwx", (4, 2, 1)) if letter in perm)
        entries.append((named if who else plain, bits, int(who) if who else NO_ID))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries))


def decode(value):
    words = []
    for tag, perm, number in struct.iter_unpack("<HHI", value[4:]):
        kind = next(kind for kind, tags in TAGS.items() if tag in tags)
        bits = "".join(letter if perm & bit else "-" for letter, bit in zip("rwx", (4, 2, 1)))
        words.append(f"{kind}:{number if tag in (0x02, 0x08) else ''}:{bits}")
    return ",".join(words)


def set_acl(path, text, kind=ACCESS):
    os.setxattr(path, kind, encode(text))


def get_acl(path, kind=ACCESS):
    return decode(os.getxattr(path, kind))
