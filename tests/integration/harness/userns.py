"""An ordinary user in a user namespace of its own, where it is root: what rootless containers are."""
import codecs
import ctypes
import os
import pathlib
import shutil
import subprocess

from .identity import Actor
from .tools import run

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PR_SET_DUMPABLE = 4

codecs.lookup("ascii")  # now: a user may not be let to where Python has it


def offer_fuse(directory):
    """Lets everybody open /dev/fuse, as udev does, in this mount namespace. `directory` is where to keep a device."""
    if os.stat("/dev/fuse").st_mode & 0o666 == 0o666:
        return
    run(["mount", "-t", "tmpfs", "tmpfs", directory])
    node = pathlib.Path(directory) / "fuse"
    os.mknod(node, 0o020666, os.stat("/dev/fuse").st_rdev)
    node.chmod(0o666)
    run(["mount", "--bind", node, "/dev/fuse"])


class UserNamespace(Actor):
    """An Actor that is root in namespaces (user, mount) of the ordinary user uid, and nobody outside."""

    def __init__(self, uid, timeout=60):
        super().__init__(uid, timeout=timeout)
        self.call(_enter, uid)


def _enter(uid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 1)  # or /proc/self belongs to the root outside
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    pathlib.Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
    pathlib.Path("/proc/self/gid_map").write_text(f"0 {uid} 1", encoding="ascii")


def why_no_user_namespaces(uid):
    """What keeps an ordinary user from having one here, or None."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False, text=True,
                          capture_output=True, user=uid, group=uid, extra_groups=[])
    return None if done.returncode == 0 else done.stderr.strip()
