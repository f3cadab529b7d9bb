"""What is measured: a directory mounted by different means. Each subject has a directory of its own on one disk."""
import os
import pathlib
import shutil
import subprocess
import time

GID = 5001


class Subject:
    """One way to mount `source` on `path`. command gives the words; background: it stays in the foreground."""

    def __init__(self, name, title, command, background=False, needs=None):
        self.name, self.title, self.command = name, title, command
        self.background, self.needs = background, needs
        self.source = self.path = self.process = None

    def available(self):
        return self.needs is None or shutil.which(str(self.needs)) is not None

    def make_directories(self, base):
        self.source, self.path = base / f"{self.name}.disk", base / self.name
        for path in (self.source, self.path, base / f"{self.name}.work", base / f"{self.name}.empty"):
            path.mkdir()

    def mount(self):
        words = [str(word) for word in self.command(self.source, self.path)]
        if not self.background:
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
            return
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        while not os.path.ismount(self.path):
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {words[0]} ended with {self.process.returncode}")
            time.sleep(0.005)

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        if self.process:
            self.process.wait()
        for path in self.source.parent.glob(f"{self.name}*"):
            shutil.rmtree(path, ignore_errors=True)


def all_subjects(build):
    view = build / "bin" / "gidfs-view"
    memory = build / "bench" / "bench-memory-server"

    def overlay(source, path):
        empty, work = source.with_suffix(".empty"), source.with_suffix(".work")
        return ["fuse-overlayfs", "-o", f"lowerdir={empty},upperdir={source},workdir={work}", path]

    return [
        Subject("native", "bind mount", lambda source, path: ["mount", "--bind", source, path]),
        Subject("bindfs", "bindfs", lambda source, path: ["bindfs", source, path], needs="bindfs"),
        Subject("fuse-overlayfs", "fuse-overlayfs", overlay, needs="fuse-overlayfs"),
        Subject("identity", "gidfs, identity view", lambda source, path: [view, "-o", "suid,dev", source, path]),
        Subject("gid", "gidfs, gid view", lambda source, path: [view, "-o", f"gid={GID}", source, path]),
        Subject("limit", "server in memory", lambda source, path: [memory, path], background=True, needs=memory),
    ]


def view_processes(path):
    """Process ids of the view mounted on path."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"gidfs-view") and os.fsencode(path) in words:
            found.append(int(process.name))
    return found


def memory_kib(processes, fields):
    """The sum of fields of /proc/PID/smaps_rollup (Pss, Private_Dirty…)."""
    total = 0
    for process in processes:
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in fields:
                total += int(value.split()[0])
    return total


def cpu_ticks(process):
    """Processor time that a process has used, in the kernel's ticks."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
