#!/usr/bin/env python3
"""Volumes in containers, with real views, roots and namespaces (behaviours C2 to C9, C13)."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys

from harness import binary, is_mount_point, main, mount_entry, run, snapshot, wait_until
from harness.api import ApiError
from test_service import ServiceTest


def entries(path, pid="self"):
    """The lines of a process's mount table at exactly path, the one on top last."""
    lines = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4] == str(path)]


class ContainerTest(ServiceTest):
    def setUp(self):
        super().setUp()
        self.root = self.new_directory(prefix="root-")
        self.addCleanup(self.clear, self.root)

    def clear(self, directory):
        """Takes down what a failed test may have left mounted below a directory."""
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            if line.split()[4].startswith(f"{directory}/"):
                run(["umount", "-l", line.split()[4]], check=False)

    def volume(self, name, **options):
        return self.create(name, self.make_source(name), **options)

    def prepare(self, name, *volumes, rootfs=True, **options):
        if rootfs:
            options["rootfs"] = str(self.root)
        return self.call("POST", "/v1/containers", {"id": name, "volumes": list(volumes), **options})

    def update(self, name, *volumes):
        return self.call("POST", f"/v1/containers/{name}/update", {"volumes": list(volumes)})

    def clean_up(self, name):
        return self.call("DELETE", f"/v1/containers/{name}")

    def container(self, name):
        return self.call("GET", f"/v1/containers/{name}")

    def namespace(self):
        """A process in a mount namespace of its own; private copies of everything."""
        process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec cat"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.communicate)
        process.stdout.readline()
        return process


class Prepare(ContainerTest):
    def test_mounts_and_gids(self):
        self.volume("data")
        (self.source / "new").mkdir()
        before = snapshot(self.source)
        made = self.prepare("web", {"name": "data", "target": "/data"},
                            {"source": str(self.source / "new"), "target": "/deep/er", "read_only": True}, user=1001)
        self.assertEqual((made["state"], made["apply_to"], made["user"]), ("prepared", "process", 1001))
        self.assertEqual(made["supplementary_gids"], [50000, 50001])
        self.assertEqual([mount["target"] for mount in made["mounts"]], ["/data", "/deep/er"])
        self.assertTrue(all(mount["made"] for mount in made["mounts"]))
        data, deeper = mount_entry(self.root / "data"), mount_entry(self.root / "deep" / "er")
        self.assertIn("rw", data["options"])
        self.assertIn("ro", deeper["options"])
        self.assertTrue({"nosuid", "nodev"} <= set(data["options"]))
        self.assertEqual(os.stat(self.root / "deep" / "er").st_gid, 50001)
        self.assertEqual(self.container("web"), made)
        cleaned = self.clean_up("web")
        self.assertEqual(cleaned["unmounted"], ["/deep/er", "/data"])
        self.assertEqual(cleaned["released"], [made["mounts"][1]["volume"]])
        self.assertEqual(list(self.volumes()), ["data"])
        self.assertFalse(is_mount_point(self.root / "data"))
        self.assertEqual(snapshot(self.source), before)

    def test_a_second_prepare_is_an_error(self):
        self.volume("data")
        made = self.prepare("web", {"name": "data", "target": "/data"})
        self.refused("exists", self.prepare, "web", {"name": "data", "target": "/other"})
        self.assertEqual(self.container("web"), made)
        self.assertFalse((self.root / "other").exists())

    def test_root_needs_no_gid(self):
        self.volume("data")
        volume = {"name": "data", "target": "/data"}
        answers = {}
        for name, options in (("root", {"user": 0}), ("task", {"user": 0, "task_user": 1001}),
                              ("root-task", {"user": 0, "task_user": 0}), ("asked", {"user": 0, "root_gids": True}),
                              ("unknown", {}), ("user", {"user": 7})):
            made = self.prepare(name, volume, rootfs=False, **options)
            answers[name] = (made["apply_to"], made["supplementary_gids"])
        self.assertEqual(answers, {"root": ("none", []), "task": ("task", [50000]), "root-task": ("none", []),
                                   "asked": ("process", [50000]), "unknown": ("process", [50000]),
                                   "user": ("process", [50000])})

    def test_without_a_place_the_caller_mounts(self):
        volume = self.volume("data")
        for name in ("a", "b"):  # the same target in two containers
            made = self.prepare(name, {"name": "data", "target": "/data", "read_only": True}, rootfs=False)
            self.assertEqual(made["mounts"], [{"volume": "data", "gid": 50000, "source": volume["view"],
                                               "target": "/data", "read_only": True, "propagation": "private",
                                               "made": False, "note": None}])
        self.assertEqual(self.clean_up("a")["unmounted"], ["/data"])
        self.assertEqual(len(self.container("b")["mounts"]), 1)

    def test_what_is_refused_leaves_nothing(self):
        self.volume("data")
        (self.source / "fresh").mkdir()
        fresh = {"source": str(self.source / "fresh"), "target": "/fresh"}
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        (self.root / "file").write_text("")
        for code, volumes in (
                ("not-found", [fresh, {"name": "none", "target": "/x"}]),
                ("not-found", [fresh, {"source": str(self.source / "none"), "target": "/x"}]),
                ("bad-request", [fresh, {"name": "data", "target": "/fresh/"}]),
                ("bad-request", [fresh, {"name": "data", "target": "/a/../../x"}]),
                ("bad-request", [fresh, {"name": "data", "target": "x"}]),
                ("bad-request", [fresh, {"name": "data", "target": "/"}]),
                ("bad-request", [fresh, {"target": "/x"}]),
                ("bad-request", [fresh, {"name": "data", "target": "/file"}]),
                ("bad-request", [fresh, {"name": "data", "target": "/x", "propagation": "sharde"}])):
            error = self.refused(code, self.prepare, "web", *volumes)
            self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before, error)
            self.assertEqual(list(self.volumes()), ["data"])
            self.refused("not-found", self.container, "web")
        self.assertIn("rslave", error.message)
        self.refused("not-found", self.prepare, "web", fresh, pid=2**22 + 1)
        self.refused("bad-request", self.prepare, "../web", fresh)
        self.refused("not-found", self.prepare, "kid", fresh, parent="none")
        self.assertEqual(self.gids()["allocated"], 1)


