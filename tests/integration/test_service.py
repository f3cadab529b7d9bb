#!/usr/bin/env python3
"""The service with real views: what survives and what is refused (behaviours A1 to A12, C10 to C12)."""
import os
import pathlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import threading

from harness import Actor, MountTest, Service, binary, is_mount_point, main, mount_entry, run, snapshot, wait_until
from harness.api import ApiError

class ServiceTest(MountTest):
    """self.service runs on self.ranges with directories of its own; self.sources is where volumes' sources go."""

    ranges = "50000-50009"
    size_mib = 64

    def setUp(self):
        super().setUp()
        self.service = Service("--gid-range", self.ranges, directory=self.new_directory(prefix="service-"))
        self.addCleanup(self.service.discard)
        self.call = self.service.call
        self.service.start()

    def restart(self, *more, kill=False):
        (self.service.kill if kill else self.service.stop)()
        self.service.start(*more)

    def make_source(self, name="src"):
        path = self.source / name
        path.mkdir()
        return path

    def create(self, name, source, **options):
        return self.call("POST", "/v1/volumes", {"name": name, "source": str(source), **options})

    def remove(self, name, force=False):
        return self.call("DELETE", f"/v1/volumes/{name}" + ("?force=true" if force else ""))

    def volumes(self):
        return {volume["name"]: volume for volume in self.call("GET", "/v1/volumes")["volumes"]}

    def gids(self):
        return self.call("GET", "/v1/gids")

    def attach(self, volume, target, **options):
        return self.call("POST", "/v1/attachments", {"volume": volume, "target": str(target), **options})

    def detach(self, target, force=False):
        return self.call("DELETE", f"/v1/attachments?target={target}" + ("&force=true" if force else ""))

    def refused(self, code, function, *arguments, **options):
        """Calls it, and gives the error, which has this code."""
        with self.assertRaises(ApiError) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def table(self, sql):
        with sqlite3.connect(self.service.state_dir / "gids.db") as table:
            return table.execute(sql).fetchall()


