"""Everything at once for a while: loads on views, attachments and containers that come and go, changes behind views,
workers and the service killed at random. Then nothing may be lost, different or left over.

GIDFS_SOAK_SECONDS says for how long (scripts/soak: hours); GIDFS_TEST_SEED repeats a course as far as chance allows."""
import collections
import os
import pathlib
import random
import shutil
import time

from harness import MountTest, Service, entries, is_mount_point, loads, main, mount_entry, snapshot, wait_until
from harness.control import Control

SECONDS = float(os.environ.get("GIDFS_SOAK_SECONDS", "20"))
SEED = int(os.environ.get("GIDFS_TEST_SEED", random.randrange(1 << 30)))
N_VOLUMES = 3
MEMORY_LIMIT_KIB = 64 * 1024
FD_LIMIT = 4096


class Volume:
    def __init__(self, name, source, view):
        self.name, self.source, self.view = name, source, view
        self.load = self.calm = self.tree = self.reference = None


class Soak(MountTest):
    size_mib = 2048

    def setUp(self):
        super().setUp()
        print(f"seed {SEED}, {SECONDS:.0f} s", flush=True)
        self.draw = random.Random(SEED)
        self.done = collections.Counter()
        self.service = Service("--gid-range", "50000-50099").start()
        self.addCleanup(self.service.discard)
        self.volumes = [self.make_volume(f"v{number}") for number in range(N_VOLUMES)]

    def make_volume(self, name):
        source = self.source / name
        source.mkdir()
        (source / "behind").mkdir()
        _, _, view = self.service.gidfs("volume", "create", name, source).stdout.split()
        return Volume(name, source, pathlib.Path(view))

    def test_all_at_once(self):
        until = time.monotonic() + SECONDS
        turn = 0
        while time.monotonic() < until or turn == 0:
            for volume in self.volumes:
                self.start_load(volume, turn)
            while not all([volume.load.has_ended() for volume in self.volumes]):
                self.draw.choice(self.EVENTS)(self)
                time.sleep(self.draw.uniform(0, 0.05))  # when things happen is chance; nothing is waited for
            for volume in self.volumes:
                self.compare(volume)
            turn += 1
        print(dict(self.done, turns=turn), flush=True)
        self.check_nothing_is_left()

    def start_load(self, volume, turn):
        function = self.draw.choice(loads.ALL)
        volume.tree, volume.reference = volume.view / f"tree-{turn}", self.source / f"{volume.name}-calm-{turn}"
        volume.calm = loads.Load(function, volume.reference, 40)
        volume.load = loads.Load(function, volume.tree, 40)
        self.done[f"load {function.__name__}"] += 1

    def compare(self, volume):
        wait_until(volume.calm.has_ended, "the load that nobody disturbs", timeout=60)
        disk = volume.source / volume.tree.name
        expected, found = snapshot(volume.reference, times=False), snapshot(disk, times=False)
        self.assertEqual(expected, found, f"{volume.name}: the disk is not as it should be")
        self.assertEqual([path.relative_to(disk) for path in entries(disk)],
                         [path.relative_to(volume.tree) for path in entries(volume.tree)])
        shutil.rmtree(volume.tree)
        shutil.rmtree(volume.reference)
        self.assertFalse(disk.exists())

    # What happens meanwhile.

    def kill_a_worker(self):
        sockets = sorted((self.service.run_dir / "control").glob("*.sock"))
        try:
            Control(self.draw.choice(sockets)).kill_worker()
            self.done["workers killed"] += 1
        except ProcessLookupError:
            pass  # it has just been replaced

    def kill_the_service(self):
        if self.draw.random() < 0.2:
            self.service.kill() if self.draw.random() < 0.5 else self.service.stop()
            self.service.start()
            self.done["services ended"] += 1

    def attach_and_detach(self):
        volume, target = self.draw.choice(self.volumes), self.new_directory()
        (volume.source / "behind" / "seen").write_text(volume.name)
        self.service.gidfs("attach", volume.name, target)
        self.assertEqual(volume.name, (target / "behind" / "seen").read_text())
        self.service.gidfs("detach", target)
        self.assertFalse(is_mount_point(target))
        self.done["attachments"] += 1

    def run_a_container(self):
        root = self.new_directory()
        name = f"c{self.done['containers']}"
        words = [part for volume in self.volumes for part in ("--volume", f"{volume.name}:/{volume.name}")]
        for volume in self.volumes:
            (root / volume.name).mkdir()
        self.service.gidfs("container", "prepare", name, "--rootfs", root, *words)
        self.assertIsNotNone(mount_entry(root / self.volumes[0].name))
        self.service.gidfs("container", "cleanup", name)
        self.assertEqual([False] * N_VOLUMES, [is_mount_point(root / volume.name) for volume in self.volumes])
        self.done["containers"] += 1

    def change_behind(self):
        volume = self.draw.choice(self.volumes)
        name = f"n{self.draw.randrange(5)}"
        path, shown = volume.source / "behind" / name, volume.view / "behind" / name
        if path.exists():
            os.unlink(path)
            wait_until(lambda: not shown.exists(), "a file removed behind the view is gone", timeout=10)
        else:
            path.write_text(str(self.done))
            wait_until(lambda: shown.exists() and shown.read_text() == path.read_text(),
                       "a file made behind the view is there", timeout=10)
        self.done["changes behind"] += 1

    EVENTS = (kill_a_worker, kill_a_worker, kill_the_service, attach_and_detach, run_a_container, change_behind,
              change_behind)

    # The end.

    def check_nothing_is_left(self):
        for process, fields in view_processes().items():
            self.assertLess(fields["fds"], FD_LIMIT, f"process {process} leaks descriptors")
            self.assertLess(fields["private_kib"], MEMORY_LIMIT_KIB, f"process {process} leaks memory")
        self.assertEqual(N_VOLUMES, self.service.json("gids")["allocated"])
        for volume in self.volumes:
            self.service.gidfs("volume", "rm", volume.name)
        self.assertEqual(0, self.service.json("gids")["allocated"])
        wait_until(lambda: not view_processes(), "the views' processes end")
        self.assertNotIn("fuse.gidfs", pathlib.Path("/proc/self/mountinfo").read_text())
        wait_until(lambda: not _left(self.service.run_dir / "control"), "the control sockets go")
        self.assertEqual(0, self.service.stop())


def view_processes():
    """Descriptors and private memory of every process of a view, by pid."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            if name not in ("gidfs-view", "gidfs-worker") or (process / "stat").read_text().split(") ")[1][0] == "Z":
                continue
            lines = dict(line.split(":", 1) for line in (process / "smaps_rollup").read_text().splitlines()[1:])
            private = sum(int(lines[key].split()[0]) for key in ("Private_Clean", "Private_Dirty"))
            found[process.name] = {"fds": len(os.listdir(process / "fd")), "private_kib": private}
        except (OSError, IndexError):
            continue
    return found


def _left(folder):
    return sorted(folder.glob("*.sock")) if folder.is_dir() else []


if __name__ == "__main__":
    main()