class Update(ContainerTest):
    def test_removes_first_and_leaves_the_rest_alone(self):
        for name in ("a", "b", "c"):
            self.volume(name)
        a, b, c = ({"name": name, "target": f"/{name}"} for name in ("a", "b", "c"))
        self.prepare("web", a, b)
        kept = entries(self.root / "a")
        made = self.update("web", a, {**c, "target": "/b"})
        self.assertEqual([(m["volume"], m["target"]) for m in made["mounts"]], [("a", "/a"), ("c", "/b")])
        self.assertEqual(entries(self.root / "a"), kept)
        self.assertEqual(len(entries(self.root / "b")), 1)
        self.assertEqual(os.stat(self.root / "b").st_gid, 50002)
        again = self.update("web", a, {**c, "target": "/b"})
        self.assertEqual(again, made)
        self.assertEqual(self.update("web")["mounts"], [])
        self.assertFalse(is_mount_point(self.root / "a"))

    def test_busy_is_typed_and_changes_nothing(self):
        for name in ("a", "b", "c"):
            self.volume(name)
        self.prepare("web", {"name": "a", "target": "/a"}, {"name": "b", "target": "/b"})
        with open(self.root / "a" / "used", "w", encoding="ascii"):
            error = self.refused("busy", self.update, "web", {"name": "c", "target": "/c"})
            self.assertIn("/a", error.message)
            made = self.container("web")
            self.assertEqual([mount["volume"] for mount in made["mounts"]], ["a", "b"])
            self.assertTrue(all(mount["made"] for mount in made["mounts"]))
            self.assertTrue(is_mount_point(self.root / "a") and is_mount_point(self.root / "b"))
            self.assertFalse(is_mount_point(self.root / "c"))
        self.update("web", {"name": "c", "target": "/c"})
        self.assertFalse(is_mount_point(self.root / "b"))

    def test_a_failing_addition_brings_the_old_mounts_back(self):
        self.volume("a")
        self.volume("b")
        (self.root / "file").write_text("")
        self.prepare("web", {"name": "a", "target": "/a"})
        self.refused("bad-request", self.update, "web", {"name": "b", "target": "/b"},
                     {"name": "b", "target": "/file"})
        self.assertEqual([m["target"] for m in self.container("web")["mounts"]], ["/a"])
        self.assertTrue(is_mount_point(self.root / "a"))
        self.assertFalse(is_mount_point(self.root / "b"))

    def test_a_mount_that_is_gone_is_made_again(self):
        self.volume("a")
        self.prepare("web", {"name": "a", "target": "/a"})
        run(["umount", self.root / "a"])
        self.assertEqual(self.container("web")["mounts"][0]["note"], "unmounted by somebody else")
        self.assertTrue(self.update("web", {"name": "a", "target": "/a"})["mounts"][0]["made"])
        self.assertTrue(is_mount_point(self.root / "a"))

    def test_a_sandbox_volume_goes_with_its_last_mount(self):
        source = self.make_source("fresh")
        self.prepare("web", {"source": str(source), "target": "/a"})
        self.assertEqual(len(self.volumes()), 1)
        self.update("web")
        self.assertEqual(self.volumes(), {})