class Volumes(ServiceTest):
    def test_create_gives_a_gid_and_a_view(self):
        source = self.make_source()
        (source / "file").write_text("content")
        before = snapshot(source)
        volume = self.create("data", source)
        self.assertEqual((volume["gid"], volume["reused"], volume["state"]), (50000, False, "mounted"))
        view = pathlib.Path(volume["view"])
        self.assertEqual(view, self.service.run_dir / "views" / "data")
        self.assertEqual(mount_entry(view)["type"], "fuse.gidfs")
        self.assertEqual((view / "file").read_text(), "content")
        self.assertEqual(os.stat(view / "file").st_gid, 50000)
        self.assertTrue(os.stat(view).st_mode & stat.S_ISGID)
        self.assertEqual(snapshot(source), before)

    def test_create_again_is_the_same(self):
        source = self.make_source()
        first = self.create("data", source)
        again = self.create("data", source)
        self.assertEqual(again.pop("reused"), True)
        self.assertEqual(first.pop("reused"), False)
        self.assertEqual(again, first)
        link = self.source / "link"
        link.symlink_to(source)
        self.assertEqual(self.create("other", link)["name"], "data")
        self.assertEqual(len(self.volumes()), 1)

    def test_other_options_for_the_same_source_are_refused(self):
        source = self.make_source()
        self.create("data", source)
        error = self.refused("exists", self.create, "data", source, policy="fsgroup")
        self.assertEqual(error.details, {"volume": "data"})

    def test_a_name_has_one_source(self):
        self.create("data", self.make_source("a"))
        self.refused("exists", self.create, "data", self.make_source("b"))
        self.assertEqual(self.gids()["allocated"], 1)

    def test_a_planted_gid_is_not_believed(self):
        source = self.make_source()
        os.chown(source, -1, 50005)
        self.assertEqual(self.create("data", source)["gid"], 50000)

    def test_one_source_with_several_gids(self):
        source = self.make_source()
        first = self.create("data", source)
        given = self.create("given", source, gid=7001)
        self.assertEqual((given["gid"], given["reused"]), (7001, False))
        self.assertEqual(os.stat(first["view"]).st_gid, 50000)
        self.assertEqual(os.stat(given["view"]).st_gid, 7001)
        self.assertTrue(self.create("given", source, gid=7001)["reused"])
        self.assertEqual(self.gids()["out_of_range"], 1)
        self.refused("busy", self.create, "taken", self.make_source("other"), gid=50000)
        self.assertEqual(self.remove("given")["gid_state"], "out-of-range")
        self.assertEqual(self.gids()["out_of_range"], 0)

    def test_bad_requests(self):
        source = self.make_source()
        file = self.source / "file"
        file.touch()
        for gid in 0, 65534, 4294967295:
            self.refused("bad-request", self.create, "data", source, gid=gid)
        self.refused("bad-request", self.create, "../data", source)
        self.refused("bad-request", self.create, "", source)
        self.refused("bad-request", self.create, "data", "relative")
        self.refused("bad-request", self.create, "data", file)
        self.refused("bad-request", self.create, "data", source, policy="none")
        self.refused("bad-request", self.create, "data", source, polcy="shared")
        self.refused("bad-request", self.create, "data", source, read_only="yes")
        self.refused("not-found", self.create, "data", self.source / "missing")
        self.refused("bad-request", self.create, "data", self.service.run_dir)
        self.refused("bad-request", self.create, "data", "/")
        self.refused("not-found", self.remove, "missing")
        self.assertEqual(self.volumes(), {})
        view = self.create("data", source)["view"]
        self.refused("bad-request", self.create, "view", view)
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("data", target)
        self.assertIn("view of gidfs", self.refused("bad-request", self.create, "view", target).message)

    def test_callers_at_once_join(self):
        source = self.make_source()
        answers = self.at_once(16, lambda i: self.create(f"name-{i}", source))
        self.assertEqual({answer["gid"] for answer in answers}, {50000})
        self.assertEqual(len({answer["name"] for answer in answers}), 1)
        self.assertEqual([answer["reused"] for answer in answers].count(False), 1)
        self.assertEqual(len(self.volumes()), 1)

    def at_once(self, n, function):
        answers = [None] * n

        def work(i):
            try:
                answers[i] = function(i)
            except ApiError as error:
                answers[i] = error

        threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_different_sources_at_once_get_different_gids(self):
        sources = [self.make_source(f"src-{i}") for i in range(10)]
        answers = self.at_once(10, lambda i: self.create(f"v{i}", sources[i]))
        self.assertEqual({answer["gid"] for answer in answers}, set(range(50000, 50010)))

    def test_exhausted(self):
        for i in range(10):
            self.create(f"v{i}", self.make_source(f"src-{i}"))
        error = self.refused("exhausted", self.create, "more", self.make_source("more"))
        self.assertEqual(error.status, 507)
        self.assertEqual((error.details["total"], error.details["allocated"]), (10, 10))
        self.assertEqual(error.details["oldest"][0]["volume"], "v0")
        self.remove("v3")
        self.assertEqual(self.create("more", self.source / "more")["gid"], 50003)

    def test_read_only(self):
        view = self.create("data", self.make_source(), read_only=True)["view"]
        self.assertIn("ro", mount_entry(view)["options"])

    def test_below_compares_components(self):
        for name in "b", "bc":
            (self.source / name / "x").mkdir(parents=True)
            self.create(name, self.source / name / "x")
        answer = self.call("DELETE", f"/v1/volumes?below={self.source}/b/")
        self.assertEqual([one["name"] for one in answer["released"]], ["b"])
        self.assertEqual(answer["errors"], [])
        self.assertEqual(list(self.volumes()), ["bc"])

    def test_the_command_line(self):
        source = self.make_source()
        line = self.service.gidfs("volume", "create", "data", source).stdout
        self.assertEqual(line, f"data 50000 {self.service.run_dir}/views/data\n")
        self.assertEqual(self.service.gidfs("volume", "create", "data", source).stdout, line)
        self.assertIn("data", self.service.gidfs("ls").stdout)
        self.service.gidfs("volume", "rm", "data")
        self.assertEqual(self.service.gidfs("volume", "rm", "data", check=False).returncode, 1)


