"""Real containers without systemd, network or registry: a tiny root from busybox, and podman with a private store."""
import os
import pathlib
import shutil
import tempfile

from .identity import become
from .tools import clean_environment, run

DIRECTORIES = ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "home/alice",
               "mnt", "data", "var/tmp")


def make_root(path):
    """The root of a container: busybox, root and alice (1001)."""
    root = pathlib.Path(path)
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    busybox = root / "bin" / "busybox"
    shutil.copy(shutil.which("busybox"), busybox)
    for applet in run([busybox, "--list"]).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    (root / "root").chmod(0o700)
    os.chown(root / "home" / "alice", 1001, 1001)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nalice:x:1001:\n")
    for name in ("resolv.conf", "hosts", "machine-id"):
        (root / "etc" / name).touch()
    return root


class Podman:
    """podman with configuration and storage below `directory`. storage_options: lines of [storage.options.overlay].
    uid: of the ordinary user who runs it, instead of root."""

    def __init__(self, directory, storage_options="", uid=0):
        self.directory = pathlib.Path(directory)
        self.uid = uid
        run_root = tempfile.mkdtemp(prefix="run-")  # podman wants it below 50 characters
        home = tempfile.mkdtemp(prefix="home-")
        for path in (self.directory, run_root, home):
            os.chown(path, uid, uid)
        (self.directory / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nnetns = "none"\n'
            f'log_driver = "k8s-file"\n[engine]\ntmp_dir = "{run_root}/libpod"\ncgroup_manager = "cgroupfs"\n'
            'runtime = "runc"\nevents_logger = "file"\n')
        (self.directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\nrunroot = "{run_root}"\ngraphroot = "{self.directory}/graph"\n'
            f"[storage.options.overlay]\n{storage_options}")
        self.environment = clean_environment(CONTAINERS_CONF=str(self.directory / "containers.conf"),
                                             CONTAINERS_STORAGE_CONF=str(self.directory / "storage.conf"),
                                             TMPDIR=home, HOME=home, XDG_RUNTIME_DIR=run_root)
        self.options = {"env": self.environment, "timeout": 90, "preexec_fn": lambda: become(uid), "cwd": home}

    def __call__(self, *words, check=True, **options):
        return run(["podman", *words], check=check, **{**self.options, **options}).stdout.strip()

    def probe(self, image):
        """Why a container of the image can't be run here at all, or None."""
        done = run(["podman", "run", "--rm", image, "true"], check=False, **self.options)
        return None if done.returncode == 0 else done.stderr.strip()

    def discard(self):
        for command in (("rm", "-a", "-f"), ("rmi", "-a", "-f")):
            run(["podman", *command], check=False, **self.options)


def add_user(directory, name, uid):
    """Adds a user who has subordinate ids, in this mount namespace alone: `directory` is where to keep the files."""
    lines = {"passwd": f"{name}:x:{uid}:{uid}::/:/bin/sh\n", "group": f"{name}:x:{uid}:\n",
             "subuid": f"{name}:500000:65536\n", "subgid": f"{name}:500000:65536\n"}
    for file, line in lines.items():
        known, changed = pathlib.Path("/etc") / file, pathlib.Path(directory) / file
        changed.write_text((known.read_text() if known.exists() and "sub" not in file else "") + line)
        run(["mount", "--bind", changed, known])