class Beneath(ContainerTest):
    """A container may put links anywhere in its root; nothing of ours follows one out."""

    def setUp(self):
        super().setUp()
        self.volume("data")
        self.outside = self.new_directory(prefix="outside-")

    def test_links_to_outside(self):
        (self.root / "abs").symlink_to(self.outside)
        (self.root / "up").symlink_to("../../../../../../../../.." + str(self.outside))
        (self.root / "proc").symlink_to("/proc/self/root")
        for target in ("/abs/x", "/up/x", "/abs", "/up", "/proc" + str(self.outside)):
            self.refused("bad-request", self.prepare, "web", {"name": "data", "target": target})
        self.assertEqual(list(self.outside.iterdir()), [])
        self.assertFalse(is_mount_point(self.outside))

    def test_links_inside_are_followed_inside(self):
        (self.root / "run").mkdir()
        (self.root / "var").mkdir()
        (self.root / "var" / "run").symlink_to("/run")
        made = self.prepare("web", {"name": "data", "target": "/var/run/data"})
        self.assertEqual(made["mounts"][0]["target"], "/var/run/data")
        self.assertTrue(is_mount_point(self.root / "run" / "data"))
        kept = entries(self.root / "run" / "data")
        self.update("web", {"name": "data", "target": "/var/run/data"})
        self.assertEqual(entries(self.root / "run" / "data"), kept)
        self.clean_up("web")
        self.assertFalse(is_mount_point(self.root / "run" / "data"))

    def test_a_directory_above_the_mount_is_renamed(self):
        self.prepare("web", {"name": "data", "target": "/a/b"})
        os.rename(self.root / "a", self.root / "moved")
        (self.root / "a").symlink_to(self.outside)
        run(["mount", "-t", "tmpfs", "foreign", self.outside])
        self.addCleanup(run, ["umount", self.outside])
        (self.outside / "b").mkdir()
        run(["mount", "-t", "tmpfs", "foreign", self.outside / "b"])
        self.addCleanup(run, ["umount", self.outside / "b"])
        self.clean_up("web")
        self.assertFalse(is_mount_point(self.root / "moved" / "b"))
        self.assertTrue(is_mount_point(self.outside / "b"))


RACER = """
import ctypes, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
a, b = (name.encode() for name in sys.argv[1:3])
print(flush=True)
while True:
    exchange(-100, a, -100, b, 2)
"""


class Races(ContainerTest):
    """Somebody exchanges a directory with a link to outside all the time; GIDFS_RACE_ROUNDS says for how long."""

    rounds = int(os.environ.get("GIDFS_RACE_ROUNDS", "2000")) // 50

    def setUp(self):
        super().setUp()
        self.outside = self.new_directory(prefix="outside-")
        (self.outside / "canary").write_text("secret")

    def race(self, directory):
        link = directory.with_name("link")
        link.symlink_to(self.outside)
        racer = subprocess.Popen([sys.executable, "-c", RACER, directory, link], stdout=subprocess.PIPE)
        self.addCleanup(racer.stdout.close)
        self.addCleanup(racer.wait)
        self.addCleanup(racer.kill)
        racer.stdout.readline()

    def test_source(self):
        source = self.make_source("swapped")
        self.race(source)
        n_made = 0
        for _ in range(self.rounds):
            try:
                volume = self.create("data", source)
            except ApiError:
                continue
            n_made += 1
            if volume["source"] == str(self.outside):  # a link that the caller named is followed; then it is the source
                self.assertTrue((pathlib.Path(volume["view"]) / "canary").exists())
            else:
                self.assertEqual(os.listdir(volume["view"]), [], f"{volume['source']} shows the outside")
            self.remove("data", force=True)
        self.assertGreater(n_made, 0)

    def test_target(self):
        self.volume("data")
        way = self.root / "way"
        way.mkdir()
        self.race(way)
        n_made = 0
        for _ in range(self.rounds):
            try:
                self.prepare("web", {"name": "data", "target": "/way/in"})
            except ApiError as error:
                self.assertIn(error.code, ("bad-request", "not-found", "internal"))
                continue
            n_made += 1
            self.clean_up("web")
        self.assertGreater(n_made, 0)
        self.assertEqual(os.listdir(self.outside), ["canary"])
        inside = pathlib.Path("/proc/self/mountinfo").read_text()
        self.assertNotIn(str(self.outside), inside)
        self.assertNotIn(f"{self.root}/", inside)