class FailingViews(ServiceTest):
    """gidfs-view is played by a script that waits until it may go on, and then fails."""

    def setUp(self):
        self.script_directory = pathlib.Path(tempfile.mkdtemp())
        self.script = self.script_directory / "view"
        self.gate = self.script_directory / "gate"
        os.mkfifo(self.gate)
        self.script.write_text(f"#!/bin/sh\ncat {self.gate} >/dev/null\necho gidfs-view: no luck today >&2\nexit 1\n")
        self.script.chmod(0o755)
        os.environ["GIDFS_VIEW_PROGRAM"] = str(self.script)
        self.addCleanup(os.environ.pop, "GIDFS_VIEW_PROGRAM", None)
        super().setUp()

    def test_all_who_joined_get_the_failure(self):
        source = self.make_source()
        errors = []

        def work():
            errors.append(self.refused("internal", self.create, "data", source))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: self.volumes(), "the volume to be prepared")
        self.assertEqual(self.volumes()["data"]["state"], "prepared")
        self.assertEqual(self.table("SELECT state FROM volumes"), [("prepared",)])
        opener = threading.Thread(target=self.open_gate, args=(threads,))
        opener.start()
        for thread in threads:
            thread.join()
        opener.join()
        self.assertEqual(len(errors), 5)
        for error in errors:
            self.assertIn("no luck today", error.message)
            self.assertIn(str(source), error.message)
        self.assertEqual(self.volumes(), {})
        self.assertEqual(self.gids()["free"], 10)
        self.assertEqual(self.table("SELECT count(*) FROM volumes"), [(0,)])
        self.assertEqual(os.listdir(self.service.run_dir / "views"), [])

    def open_gate(self, threads):
        """A caller that came late begins again: the gate opens for each."""
        while any(thread.is_alive() for thread in threads):
            try:
                os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                pass  # nobody waits
            threads[0].join(0.01)

    def test_killed_while_it_waits(self):
        source = self.make_source()
        thread = threading.Thread(target=self.create_whatever_happens, args=(source,))
        thread.start()
        wait_until(lambda: self.volumes(), "the volume to be prepared")
        self.service.kill()
        thread.join()
        os.environ.pop("GIDFS_VIEW_PROGRAM")
        self.service.start()
        self.assertEqual(self.volumes()["data"]["state"], "mounted")
        self.assertEqual(self.volumes()["data"]["gid"], 50000)

    def create_whatever_happens(self, source):
        try:
            self.create("data", source)
        except (ApiError, OSError):
            pass


