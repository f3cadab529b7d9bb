#!/usr/bin/env python3
"""The service is killed between any two steps of a verb, and started again (behaviours A6, C3, C4, C7, C8).

Each verb is run again and again; the N-th run is killed at the N-th fault point, until a run is not killed at all. What
is found after each kill and a new start must be the state before the verb or the one after it, whole: rows, mounts and
gids agree, no mount of others was touched, and there is nothing left to recover.
"""
import http.client
import os
import pathlib
import re
import subprocess

from harness import binary, is_mount_point, main, run, skip_file
from harness.api import ApiError
from test_containers import ContainerTest

FAULT_PREFIXES = ("container-", "attach-", "detach-", "volume-", "view-")


def has_fault_points():
    environment = dict(os.environ, GIDFS_FAULT="nsmount-start")
    probe = [binary("gidfs-nsmount"), "attach", "/", "must-exist"]
    return subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 137


class FaultTest(ContainerTest):
    by_pid = False

    def setUp(self):
        super().setUp()
        self.foreign = self.new_directory()
        run(["mount", "-t", "tmpfs", "foreign", self.foreign])
        self.addCleanup(run, ["umount", self.foreign])
        self.process = self.namespace() if self.by_pid else None
        for name in ("a", "b", "fresh"):
            self.make_source(name)
        self.create("a", self.source / "a")
        self.create("b", self.source / "b")

    # What a container is made of, and where its mounts are to be seen.
    def place(self):
        return {"rootfs": False, "pid": self.process.pid} if self.by_pid else {}

    def at(self, name):
        """The target of a mount as the API takes it."""
        if not self.by_pid:
            return f"/{name}"
        (self.root / name).mkdir(exist_ok=True)
        return f"{self.root}/{name}"

    def named(self, volume, target, **options):
        return {"name": volume, "target": self.at(target), **options}

    def fresh(self, target):
        return {"source": str(self.source / "fresh"), "target": self.at(target)}

    def mounts(self):
        """What is mounted in the container, each as often as it is."""
        pid = self.process.pid if self.by_pid else "self"
        found = []
        for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
            fields, (_, source, _) = line.split(" - ")[0].split(), line.split(" - ")[1].split(" ", 2)
            if fields[4].startswith(f"{self.root}/"):
                found.append((fields[4][len(str(self.root)):], pathlib.Path(source).name, fields[5].split(",")[0]))
        return sorted(found)

    def observe(self):
        """The whole state, but for what may differ: the numbers of gids and the made-up names of sandbox volumes."""
        containers = []
        for container in self.call("GET", "/v1/containers")["containers"]:
            mounts = [(m["volume"], m["target"], m["read_only"], m["made"]) for m in container["mounts"]]
            containers.append((container["id"], container["state"], mounts))
        volumes = sorted((v["name"], v["source"], v["state"], v["attachments"]) for v in self.volumes().values())
        text = repr((containers, volumes, self.mounts()))
        return re.sub(r"'sb-[0-9a-f]+'", "'sb'", text)

    def check_whole(self):
        gids = self.gids()
        held = [holder["gid"] for holder in gids["holders"]]
        self.assertEqual(len(held), len(set(held)), gids)
        self.assertEqual(gids["allocated"], len(self.volumes()), gids)
        self.assertEqual(gids["total"], gids["free"] + gids["allocated"] + gids["quarantined"], gids)
        self.assertTrue(is_mount_point(self.foreign))
        for volume in self.volumes().values():
            self.assertTrue(is_mount_point(volume["view"]), volume)
        views = self.service.run_dir / "views"
        self.assertEqual(sorted(os.listdir(views)), sorted(self.volumes()))
        attached = self.call("GET", "/v1/attachments")["attachments"]
        self.assertEqual({one["state"] for one in attached} - {"mounted"}, set())
        self.assertEqual(len(self.mounts()), len(attached), self.mounts())
        plan = self.call("POST", "/v1/recover", {"dry_run": True})["plan"]
        self.assertEqual([step for step in plan if step["action"] not in ("adopt", "leave")], [])

    def run_killed(self, verb, fault):
        """Runs the verb in a service with that fault point; whether it was killed by it."""
        self.service.stop()
        self.service.environment = {"GIDFS_FAULT": f"gidfsd/{fault}"}
        self.service.start()
        self.service.environment = {}
        try:
            verb()
            return False
        except (OSError, http.client.HTTPException):
            self.assertEqual(self.service.process.wait(30), 137, self.service.log())
            return True
        except ApiError as error:
            raise AssertionError(f"{fault}: {error}\n{self.service.log()}") from error

    def check_verb(self, begin, verb, end):
        """begin makes the state before, end takes everything away again."""
        n_kills = 0
        found = {}
        for prefix in FAULT_PREFIXES:
            n = 0
            while True:
                n += 1
                begin()
                before = self.observe()
                killed = self.run_killed(verb, f"{prefix}*:{n}")
                if killed:
                    self.service.start()
                found[f"{prefix}*:{n}"] = self.observe()
                after = found[f"{prefix}*:{n}"]
                self.check_whole()
                self.service.stop()
                self.service.start()
                end()
                if not killed:
                    break
                n_kills += 1
        self.assertGreater(n_kills, 0, "no fault point was met")
        for fault, state in found.items():
            self.assertIn(state, (before, after), f"after {fault}:\n{state}\nis neither\n{before}\nnor\n{after}")
        return n_kills

    def nothing(self):
        pass

    def end_container(self):
        self.clean_up("web")
        self.assertEqual(self.mounts(), [])
        self.assertEqual(sorted(self.volumes()), ["a", "b"])

    def prepare_two(self):
        self.prepare("web", self.named("a", "one"), self.fresh("two"), **self.place())

    def test_prepare(self):
        self.assertGreater(self.check_verb(self.nothing, self.prepare_two, self.end_container), 8)

    def test_update(self):
        def update():
            self.update("web", self.named("b", "one"), self.named("a", "three", read_only=True))

        self.assertGreater(self.check_verb(self.prepare_two, update, self.end_container), 6)

    def test_update_adds_a_sandbox(self):
        def begin():
            self.prepare("web", self.named("a", "one"), **self.place())

        self.check_verb(begin, lambda: self.update("web", self.named("a", "one"), self.fresh("two")),
                        self.end_container)

    def test_restart(self):
        self.check_verb(self.prepare_two, lambda: self.call("POST", "/v1/containers/web/restart", {}),
                        self.end_container)

    def test_cleanup(self):
        self.assertGreater(self.check_verb(self.prepare_two, lambda: self.clean_up("web"), self.end_container), 6)


class FaultTestByPid(FaultTest):
    by_pid = True


class VolumeFaults(FaultTest):
    test_prepare = test_update = test_update_adds_a_sandbox = test_restart = test_cleanup = None

    def end_volume(self):
        if "c" in self.volumes():
            self.remove("c", force=True)

    def create_c(self):
        self.create("c", self.source / "fresh")

    def test_create(self):
        self.check_verb(self.nothing, self.create_c, self.end_volume)

    def test_remove(self):
        self.check_verb(self.create_c, lambda: self.remove("c"), self.end_volume)

    def test_attach(self):
        target = self.root / "t"
        target.mkdir()

        def end():
            if is_mount_point(target):
                self.detach(target)

        self.check_verb(self.nothing, lambda: self.attach("a", target), end)

    def test_detach(self):
        target = self.root / "t"
        target.mkdir()

        def end():
            if is_mount_point(target):
                self.detach(target)

        self.check_verb(lambda: self.attach("a", target), lambda: self.detach(target), end)


if __name__ == "__main__":
    if not has_fault_points():
        skip_file("this build has no fault points (-DGIDFS_FAULTS=ON)")
    main()
