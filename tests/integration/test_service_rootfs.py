#!/usr/bin/env python3
"""Layered roots through the service: views that last, flat trees with progress, and removals (behaviours D1, D9)."""
import contextlib
import os
import pathlib
import shutil
import signal
import tarfile

from harness import is_mount_point, main, run, run_as, wait_until
from harness.api import ApiError
from test_service import ServiceTest


class RootfsTest(ServiceTest):
    def setUp(self):
        super().setUp()
        self.layers = []
        for name in "base", "app":
            layer = self.source / name
            (layer / "etc").mkdir(parents=True)
            (layer / "etc" / name).write_text(name)
            (layer / "etc" / "shared").write_text(f"of {name}")
            self.layers.append(str(layer))
        (self.source / "base" / "gone").write_text("hidden by the next layer")
        (self.source / "app" / ".wh.gone").touch()

    def make(self, name="web", **options):
        return self.call("POST", "/v1/rootfs", {"id": name, "layers": self.layers, **options})

    def listed(self):
        return {one["id"]: one for one in self.call("GET", "/v1/rootfs")["rootfs"]}

    def remove_rootfs(self, name="web", force=False):
        return self.call("DELETE", f"/v1/rootfs/{name}" + ("?force=true" if force else ""))

    def finish(self, operation):
        while (answer := self.call("GET", f"/v1/operations/{operation}?wait_ms=30000"))["state"] == "running":
            pass
        return answer

    def plan(self, dry_run=True):
        plan = self.call("POST", "/v1/recover", {"dry_run": dry_run})["plan"]
        return {(step["action"], step["name"]) for step in plan if step["what"] == "rootfs"}