class Attachments(ServiceTest):
    def setUp(self):
        super().setUp()
        self.src = self.make_source()
        (self.src / "file").write_text("content")
        self.create("data", self.src)
        self.target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", self.target], check=False)

    def test_a_view_is_not_attached_inside_its_source(self):
        source = self.make_source("own")
        (source / "sub").mkdir()
        self.create("own", source)
        for target in (source, source / "sub"):
            self.refused("bad-request", self.attach, "own", target)
            self.assertIsNone(mount_entry(target))
        beside = self.source / (source.name + "-beside")
        beside.mkdir()
        self.attach("own", beside)

    def test_attach_and_detach(self):
        one = self.attach("data", self.target, container="web")
        self.assertEqual((one["target"], one["gid"], one["state"]), (str(self.target), 50000, "mounted"))
        self.assertEqual((self.target / "file").read_text(), "content")
        again = self.attach("data", self.target, container="web")
        self.assertEqual(again["id"], one["id"])
        self.refused("exists", self.attach, "data", self.target, read_only=True)
        self.assertEqual(self.volumes()["data"]["containers"], ["web"])
        rows = self.call("GET", "/v1/ls?fields=type,name,target,container,state")["rows"]
        self.assertEqual(rows[1], {"type": "attachment", "name": "data", "target": str(self.target),
                                   "container": "web", "state": "mounted"})
        self.assertEqual(self.detach(self.target)["volume"], "data")
        self.assertFalse(is_mount_point(self.target))
        self.refused("not-found", self.detach, self.target)

    def test_read_only(self):
        self.attach("data", self.target, read_only=True)
        self.assertIn("ro", mount_entry(self.target)["options"])
        self.assertNotIn("ro", mount_entry(self.service.run_dir / "views/data")["options"])

    def test_bad_targets(self):
        link = self.directory / "link"
        link.symlink_to(self.target)
        self.refused("bad-request", self.attach, "data", link)
        self.refused("bad-request", self.attach, "data", "relative")
        self.refused("bad-request", self.attach, "data", self.src / "file")
        self.refused("not-found", self.attach, "data", self.directory / "missing")
        self.refused("not-found", self.attach, "missing", self.target)
        error = self.refused("bad-request", self.attach, "data", self.target, propagation="loud")
        self.assertIn("unbindable", error.message)
        self.assertEqual(self.call("GET", "/v1/attachments")["attachments"], [])

    def test_a_busy_volume_is_not_removed(self):
        self.attach("data", self.target)
        error = self.refused("busy", self.remove, "data")
        self.assertEqual(error.details, {"attachments": [str(self.target)]})
        self.assertEqual(self.volumes()["data"]["state"], "mounted")
        self.assertEqual(self.remove("data", force=True)["gid_state"], "free")
        self.assertFalse(is_mount_point(self.target))
        self.assertEqual((self.src / "file").read_text(), "content")

    def test_an_open_file_is_busy(self):
        with open(self.service.run_dir / "views/data/file"):
            error = self.refused("busy", self.remove, "data")
            self.assertIn("use force", error.message)
            self.assertEqual(self.volumes()["data"]["state"], "mounted")
            self.assertEqual(self.table("SELECT state FROM volumes"), [("mounted",)])
        self.attach("data", self.target)
        with open(self.target / "file"):
            self.refused("busy", self.detach, self.target)
            self.detach(self.target, force=True)

    def test_exclusive(self):
        self.create("own", self.make_source("own"), exclusive=True)
        other = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", other], check=False)
        self.attach("own", self.target, container="one")
        self.refused("busy", self.attach, "own", other, container="two")
        self.attach("own", other, container="one")

    def test_what_others_unmounted_is_seen(self):
        self.attach("data", self.target)
        run(["umount", self.target])
        attachment, = self.call("GET", "/v1/attachments")["attachments"]
        self.assertEqual(attachment["state"], "gone")
        self.assertEqual(self.attach("data", self.target)["state"], "mounted")
        run(["umount", "-l", self.target])
        self.detach(self.target)
        run(["umount", self.service.run_dir / "views/data"])
        self.assertEqual(self.volumes()["data"]["state"], "missing")
        self.assertEqual(self.create("data", self.src)["state"], "mounted")
        self.assertEqual(self.volumes()["data"]["state"], "mounted")


class Quarantine(ServiceTest):
    def test_a_process_in_the_group_holds_the_gid(self):
        self.create("data", self.make_source())
        with Actor(1001, groups=[50000]) as actor:
            actor.call(os.getpid)
            self.assertEqual(self.remove("data")["gid_state"], "quarantined")
            gids = self.gids()
            self.assertEqual((gids["quarantined"], gids["free"], gids["allocated"]), (1, 9, 0))
            holder, = gids["holders"]
            self.assertEqual((holder["gid"], holder["state"], holder["volume"]), (50000, "quarantined", "data"))
            self.assertIn(f"process {actor.pid}", holder["reason"])
            self.assertEqual(self.create("next", self.make_source("next"))["gid"], 50001)
            self.restart(kill=True)
            self.assertEqual(self.gids()["quarantined"], 1)
        self.assertEqual(self.gids()["quarantined"], 0)
        self.assertEqual(self.create("third", self.make_source("third"))["gid"], 50000)

    def test_an_open_file_holds_the_gid(self):
        source = self.make_source()
        (source / "file").write_text("content")
        view = pathlib.Path(self.create("data", source)["view"])
        with open(view / "file") as file:
            self.assertEqual(self.remove("data", force=True)["gid_state"], "quarantined")
            holder, = self.gids()["holders"]
            self.assertIn("open", holder["reason"])
            self.restart()
            self.assertEqual(self.gids()["quarantined"], 1)
            self.assertEqual(file.read(), "content")
        wait_until(lambda: self.gids()["quarantined"] == 0, "the gid to be free")

    def test_a_mount_in_another_namespace_holds_the_gid(self):
        view = self.create("data", self.make_source())["view"]
        target = self.new_directory(prefix="target-")
        script = f"mount --bind {view} {target} && echo ready && read line"
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as other:
            self.assertEqual(other.stdout.readline(), b"ready\n")
            self.assertEqual(self.remove("data")["gid_state"], "quarantined")
            other.stdin.close()
        wait_until(lambda: self.gids()["quarantined"] == 0, "the gid to be free")

    def test_of_an_earlier_boot_nothing_is_left(self):
        self.create("data", self.make_source())
        with Actor(1001, groups=[50000]) as actor:
            actor.call(os.getpid)
            self.remove("data")
            self.service.stop()
            self.table("UPDATE quarantine SET boot_id = 'before'")
            self.service.start()
            self.assertEqual(self.gids()["free"], 10)

    def test_exhaustion_looks_again(self):
        with Actor(1001, groups=[50000]) as actor:
            actor.call(os.getpid)
            for i in range(10):
                self.create(f"v{i}", self.make_source(f"src-{i}"))
            self.remove("v0")
            more = self.make_source("more")
            error = self.refused("exhausted", self.create, "more", more)
            self.assertEqual(error.details["quarantined"], 1)
        self.assertEqual(self.create("more", more)["gid"], 50000)