class Namespaces(ContainerTest):
    def test_mounts_by_pid(self):
        self.volume("data")
        process = self.namespace()
        made = self.prepare("web", {"name": "data", "target": str(self.root), "read_only": True}, rootfs=False,
                            pid=process.pid)
        self.assertTrue(made["mounts"][0]["made"])
        self.assertFalse(is_mount_point(self.root))
        self.assertIn("ro,", entries(self.root, process.pid)[0])
        self.clean_up("web")
        self.assertEqual(entries(self.root, process.pid), [])

    def test_a_container_that_ended_is_cleaned_up(self):
        self.volume("data")
        process = self.namespace()
        self.prepare("web", {"name": "data", "target": str(self.root)}, rootfs=False, pid=process.pid)
        process.communicate()
        self.assertTrue(self.clean_up("web")["known"])
        self.assertEqual(self.remove("data")["name"], "data")

    def test_a_namespace_that_outlives_its_process(self):
        """The process that was named has ended, another one still is in its namespace."""
        self.volume("data")
        first = self.namespace()
        enter = ["nsenter", "--target", str(first.pid), "--mount", "sh", "-c", "echo; exec cat"]
        second = subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(second.stdout.close)
        self.addCleanup(second.communicate)
        second.stdout.readline()
        self.prepare("web", {"name": "data", "target": str(self.root)}, rootfs=False, pid=first.pid)
        first.communicate()
        self.restart(kill=True)
        self.assertEqual(len(entries(self.root, second.pid)), 1)
        self.assertEqual(self.container("web")["mounts"][0]["note"], None)
        self.clean_up("web")
        self.assertEqual(entries(self.root, second.pid), [])

    def test_restart_in_a_new_process(self):
        self.volume("data")
        first, second = self.namespace(), self.namespace()
        self.prepare("web", {"name": "data", "target": str(self.root)}, rootfs=False, pid=first.pid, user=5)
        made = self.call("POST", "/v1/containers/web/restart", {"pid": second.pid, "user": 0})
        self.assertEqual((made["pid"], made["apply_to"]), (second.pid, "none"))
        self.assertEqual(entries(self.root, first.pid), [])
        self.assertEqual(len(entries(self.root, second.pid)), 1)

    def test_propagation(self):
        self.volume("data")
        words = {"private": (False, False), "shared": (True, False), "rshared": (True, False),
                 "slave": (False, True), "rprivate": (False, False)}
        for word, (shared, slave) in words.items():
            made = self.prepare("web", {"name": "data", "target": "/data", "propagation": word})
            self.assertEqual(made["mounts"][0]["propagation"], word)
            fields = entries(self.root / "data")[0].split(" - ")[0].split()[6:]
            self.assertEqual(any(field.startswith("shared:") for field in fields), shared, word)
            self.assertEqual(any(field.startswith("master:") for field in fields), slave, word)
            self.clean_up("web")