class Views(RootfsTest):
    def test_the_first_layer_is_the_lowest(self):
        made = self.make()
        root = pathlib.Path(made["path"])
        self.assertEqual((made["state"], made["kind"], made["layers"]), ("mounted", "view", self.layers))
        self.assertEqual(sorted(os.listdir(root)), ["etc"])
        self.assertEqual((root / "etc/shared").read_text(), "of app")
        self.assertEqual((root / "etc/base").read_text(), "base")
        (root / "etc/base").write_text("changed")
        self.assertEqual((self.source / "base/etc/base").read_text(), "base")
        self.assertEqual((pathlib.Path(made["upper"]) / "etc/base").read_text(), "changed")
        row = [row for row in self.call("GET", "/v1/ls")["rows"] if row["type"] == "rootfs"][0]
        self.assertEqual((row["name"], row["view"], row["state"]), ("web", str(root), "mounted"))
        self.assertEqual(self.remove_rootfs()["path"], str(root))
        self.assertFalse(root.exists())
        self.assertFalse((self.service.state_dir / "rootfs/web").exists())
        self.assertEqual((self.source / "base/etc/base").read_text(), "base")
        self.refused("not-found", self.remove_rootfs)

    def test_users_of_the_host_stay_out(self):
        made = self.make()
        for path in made["path"], made["upper"]:
            with self.assertRaises(PermissionError):
                run_as(1001, os.listdir, path)

    def test_read_only_with_a_gid(self):
        made = self.make(read_only=True, gid=7001, policy="fsgroup")
        self.assertEqual((made["gid"], made["policy"], made["upper"]), (7001, "fsgroup", None))
        self.assertEqual(os.stat(pathlib.Path(made["path"]) / "etc/base").st_gid, 7001)
        with self.assertRaises(OSError):
            (pathlib.Path(made["path"]) / "new").touch()

    def test_a_tar_is_a_layer(self):
        tar = self.directory / "layer.tar"
        with tarfile.open(tar, "w") as archive:
            archive.add(self.source / "app", arcname=".")
        self.layers[1] = str(tar)
        root = pathlib.Path(self.make()["path"])
        self.assertEqual((root / "etc/shared").read_text(), "of app")
        self.assertFalse((root / "gone").exists())
        self.remove_rootfs()
        self.assertFalse((self.service.state_dir / "rootfs/web").exists())
        tar.write_bytes(b"no tar at all")
        with self.assertRaises(ApiError):
            self.make()
        self.assertEqual(self.listed(), {})
        self.assertFalse((self.service.state_dir / "rootfs/web").exists())

    def test_it_survives_the_service_and_a_reboot(self):
        root = pathlib.Path(self.make()["path"])
        (root / "new").write_text("content")
        device = os.stat(root).st_dev
        self.restart(kill=True)
        self.assertEqual((os.stat(root).st_dev, self.listed()["web"]["state"]), (device, "mounted"))
        self.service.stop()
        run(["umount", root])
        self.table("UPDATE rootfs SET boot_id = 'before'")
        self.service.start()
        self.assertEqual(self.listed()["web"]["state"], "mounted")
        self.assertEqual((root / "new").read_text(), "content")

    def test_what_was_begun_is_taken_back(self):
        self.make()
        self.service.kill()
        run(["umount", self.service.run_dir / "rootfs/web"])
        self.table("UPDATE rootfs SET state = 'prepared'")
        self.service.start()
        self.assertEqual(self.listed(), {})
        self.assertFalse((self.service.state_dir / "rootfs/web").exists())

    def test_in_use(self):
        root = pathlib.Path(self.make()["path"])
        with open(root / "etc/base"):
            self.refused("busy", self.remove_rootfs)
            self.assertEqual(self.listed()["web"]["state"], "mounted")
            self.remove_rootfs(force=True)
        self.assertEqual(self.listed(), {})

    def test_drain(self):
        idle, used = (pathlib.Path(self.make(name)["path"]) for name in ("idle", "used"))
        with open(used / "etc/base"):
            answer = self.call("POST", "/v1/drain", {})
        self.assertEqual((answer["unmounted"], [one["name"] for one in answer["left"]]), (["idle"], ["used"]))
        self.assertFalse(is_mount_point(idle))
        self.restart()
        self.assertTrue(is_mount_point(idle))
        self.assertEqual({one["state"] for one in self.listed().values()}, {"mounted"})

    def test_bad_requests(self):
        self.refused("bad-request", self.make, layers=[])
        self.refused("bad-request", self.make, layers=["relative"])
        self.refused("bad-request", self.make, layers=[1])
        self.refused("bad-request", self.make, "../web")
        self.refused("bad-request", self.make, uidmap="nonsense")
        self.refused("bad-request", self.make, policy="shared")
        self.refused("bad-request", self.make, whiteouts="other")
        self.refused("bad-request", self.make, upper=str(self.directory))
        self.refused("not-found", self.make, layers=[str(self.source / "missing")])
        self.assertEqual(self.listed(), {})
        self.make()
        self.refused("exists", self.make)

    def test_the_command_line(self):
        words = [word for layer in self.layers for word in ("--layer", layer)]
        self.service.gidfs("rootfs", "create", "web", *words)
        self.assertIn("web", self.service.gidfs("rootfs", "ls").stdout)
        self.service.gidfs("rootfs", "flatten", *words, self.directory / "flat")
        self.assertEqual((self.directory / "flat/etc/shared").read_text(), "of app")
        self.service.gidfs("rootfs", "rm", "web")
        self.service.gidfs("rootfs", "rm", "flat-flat")
        self.assertFalse((self.directory / "flat").exists())