class Counters(ServiceTest):
    def test_stats_and_metrics(self):
        view = pathlib.Path(self.create("data", self.make_source())["view"])
        (view / "file").write_text("content")
        stats = self.call("GET", "/v1/stats/data")
        self.assertEqual((stats["name"], stats["gid"], stats["worker_restarts"]), ("data", 50000, 0))
        self.assertGreaterEqual(stats["requests"]["create"], 1)
        self.assertGreaterEqual(stats["total_requests"], 1)
        self.assertGreater(stats["rss_bytes"], 100000)
        self.assertNotIn(None, stats.values(), "a member that never has a value")
        self.assertIn(stats["watch"], ("directories", "none"))
        self.create("unwatched", self.make_source("unwatched"), cache="none")
        self.assertEqual(self.call("GET", "/v1/stats/unwatched")["watch"], "none")
        self.assertEqual(self.call("GET", "/v1/stats")["views"][0]["keeper_pid"], stats["keeper_pid"])
        metrics = self.call("GET", "/metrics")
        self.assertRegex(metrics, r'(?m)^gidfs_view_requests_total\{volume="data"\} [1-9]')
        self.assertIn('gidfs_view_worker_restarts_total{volume="data"} 0\n', metrics)
        self.refused("not-found", self.call, "GET", "/v1/stats/none")

    def test_a_view_that_does_not_answer(self):
        self.create("data", self.make_source())
        self.create("other", self.make_source("other"))
        keeper = self.volumes()["data"]["keeper_pid"]
        os.kill(keeper, signal.SIGSTOP)
        try:
            views = {view["name"]: view for view in self.call("GET", "/v1/stats")["views"]}
            self.assertIsNone(views["data"]["requests"])
            self.assertIsNone(views["data"]["rss_bytes"])
            self.assertIsNone(views["data"]["watch"])
            self.assertIsNotNone(views["other"]["requests"])
        finally:
            os.kill(keeper, signal.SIGCONT)