class Cleanup(ContainerTest):
    def test_unknown_is_no_error(self):
        self.assertEqual(self.clean_up("none"), {"id": "none", "known": False, "unmounted": [], "released": []})

    def test_refuses_while_children_are_left(self):
        self.prepare("top", rootfs=False)
        self.prepare("kid", rootfs=False, parent="top")
        self.assertEqual(self.refused("not-empty", self.clean_up, "top").details, {"children": ["kid"]})
        self.clean_up("kid")
        self.clean_up("top")

    def test_detaches_what_is_in_use(self):
        self.volume("data")
        self.prepare("web", {"name": "data", "target": "/data"})
        with open(self.root / "data" / "file", "w", encoding="ascii") as file:
            self.clean_up("web")
            file.write("still open")
        self.assertEqual((self.source / "data" / "file").read_text(), "still open")
        self.assertFalse(is_mount_point(self.root / "data"))

    def test_collects_every_failure_and_can_be_repeated(self):
        """MESOS-7366: what could not be unmounted is not forgotten, and its data is not deleted."""
        for name in ("a", "b", "c"):
            self.volume(name)
        (self.source / "b" / "kept").write_text("data")
        self.prepare("web", *({"name": name, "target": f"/{name}"} for name in ("a", "b", "c")))
        for name in ("a", "b"):  # covered by a mount of somebody else, which is not ours to take down
            run(["mount", "-t", "tmpfs", "foreign", self.root / name])
        error = self.refused("busy", self.clean_up, "web")
        self.assertEqual([failure["target"] for failure in error.details["errors"]], ["/b", "/a"])
        self.assertEqual(self.container("web")["state"], "cleaning")
        self.assertFalse(is_mount_point(self.root / "c"))
        for name in ("a", "b"):
            self.assertEqual(mount_entry(self.root / name)["source"], "foreign")
            run(["umount", self.root / name])
        self.assertEqual(self.clean_up("web")["unmounted"], ["/b", "/a"])
        self.assertEqual((self.source / "b" / "kept").read_text(), "data")
        self.refused("not-found", self.container, "web")

    def test_what_attach_made_for_a_container_goes_too(self):
        self.volume("data")
        target = self.new_directory()
        self.attach("data", target, container="loose")
        self.assertEqual(self.clean_up("loose")["unmounted"], [str(target)])
        self.assertFalse(is_mount_point(target))


class Removed(ContainerTest):
    def test_a_removed_rootfs_is_noticed(self):
        """From another mount namespace a directory can be removed although something is mounted on it here."""
        self.volume("data")
        self.prepare("web", {"name": "data", "target": "/data"},
                     {"source": str(self.make_source("fresh")), "target": "/fresh"})
        self.assertEqual(len(self.volumes()), 2)
        script = 'umount "$0/data" "$0/fresh" && rm -rf "$0"'
        run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.root])
        wait_until(lambda: not self.call("GET", "/v1/containers")["containers"], "the end of the container")
        self.assertEqual(list(self.volumes()), ["data"])
        self.assertTrue((self.source / "fresh").is_dir())


class Many(ContainerTest):
    """Containers that start and end at the same time, with volumes of their own and shared ones."""

    ranges = "50000-50999"
    n_containers = int(os.environ.get("GIDFS_MANY_CONTAINERS", "48"))

    def one_life(self, number):
        root = self.directory / f"root{number}"
        root.mkdir()
        name, shared = f"c{number}", {"name": f"shared{number % 3}", "target": "/shared"}
        own = {"source": str(self.source / f"own{number}"), "target": "/own"}
        made = self.call("POST", "/v1/containers", {"id": name, "rootfs": str(root), "volumes": [shared, own]})
        assert all(mount["made"] for mount in made["mounts"]), made
        made = self.update(name, own, {**shared, "read_only": True})
        assert [mount["target"] for mount in made["mounts"]] == ["/own", "/shared"], made
        return self.clean_up(name)

    def test_at_once(self):
        for number in range(3):
            self.volume(f"shared{number}")
        for number in range(self.n_containers):
            self.make_source(f"own{number}")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            ends = list(pool.map(self.one_life, range(self.n_containers)))
        self.assertEqual({len(end["unmounted"]) for end in ends}, {2})
        self.assertEqual({len(end["released"]) for end in ends}, {1})
        self.assertEqual(sorted(self.volumes()), ["shared0", "shared1", "shared2"])
        self.assertEqual(self.call("GET", "/v1/containers")["containers"], [])
        self.assertEqual(self.gids()["allocated"], 3)
        self.assertNotIn(f"{self.directory}/root", pathlib.Path("/proc/self/mountinfo").read_text())

    def test_one_id_at_once(self):
        """One of many callers wins, the others are told that it exists."""
        self.volume("data")

        def prepare(number):
            try:
                self.prepare("web", {"name": "data", "target": f"/t{number}"})
                return "made"
            except ApiError as error:
                return error.code

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(prepare, range(8)))
        self.assertEqual(answers, ["exists"] * 7 + ["made"])
        self.assertEqual(len(self.container("web")["mounts"]), 1)

    def test_verbs_on_one_container_at_once(self):
        """They wait for each other: what is there in the end is what one of them asked for, whole."""
        for name in ("a", "b", "c"):
            self.volume(name)
        self.prepare("web")
        lists = [[{"name": name, "target": f"/{target}"} for name, target in zip("abc", targets)]
                 for targets in ("xyz", "yzx", "zxy", "xzy")]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: self.update("web", *lists[number % 4]), range(24)))
        found = sorted((mount["volume"], mount["target"]) for mount in self.container("web")["mounts"])
        self.assertIn(found, [sorted((one["name"], one["target"]) for one in wanted) for wanted in lists])
        for _, target in found:
            self.assertEqual(len(entries(self.root / target[1:])), 1)