class Life(RootfsTest):
    """What happens to a view while it is there."""

    def test_an_open_file_goes_on_over_a_restart(self):
        root = pathlib.Path(self.make()["path"])
        self.make("other")
        with open(root / "held", "w", encoding="utf-8") as held:
            for kill in False, True:
                self.restart(kill=kill)
                held.write("still ")
                held.flush()
                self.assertEqual({("adopt", "web"), ("adopt", "other")}, self.plan())
        self.assertEqual("still still ", (root / "held").read_text())

    def test_one_that_was_unmounted_is_mounted_again(self):
        root = pathlib.Path(self.make()["path"])
        (root / "new").write_text("kept")
        run(["umount", root])
        self.assertEqual("missing", self.listed()["web"]["state"])
        self.assertEqual({("mount", "web")}, self.plan(dry_run=False))
        self.assertEqual("kept", (root / "new").read_text())
        self.assertEqual({("adopt", "web")}, self.plan())

    def test_one_that_died_is_mounted_again(self):
        root = pathlib.Path(self.make()["path"])
        (root / "new").write_text("kept")
        keeper = int(run(["pgrep", "-f", "-o", f"gidfs-view .*{root}"]).stdout)
        workers = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        for pid in [keeper, *map(int, workers)]:
            with contextlib.suppress(ProcessLookupError):  # it may end with the keeper
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "the keeper of its view died" in self.service.log(), "the death to be noticed")
        wait_until(lambda: self.listed()["web"]["state"] == "mounted" and
                   run(["cat", root / "new"], check=False).stdout == "kept", "the view to be mounted again")
        self.assertEqual({("adopt", "web")}, self.plan())

    def test_a_container_that_has_it_keeps_it(self):
        root = self.make()["path"]
        self.call("POST", "/v1/containers", {"id": "c", "user": 1, "rootfs": root, "volumes": []})
        error = self.refused("busy", self.remove_rootfs)
        self.assertEqual({"containers": ["c"]}, error.details)
        self.call("DELETE", "/v1/containers/c")
        self.remove_rootfs()

    def test_a_removal_that_fails_is_tried_again(self):
        made = self.make()
        block = pathlib.Path(made["upper"]) / "block"
        block.mkdir()
        run(["mount", "-t", "tmpfs", "block", block])
        self.refused("internal", self.remove_rootfs)
        left = self.listed()["web"]
        self.assertEqual("releasing", left["state"])
        self.assertIn("mounted", left["note"])
        self.assertFalse(is_mount_point(made["path"]))
        self.service.stop()
        run(["umount", block])
        self.service.start()
        self.assertEqual({}, self.listed())
        self.assertFalse(block.parent.exists())

    def test_drained(self):
        root = pathlib.Path(self.make()["path"])
        self.make("free")
        with open(root / "etc/base"):
            drained = self.call("POST", "/v1/drain", {})
            self.assertEqual((["free"], ["web"]), (drained["unmounted"], [one["name"] for one in drained["left"]]))
        self.restart()
        self.assertEqual({("adopt", "web"), ("adopt", "free")}, self.plan())


class Made(RootfsTest):
    """What a view is made of."""

    def test_the_root_is_that_of_the_top_layer(self):
        os.chmod(self.layers[1], 0o2751)
        os.chown(self.layers[1], 1000, 1001)
        root = os.stat(self.make()["path"])
        self.assertEqual((0o42751 & 0o7777, 1000, 1001), (root.st_mode & 0o7777, root.st_uid, root.st_gid))

    def test_sixty_four_layers(self):
        layers = []
        for number in range(64):
            layer = self.source / f"layer-{number:02}-{'x' * 100}"
            layer.mkdir()
            (layer / f"f{number}").touch()
            (layer / "all").write_text(str(number))
            layers.append(str(layer))
        made = self.make(layers=layers)
        self.assertEqual(layers, made["layers"])
        self.assertEqual((65, "63"), (len(os.listdir(made["path"])), pathlib.Path(made["path"], "all").read_text()))

    def test_maps_and_whiteouts(self):
        os.chown(self.source / "app/etc/app", 1000, 1000)
        made = self.make(uidmap="0:1000:10", gidmap="0:1000:10", whiteouts="aufs")
        file = pathlib.Path(made["path"], "etc/app")
        self.assertEqual((0, 0), (file.stat().st_uid, file.stat().st_gid))
        file.unlink()
        self.assertEqual([".wh.app"], os.listdir(pathlib.Path(made["upper"], "etc")))

    def test_its_gid_is_its_own(self):
        self.make(gid=50000)
        self.restart(kill=True)
        gids = self.call("GET", "/v1/gids")
        self.assertEqual((1, [(50000, "web")]), (gids["allocated"], [(one["gid"], one["volume"])
                                                                     for one in gids["holders"]]))
        data = self.source / "data"
        data.mkdir()
        volume = self.call("POST", "/v1/volumes", {"name": "data", "source": str(data)})
        self.assertNotEqual(50000, volume["gid"])
        self.refused("busy", self.make, "second", gid=volume["gid"])
        self.remove_rootfs()
        self.assertEqual(1, self.call("GET", "/v1/gids")["allocated"])

    def test_an_upper_that_was_brought_is_left(self):
        upper, work, other = (self.new_directory(self.source, f"{name}-") for name in ("upper", "work", "other"))
        pathlib.Path(self.make(upper=str(upper), work=str(work))["path"], "new").write_text("new")
        self.refused("busy", self.make, "second", upper=str(upper), work=str(other))
        self.remove_rootfs()
        self.assertEqual("new", (upper / "new").read_text())

    def test_a_layer_around_the_service_is_refused(self):
        self.refused("bad-request", self.make, layers=["/"])
        (self.source / "junk").write_text("no tar")
        self.refused("bad-request", self.make, layers=[str(self.source / "junk")])
        self.assertEqual({}, self.listed())