class Blocks(ServiceTest):
    def block(self, owner, **options):
        return self.call("POST", "/v1/blocks", {"id": owner, **options})

    def test_no_two_containers_share_ids(self):
        blocks = [self.block(f"c{i}", count=1000 * (i + 1)) for i in range(10)]
        taken = [(block["start"], block["start"] + block["count"]) for block in blocks]
        for path in "/etc/subuid", "/etc/subgid":
            for line in pathlib.Path(path).read_text().splitlines() if os.path.exists(path) else []:
                _, first, count = line.split(":")
                taken.append((int(first), int(first) + int(count)))
        taken = sorted(set(taken))
        for (_, end), (start, _) in zip(taken, taken[1:]):
            self.assertLessEqual(end, start)

    def test_a_block_stays_with_its_owner(self):
        block = self.block("web")
        self.assertEqual((block["count"], block["reused"]), (65536, False))
        self.restart(kill=True)
        again = self.block("web")
        self.assertEqual((again["start"], again["reused"]), (block["start"], True))
        self.refused("exists", self.block, "web", count=7)
        listed = self.call("GET", "/v1/blocks")
        self.assertEqual([one["id"] for one in listed["blocks"]], ["web"])
        self.assertEqual(listed["free"], listed["total"] - 1)

    def test_a_freed_block_is_free_and_not_the_next(self):
        first = self.block("a")
        before = self.call("GET", "/v1/blocks")
        self.call("DELETE", "/v1/blocks/a")
        self.refused("not-found", self.call, "DELETE", "/v1/blocks/a")
        self.assertEqual(self.call("GET", "/v1/blocks")["free"], before["free"] + 1)
        self.assertNotEqual(self.block("b")["start"], first["start"])

    def test_bad_blocks(self):
        self.refused("bad-request", self.block, "../x")
        self.refused("bad-request", self.block, "x", count=0)
        self.refused("bad-request", self.block, "x", count=2**31)
        self.block("x", count=2**29)
        self.block("y", count=2**29)
        error = self.refused("exhausted", self.block, "z", count=2**30)
        self.assertIn("total", error.details)