class Exclusive(ContainerTest):
    def test_one_container_at_a_time(self):
        self.volume("data", exclusive=True)
        volume = {"name": "data", "target": "/data"}
        self.prepare("one", volume)
        error = self.refused("busy", self.prepare, "two", {**volume, "target": "/other"})
        self.assertIn("one", error.message)
        self.refused("not-found", self.container, "two")
        self.update("one", volume)
        self.clean_up("one")
        self.prepare("two", volume)

    def test_shared_is_counted(self):
        self.volume("data")
        for name in ("one", "two"):
            self.prepare(name, {"name": "data", "target": f"/{name}"})
        self.assertEqual(self.volumes()["data"]["attachments"], 2)
        self.clean_up("one")
        self.refused("busy", self.remove, "data")
        self.assertTrue(is_mount_point(self.root / "two"))


class Oci(ContainerTest):
    def test_parts_of_a_configuration(self):
        self.volume("data")
        self.prepare("web", {"name": "data", "target": "/data", "read_only": True}, rootfs=False)
        parts = self.call("GET", "/v1/containers/web/oci")
        self.assertEqual(parts["process"], {"user": {"additionalGids": [50000]}})
        places = [mount["destination"] for mount in parts["mounts"]]
        self.assertEqual(places[0], "/proc")
        self.assertEqual(places[-1], "/data")
        self.assertIn("ro", parts["mounts"][-1]["options"])
        devpts = parts["mounts"][places.index("/dev/pts")]
        self.assertIn("gid=5", devpts["options"])
        self.assertIn("/proc/kcore", parts["linux"]["maskedPaths"])
        self.assertIn({"path": "/dev/fd", "target": "/proc/self/fd"}, parts["links"])
        shared = self.call("GET", "/v1/containers/web/oci?host_pid=true")
        self.assertEqual(shared["linux"]["maskedPaths"], [])