class Flat(RootfsTest):
    def flatten(self, target, **options):
        return self.call("POST", "/v1/rootfs/flatten", {"layers": self.layers, "target": str(target), **options})

    def test_flatten_and_remove(self):
        target = self.directory / "flat tree"
        begun = self.flatten(target)
        self.assertEqual(begun["id"], "flat-flat-tree")
        ended = self.finish(begun["operation"])
        self.assertEqual((ended["state"], ended["error"]), ("done", None))
        self.assertEqual((ended["result"]["kind"], ended["result"]["path"]), ("flat", str(target)))
        self.assertGreaterEqual(ended["done_entries"], 4)
        self.assertEqual(sorted(os.listdir(target)), ["etc"])
        self.assertEqual((target / "etc/shared").read_text(), "of app")
        self.restart()
        self.assertEqual(self.listed()["flat-flat-tree"]["state"], "mounted")
        self.remove_rootfs("flat-flat-tree")
        self.assertFalse(target.exists())

    def test_a_failure_is_told_and_leaves_nothing(self):
        (self.source / "notar").write_text("no tar")
        self.layers.append(str(self.source / "notar"))
        ended = self.finish(self.flatten(self.directory / "flat", id="flat")["operation"])
        self.assertEqual(ended["state"], "failed")
        self.assertIn("notar", ended["error"]["message"])
        self.assertFalse((self.directory / "flat").exists())
        self.assertEqual(self.listed(), {})

    def test_refusals(self):
        (self.directory / "full").mkdir()
        (self.directory / "full/file").touch()
        self.refused("exists", self.flatten, self.directory / "full")
        self.refused("bad-request", self.flatten, "relative")
        self.refused("not-found", self.call, "GET", "/v1/operations/op-99")

    def test_one_that_was_not_finished_leaves_its_target(self):
        target = self.directory / "flat"
        self.finish(self.flatten(target, id="flat")["operation"])
        self.service.kill()
        self.table("UPDATE rootfs SET state = 'prepared'")
        shutil.rmtree(target)
        target.mkdir()
        (target / "mine").write_text("somebody else's by now")
        hidden = self.directory / ".flat.gidfs-flatten"
        hidden.mkdir()
        self.service.start()
        self.assertEqual({}, self.listed())
        self.assertEqual(["mine"], os.listdir(target))
        self.assertFalse(hidden.exists())

    def test_a_removal_that_fails_is_tried_again(self):
        target = self.directory / "flat"
        self.finish(self.flatten(target, id="flat")["operation"])
        run(["mount", "-t", "tmpfs", "none", target / "etc"])
        with self.assertRaises(ApiError):
            self.remove_rootfs("flat")
        self.assertEqual(self.listed()["flat"]["state"], "releasing")
        run(["umount", target / "etc"])
        self.restart()
        self.assertEqual(self.listed(), {})
        self.assertFalse(target.exists())


if __name__ == "__main__":
    main()