class Survival(ServiceTest):
    def test_views_are_adopted_after_a_kill(self):
        source = self.make_source()
        volume = self.create("data", source)
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("data", target)
        device = os.stat(volume["view"]).st_dev
        with open(target / "file", "w") as file:
            for kill in True, False:
                self.restart(kill=kill)
                self.assertEqual(os.stat(volume["view"]).st_dev, device)
                file.write("still here\n")
                file.flush()
                self.assertEqual(self.volumes()["data"]["state"], "mounted")
                self.assertEqual(len(self.call("GET", "/v1/attachments")["attachments"]), 1)
                self.assertTrue(self.create("data", source)["reused"])
        self.detach(target)
        self.remove("data")
        self.assertEqual((source / "file").read_text(), "still here\n" * 2)

    def test_an_interrupted_release_is_finished(self):
        self.create("data", self.make_source())
        self.service.kill()
        self.table("UPDATE volumes SET state = 'releasing'")
        self.service.start()
        self.assertEqual(self.volumes(), {})
        self.assertFalse(is_mount_point(self.service.run_dir / "views/data"))
        self.assertEqual(self.gids()["free"], 10)

    def test_a_reboot_releases_sandboxes_and_mounts_the_rest(self):
        self.create("keep", self.make_source("keep"))
        self.create("sandbox", self.make_source("sandbox"), kind="sandbox")
        self.service.stop()
        for name in "keep", "sandbox":
            run(["umount", self.service.run_dir / "views" / name])
        self.table("UPDATE volumes SET boot_id = 'before', device = device + 1")
        self.service.start()
        volumes = self.volumes()
        self.assertEqual(list(volumes), ["keep"])
        self.assertEqual((volumes["keep"]["state"], volumes["keep"]["gid"]), ("mounted", 50000))
        self.assertEqual(os.stat(volumes["keep"]["view"]).st_gid, 50000)
        self.assertEqual(self.table("SELECT count(*) FROM volumes WHERE boot_id = 'before'"), [(0,)])

    def test_a_source_that_went_while_the_service_was_down(self):
        for name in "gone", "stays":
            self.create(name, self.make_source(name))
        self.service.stop()
        shutil.rmtree(self.source / "gone")
        self.service.start()
        self.assertEqual(list(self.volumes()), ["stays"])
        self.assertEqual(self.gids()["free"], 9)

    def test_a_removed_source_is_noticed(self):
        for name in "gone", "stays":
            self.create(name, self.make_source(name))
        shutil.rmtree(self.source / "gone")
        wait_until(lambda: list(self.volumes()) == ["stays"], "the volume to be released")
        self.make_source("gone")
        self.assertFalse(self.create("gone", self.source / "gone")["reused"])

    def test_a_moved_source_keeps_its_gid(self):
        source = self.make_source("old")
        self.create("data", source)
        source.rename(self.source / "new")
        wait_until(lambda: self.volumes()["data"]["source"] == str(self.source / "new"), "the volume to follow")
        self.assertTrue(self.create("data", self.source / "new")["reused"])

    def test_a_view_whose_source_was_moved_is_adopted(self):
        """By the start of a service that saw the move, and of one that did not."""
        source = self.make_source("first")
        view = self.create("data", source)
        if run(["stat", "-c", "%W", view["view"]]).stdout.strip() == "0":
            self.skipTest("the kernel asks no view for birth times (Linux 6.6)")
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("data", target)
        mounted = mount_entry(view["view"])["device"], mount_entry(target)["device"]
        source = source.rename(self.source / "second")
        wait_until(lambda: self.volumes()["data"]["source"] == str(source), "the volume to follow")
        self.service.stop()
        self.service.start()
        source = source.rename(self.source / "third")
        wait_until(lambda: self.volumes()["data"]["source"] == str(source), "the volume to follow")
        self.service.stop()
        source = source.rename(self.source / "fourth")
        self.service.start()
        self.assertEqual(self.volumes()["data"]["source"], str(source))
        self.assertEqual((mount_entry(view["view"])["device"], mount_entry(target)["device"]), mounted)
        self.assertEqual(self.volumes()["data"]["keeper_pid"], view["keeper_pid"])
        self.detach(target)
        self.remove("data")

    def test_one_service_for_one_table(self):
        other = Service("--gid-range", self.ranges, directory=self.service.state_dir.parent)
        with self.assertRaises(AssertionError) as caught:
            other.start()
        self.assertIn("another gidfsd", str(caught.exception))
        self.assertEqual(self.volumes(), {})

    def test_drain(self):
        for name in "used", "unused":
            self.create(name, self.make_source(name))
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("used", target)
        answer = self.call("POST", "/v1/drain", {})
        self.assertEqual(answer, {"unmounted": ["unused"], "left": [{"name": "used", "reason": "1 attachment"}]})
        self.assertFalse(is_mount_point(self.service.run_dir / "views/unused"))
        self.refused("unavailable", self.create, "more", self.make_source("more"))
        self.restart()
        self.assertEqual(self.volumes()["unused"]["state"], "mounted")

    def test_a_view_whose_keeper_died_is_mounted_again(self):
        source = self.make_source()
        (source / "file").write_text("content")
        volume = self.create("data", source)
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("data", target)
        keeper = self.volumes()["data"]["keeper_pid"]
        self.assertEqual(self.call("GET", "/v1/volumes/data")["keeper_pid"], keeper)
        self.assertIn("data", pathlib.Path(f"/proc/{keeper}/cmdline").read_text())
        for pid in [pid for pid in os.listdir("/proc") if pid.isdigit() and self.serves(pid, volume["view"])]:
            os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: self.volumes()["data"]["keeper_pid"] not in (None, keeper), "another keeper")
        wait_until(lambda: self.reads(target / "file") == "content", "the attachment to be mounted again")
        self.assertEqual((self.volumes()["data"]["state"], self.gids()["allocated"]), ("mounted", 1))
        self.detach(target)

    def test_a_view_whose_keeper_alone_died_is_mounted_again(self):
        """Its worker serves who has a file open, and ends after that."""
        source = self.make_source()
        (source / "file").write_text("content")
        view = pathlib.Path(self.create("data", source)["view"])
        keeper = self.volumes()["data"]["keeper_pid"]
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and self.serves(pid, view) and int(pid) != keeper]
        with open(view / "file", encoding="ascii") as file:
            os.kill(keeper, signal.SIGKILL)
            wait_until(lambda: self.volumes()["data"]["keeper_pid"] not in (None, keeper), "another keeper")
            wait_until(lambda: self.volumes()["data"]["state"] == "mounted", "the view to be mounted again")
            self.assertEqual("content", file.read())
            self.assertIn("the keeper of its view died", self.service.log())
            self.assertEqual("content", self.reads(view / "file"))
        wait_until(lambda: not [pid for pid in left if self.serves(pid, view)], "the end of what the keeper has left")

    def test_abort_frees_and_mounts_again(self):
        source = self.make_source()
        (source / "file").write_text("content")
        view = pathlib.Path(self.create("data", source)["view"])
        target = self.new_directory(prefix="target-")
        self.addCleanup(run, ["umount", "-lq", target], check=False)
        self.attach("data", target)
        processes = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.serves(pid, view)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        with subprocess.Popen(["stat", target / "not-cached"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as hangs:
            wait_until(lambda: pathlib.Path(f"/proc/{hangs.pid}/syscall").read_text().split()[0].isdigit(), "the wait")
            self.assertEqual(self.call("POST", "/v1/volumes/data/abort"), {"name": "data", "state": "mounted"})
            self.assertNotEqual(hangs.wait(30), 0)
        wait_until(lambda: not any(self.serves(pid, view) for pid in processes), "the old processes to be gone")
        self.assertEqual((view / "file").read_text(), "content")
        wait_until(lambda: self.reads(target / "file") == "content", "the attachment to be mounted again")

    def reads(self, path):
        try:
            return path.read_text()
        except OSError:
            return None

    def test_an_upgrade_of_the_service(self):
        """The service becomes the program that was installed meanwhile, under its pid, with its arguments."""
        self.service.stop()
        program = self.directory / "gidfsd"
        shutil.copy(binary("gidfsd"), program)
        started = self.service.command()
        self.service.command = lambda *more: [str(program), *started[1:], *more]
        self.service.environment = {"GIDFS_VIEW_PROGRAM": binary("gidfs-view"),
                                    "GIDFS_NSMOUNT_PROGRAM": binary("gidfs-nsmount")}
        self.service.start()
        view = self.create("data", self.make_source())["view"]
        device = os.stat(view).st_dev
        answer = self.call("POST", "/v1/upgrade", {"name": "data"})
        self.assertEqual((answer["service"], answer["errors"]), ("unchanged", []))
        self.assertEqual([one["name"] for one in answer["upgraded"]], ["data"])
        self.assertEqual(answer["upgraded"][0]["to"], self.call("GET", "/v1/service")["version"])
        self.assertEqual(self.call("POST", "/v1/upgrade", {})["service"], "unchanged")

        shutil.copy(binary("gidfsd"), self.directory / "new")
        (self.directory / "new").rename(program)
        answer = self.call("POST", "/v1/upgrade", {})
        self.assertEqual(answer["service"], "restarting")
        self.assertEqual([one["name"] for one in answer["upgraded"]], ["data"], answer)
        pid = self.service.process.pid
        wait_until(lambda: os.stat(f"/proc/{pid}/exe").st_ino == os.stat(program).st_ino, "the new program")
        wait_until(self.service.socket_path.exists, "the socket")
        wait_until(lambda: self.answers() == pid, "an answer")
        self.assertEqual((os.stat(view).st_dev, self.volumes()["data"]["state"]), (device, "mounted"))

    def answers(self):
        try:
            return self.call("GET", "/v1/service")["pid"]
        except OSError:
            return None

    def test_listing_never_waits_for_a_view(self):
        volume = self.create("data", self.make_source())
        processes = [pid for pid in os.listdir("/proc") if pid.isdigit() and self.serves(pid, volume["view"])]
        self.assertTrue(processes)
        for pid in processes:
            os.kill(int(pid), signal.SIGSTOP)
        try:
            self.assertEqual(self.volumes()["data"]["state"], "mounted")
            self.assertEqual(len(self.call("GET", "/v1/ls")["rows"]), 1)
            self.service.gidfs("ls")
            self.assertIn('gidfs_volumes{state="mounted"} 1', self.call("GET", "/metrics"))
        finally:
            for pid in processes:
                os.kill(int(pid), signal.SIGCONT)

    def serves(self, pid, view):
        try:
            return str(view) in pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return False

    def test_views_inherit_no_descriptor(self):
        volume = self.create("data", self.make_source())
        for pid in [pid for pid in os.listdir("/proc") if pid.isdigit() and self.serves(pid, volume["view"])]:
            held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            for path in held:
                self.assertFalse(path.startswith(str(self.service.state_dir)), held)
                self.assertNotEqual(path, str(self.service.log_path))


if __name__ == "__main__":
    main()
