"""Layered views against the kernel's overlayfs: the subjects, and the rows that only layers have.

The rows on files have one layer under an upper. Beside them stands a Debian root, copied from the packages of this
machine and cut into 1, 10 and 64 layers by package, as images are; each row on it mounts it anew."""
import contextlib
import functools
import os
import re
import shutil
import subprocess
import time

from rows import ROWS, Row
from subjects import Subject

N_LAYERS = (1, 10, 64)
LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/")
N_DEBS, N_DEB_FILES = 3, 150
MIB = 1 << 20


class LayeredSubject(Subject):
    """Mounts `source` as the one lower layer under an upper of its own; words() gives the command for any layers."""

    def __init__(self, name, title, words, needs=None):
        super().__init__(name, title, None, needs=needs)
        self.words = words

    def mount(self):
        self.mount_layers([self.source], self.path)

    def mount_layers(self, lower, path):
        """In the directory of the layers: the options of 64 absolute paths are too long for mount(2)."""
        upper, work = path.with_suffix(".upper"), path.with_suffix(".work")
        for directory in (upper, work, path):
            directory.mkdir(exist_ok=True)
        layers = ":".join(layer.name for layer in lower)
        words = self.words(f"lowerdir={layers},upperdir={upper},workdir={work}")
        done = subprocess.run([*map(str, words), path], cwd=lower[0].parent, stdin=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {words[0]}: {done.stderr.strip()}")

    @contextlib.contextmanager
    def root(self, bench, n_layers):
        """The Debian root of so many layers, mounted for as long as the block."""
        path = self.path.with_name(f"{self.name}-root")
        self.mount_layers(sorted(debian_root(bench, n_layers).iterdir()), path)
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=False)
            for left in path.parent.glob(f"{path.name}*"):
                shutil.rmtree(left, ignore_errors=True)


def layered_subjects(build):
    view = build / "bin" / "gidfs-view"
    return [
        LayeredSubject("native", "overlayfs", lambda options: ["mount", "-t", "overlay", "-o", options, "overlay"]),
        LayeredSubject("fuse-overlayfs", "fuse-overlayfs", lambda options: ["fuse-overlayfs", "-o", options],
                       needs="fuse-overlayfs"),
        LayeredSubject("layers", "gidfs, layered view", lambda options: [view, "-o", f"suid,dev,{options}"]),
    ]


def _packages():
    """The packages of a small image: what every Debian has, Python, and what these need."""
    needs, wanted = {}, ["python3"]
    text = subprocess.run(["dpkg-query", "-W", "-f", "${Package}|${Priority}|${Pre-Depends},${Depends}\n"],
                          capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        name, priority, depends = line.split("|", 2)
        needs[name] = [word.split()[0].partition(":")[0] for word in re.split("[,|]", depends) if word.strip()]
        wanted += [name] if priority in ("required", "important") else []
    found = {}
    while wanted:
        name = wanted.pop()
        if name in needs and name not in found:
            found[name] = True
            wanted += needs[name]
    return sorted(found)


@functools.cache
def _files():
    """The files of each of those packages, as paths without links in their directories."""
    packages = _packages()
    listed = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True).stdout
    real = functools.cache(os.path.realpath)
    files = []
    for text in listed.split("\n\n"):
        names = [name for name in text.splitlines() if os.path.isfile(name) or os.path.islink(name)]
        files.append([os.path.join(real(os.path.dirname(name)), os.path.basename(name)) for name in names
                      if not name.startswith(LEFT_OUT)])
    return files


def _copy_files(names, layer):
    for name in names:
        target = layer / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            shutil.copy2(name, target, follow_symlinks=False)


