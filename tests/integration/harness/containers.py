"""Real containers without systemd, network or registry: a tiny root from busybox, and podman with a private store."""
import os
import pathlib
import shutil
import subprocess
import tempfile

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
    """podman with configuration and storage below `directory`. storage_options: lines of [storage.options.overlay]."""

    def __init__(self, directory, storage_options=""):
        self.directory = pathlib.Path(directory)
        run_root = tempfile.mkdtemp(prefix="run-")  # podman wants it below 50 characters
        (self.directory / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nnetns = "none"\n'
            f'log_driver = "k8s-file"\n[engine]\ntmp_dir = "{run_root}/libpod"\ncgroup_manager = "cgroupfs"\n'
            'runtime = "runc"\nevents_logger = "file"\n')
        (self.directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\nrunroot = "{run_root}"\ngraphroot = "{self.directory}/graph"\n'
            f"[storage.options.overlay]\n{storage_options}")
        self.environment = clean_environment(CONTAINERS_CONF=str(self.directory / "containers.conf"),
                                             CONTAINERS_STORAGE_CONF=str(self.directory / "storage.conf"),
                                             TMPDIR=tempfile.gettempdir())

    def __call__(self, *words, check=True, **options):
        return run(["podman", *words], check=check, timeout=90, env=self.environment, **options).stdout.strip()

    def probe(self, image):
        """Why a container of the image can't be run here at all, or None."""
        done = subprocess.run(["podman", "run", "--rm", image, "true"], env=self.environment, check=False,
                              capture_output=True, text=True, timeout=90)
        return None if done.returncode == 0 else done.stderr.strip()

    def discard(self):
        for command in (("rm", "-a", "-f"), ("rmi", "-a", "-f")):
            subprocess.run(["podman", *command], env=self.environment, check=False, capture_output=True, timeout=90)