class Recover(ContainerTest):
    def plan(self, live=None, dry_run=False):
        body = {"dry_run": dry_run} if live is None else {"dry_run": dry_run, "live": live}
        steps = self.call("POST", "/v1/recover", body)["plan"]
        self.assertEqual([step for step in steps if step["error"]], [])
        return [(step["action"], step["what"], step["name"]) for step in steps]

    def assert_nothing_to_do(self, live=None):
        self.assertEqual([step for step in self.plan(live) if step[0] not in ("adopt", "leave")], [])

    def setUp(self):
        super().setUp()
        self.volume("data")
        self.prepare("web", {"name": "data", "target": "/data"},
                     {"source": str(self.make_source("fresh")), "target": "/fresh"})
        self.foreign = self.new_directory()
        run(["mount", "-t", "tmpfs", "foreign", self.foreign])
        self.addCleanup(run, ["umount", self.foreign])

    def test_after_a_kill_everything_is_adopted(self):
        before = [entries(self.root / name) for name in ("data", "fresh")]
        self.restart(kill=True)
        self.assertEqual([entries(self.root / name) for name in ("data", "fresh")], before)
        self.assertEqual(self.container("web")["state"], "prepared")
        self.assert_nothing_to_do()

    def test_dead_containers_are_cleaned_up_and_living_ones_left(self):
        self.prepare("db", {"name": "data", "target": "/db"})
        self.assertIn(("cleanup", "container", "web"), self.plan(["db"], dry_run=True))
        self.assertTrue(is_mount_point(self.root / "data"))
        self.plan(["db"])
        self.assertFalse(is_mount_point(self.root / "data"))
        self.assertTrue(is_mount_point(self.root / "db"))
        self.assertEqual(list(self.volumes()), ["data"])
        self.assertTrue(is_mount_point(self.foreign))
        self.assert_nothing_to_do(["db"])

    def test_without_ids_containers_are_left(self):
        self.assertEqual([step for step in self.plan() if step[1] == "container"], [("leave", "container", "web")])
        self.assertTrue(is_mount_point(self.root / "data"))

    def test_a_dead_view_is_mounted_again_below_its_containers(self):
        keeper = self.volumes()["data"]["keeper_pid"]
        self.service.stop()
        workers = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        for pid in [keeper, *map(int, workers)]:
            os.kill(pid, signal.SIGKILL)
        self.service.start()

        def is_served():
            try:
                return os.stat(self.root / "data").st_gid == 50000
            except OSError:
                return False

        wait_until(is_served, "the view to be served again")  # the killed may end only after the service looked
        (self.root / "data" / "works").write_text("again")
        self.assertEqual((self.source / "data" / "works").read_text(), "again")
        self.assertEqual(len(entries(self.root / "data")), 1)
        self.assert_nothing_to_do()

    def test_a_removed_rootfs_ends_its_container(self):
        self.service.stop()
        self.clear(self.root)
        run(["rm", "-rf", self.root])
        self.service.start()
        self.refused("not-found", self.container, "web")
        self.assertEqual(list(self.volumes()), ["data"])
        self.assert_nothing_to_do()

    def test_an_orphan_view_goes_and_a_foreign_one_stays(self):
        orphan, other = self.service.run_dir / "views" / "orphan", self.new_directory()
        orphan.mkdir()
        self.view(mount_point=orphan)
        self.view(mount_point=other)
        self.assertIn(("unmount", "mount", None), self.plan())
        self.assertFalse(is_mount_point(orphan))
        self.assertTrue(is_mount_point(other))
        self.assert_nothing_to_do()


class Descriptors(ContainerTest):
    def test_no_child_inherits_what_it_should_not(self):
        """The table, its lock and the sockets of the service stay in the service."""
        self.volume("data")
        keeper = self.volumes()["data"]["keeper_pid"]
        workers = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        private = (str(self.service.state_dir), "gidfs.sock")
        for pid in [str(keeper), *workers]:
            for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                leads_to = os.readlink(descriptor)
                self.assertFalse(any(part in leads_to for part in private), f"{pid}: {leads_to}")

    def wrap(self, name, directory):
        """A program in the place of another: writes down what is open when it starts, and becomes the other."""
        wrapper = directory / name
        wrapper.write_text(f'#!/bin/sh\n(exec ls -l /proc/$$/fd >>{wrapper}.log)\nexec {binary(name)} "$@"\n')
        wrapper.chmod(0o755)
        return f"{name.upper().replace('-', '_')}_PROGRAM", str(wrapper)

    def test_each_program_starts_with_what_it_needs(self):
        names = "gidfs-view", "gidfs-nsmount", "gidfs-check", "gidfs-rootfs"
        directory = self.new_directory(prefix="wrapped-")
        self.service.stop()
        self.service.environment = dict(self.wrap(name, directory) for name in names)
        self.service.start()
        self.volume("data")
        self.attach("data", self.new_directory(), pid=self.namespace().pid)
        self.call("GET", "/v1/check")
        self.service.gidfs("rootfs", "flatten", "--layer", self.make_source("layer"), self.root / "flat")
        found = {}
        for name in names:
            links = [line.partition(" -> ") for line in (directory / f"{name}.log").read_text().splitlines()]
            found[name] = {int(left.split()[-1]) for left, arrow, leads_to in links
                           if arrow and leads_to != str(directory / name)}  # the shell has its script open
        few = {0, 1, 2}
        self.assertEqual(found, dict.fromkeys(names, few) | {"gidfs-nsmount": few | {3, 4}})


if __name__ == "__main__":
    main()