def debian_root(bench, n_layers):
    """Directories of n_layers layers, made once in a run; the first is the top."""
    root = bench.base / f"root-{n_layers}"
    if root.exists():
        return root
    layers = [root / f"{number:02}" for number in range(n_layers)]
    for layer in layers:
        layer.mkdir(parents=True)
    for number, names in enumerate(_files()):
        _copy_files(names, layers[number % n_layers])
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{name}") and not os.path.lexists(layers[-1] / name):
            (layers[-1] / name).symlink_to(os.readlink(f"/{name}"))
    for name in ("tmp", "proc", "dev", "root", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"):
        (layers[-1] / name).mkdir(parents=True, exist_ok=True)
    (layers[-1] / "var/lib/dpkg/status").touch()
    return root


def _start(*words):
    """Starts a program in the root as a new container does: mounted a moment ago, nothing in the kernel's caches."""
    def measure(subject, bench):
        with subject.root(bench, 10) as root:
            bench.call(["drop_caches", root, "0"])
            start = time.monotonic()
            subprocess.run(["chroot", root, *words], check=True, stdout=subprocess.DEVNULL)
            return 1 / (time.monotonic() - start)
    return measure


def _walk(workload, n_layers):
    def measure(subject, bench):
        with subject.root(bench, n_layers) as root:
            return bench.call([workload, root, bench.options.seconds])
    return measure


def _make_huge(subject, bench):
    n_mib = 128 if bench.options.quick else 1024
    with open(subject.source / "huge", "wb") as huge:
        for _ in range(n_mib):
            huge.write(os.urandom(MIB))


def _copy_up(subject, bench):
    """Bytes a second until a lower file is open for writing."""
    huge = subject.path / "huge"
    n_bytes = huge.stat().st_size
    subprocess.run(["sync", "-f", bench.base], check=True)
    start = time.monotonic()
    os.close(os.open(huge, os.O_RDWR))
    rate = n_bytes / (time.monotonic() - start)
    huge.unlink()
    return rate


def _make_debs(subject, bench):
    debs = bench.base / "debs"
    if debs.exists():
        return
    for number in range(N_DEBS):
        tree = bench.base / f"deb-{number}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(f"Package: bench{number}\nVersion: 1\nArchitecture: all\n"
                                                 "Maintainer: nobody <nobody@example.org>\nDescription: files\n")
        files = tree / "usr" / "share" / f"bench{number}"
        files.mkdir(parents=True)
        for file in range(N_DEB_FILES):
            (files / f"file-{file}").write_bytes(bytes(2048))
        debs.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "-Znone", tree, debs], check=True, stdout=subprocess.DEVNULL)


def _install(subject, bench):
    """Files a second of packages that dpkg installs, offline."""
    with subject.root(bench, 10) as root:
        shutil.copytree(bench.base / "debs", root / "tmp" / "debs")
        names = [f"/tmp/debs/{path.name}" for path in (bench.base / "debs").iterdir()]
        start = time.monotonic()
        subprocess.run(["chroot", root, "/usr/bin/dpkg", "--force-unsafe-io", "--install", *names], check=True,
                       stdout=subprocess.DEVNULL)
        return N_DEBS * N_DEB_FILES / (time.monotonic() - start)


# Beside the kernel's overlayfs; at least twice as fast as fuse-overlayfs is asked for as well.
LAYERED_ROWS = [row.against(0.95 if row.data else 0.4) for row in ROWS if not row.needs and not row.n_threads] + [
    Row("start_shell", "start a shell, cold", 0.4, measure=_start("/bin/sh", "-c", "true")),
    Row("start_python", "start python, cold", 0.4, measure=_start("/usr/bin/python3", "-c", "import json")),
    *[Row(f"walk_{temperature}_{n}", f"walk a root of {n} layer{'s' if n > 1 else ''}, {temperature}", 0.4,
          cold=temperature == "cold", measure=_walk(f"walk_{temperature}", n))
      for temperature in ("cold", "warm") for n in N_LAYERS],
    Row("copy_up", "copy up a big file", 0.95, data=True, prepare=_make_huge, measure=_copy_up),
    Row("dpkg", "install packages", 0.4, prepare=_make_debs, measure=_install),
]
