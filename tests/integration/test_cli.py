#!/usr/bin/env python3
"""The command line against a service that is played by this test: what it asks for, prints and returns."""
import http.server
import json
import os
import pathlib
import re
import socketserver
import subprocess
import tempfile
import threading
import unittest

GIDFS = str(pathlib.Path(os.environ.get("GIDFS_BUILD_DIR", "build")).resolve() / "bin/gidfs")

VOLUME = {"name": "data", "gid": 50000, "view": "/run/gidfs/views/data", "source": "/srv/data", "policy": "shared",
          "kind": "persistent", "state": "mounted", "chgrp": "refuse", "cache": "auto", "read_only": False,
          "exclusive": False, "mechanism": "fuse", "reason": None, "attachments": 1, "containers": ["c1", "c2"],
          "created_at": "2024-05-01T12:00:00Z", "keeper_pid": 1, "worker_pid": 2, "note": None}


def row(kind, **more):
    base = {"type": kind, "name": "data", "gid": 50000, "policy": "shared", "state": "mounted", "source": "/srv/data",
            "view": "/v/data", "target": None, "container": None}
    return {**base, **more}


class Service(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers what the test put into `answers`: {"GET /v1/ls": (status, object)}; keeps the requests."""
    daemon_threads = True

    def __init__(self, path):
        self.answers, self.requests = {}, []
        super().__init__(path, Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.command, self.path, body))
        status, answer = self.server.answers.get(f"{self.command} {self.path.split('?')[0]}", (404, {
            "error": {"code": "not-found", "errno": 2, "message": f"no {self.path}", "details": {}}}))
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = answer

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass


class CliTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="gidfs-cli-")
        self.socket = os.path.join(self.dir.name, "gidfs.sock")
        self.service = Service(self.socket)
        self.thread = threading.Thread(target=self.service.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def tearDown(self):
        self.service.shutdown()
        self.thread.join()
        self.service.server_close()
        self.dir.cleanup()

    def run_cli(self, *args, env=None, cwd=None):
        environment = {"PATH": os.environ["PATH"], "GIDFS_SOCKET": self.socket, "LC_ALL": "C.UTF-8", **(env or {})}
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                environment[name] = os.environ[name]
        return subprocess.run([GIDFS, *args], capture_output=True, text=True, env=environment, cwd=cwd, timeout=60)

    def ok(self, *args, **more):
        done = self.run_cli(*args, **more)
        self.assertEqual(done.stderr, "", args)
        self.assertEqual(done.returncode, 0, args)
        return done.stdout

    def wrong(self, *args, status=2):
        done = self.run_cli(*args)
        self.assertEqual(done.returncode, status, (args, done))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("gidfs: "), done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def answer(self, request, answer, status=200):
        self.service.answers[request] = (status, answer)

    # what every program has

    def test_help_and_version(self):
        self.assertRegex(self.ok("--version"), r"^gidfs \d+\.\d+\.\d+\n$")
        page = self.ok("--help")
        commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", page, re.M)
        self.assertIn("volume create", commands)
        for command in commands:
            self.assertIn("Usage:", self.ok(*command.split(), "--help"), command)
        self.assertEqual(self.service.requests, [])

    def test_usage_errors(self):
        self.assertIn("command is missing", self.wrong())
        self.assertIn('unknown command "oops"', self.wrong("oops"))
        self.assertIn("create, ls, show, rm", self.wrong("volume"))
        self.assertIn('"volume oops"', self.wrong("volume", "oops"))
        self.assertIn("NAME SOURCE", self.wrong("volume", "create", "a"))
        self.assertIn("too many", self.wrong("volume", "create", "a", "b", "c"))
        self.assertIn("--oops", self.wrong("volume", "create", "--oops", "a", "b"))
        self.assertIn("--oops", self.wrong("--oops", "ls"))
        self.assertIn("--socket", self.wrong("--socket"))
        self.assertIn("--timeout", self.wrong("--timeout", "0", "ls"))
        self.assertIn("gid", self.wrong("volume", "create", "--gid", "x", "a", "/s"))
        self.assertIn("root", self.wrong("volume", "create", "--gid", "0", "a", "/s"))
        self.assertIn("4294967295", self.wrong("volume", "create", "--gid", "4294967295", "a", "/s"))
        self.assertIn("process", self.wrong("attach", "--pid", "0", "a", "/t"))
        self.assertIn("TARGET", self.wrong("container", "prepare", "c", "--volume", "data"))
        self.assertIn("user", self.wrong("container", "prepare", "c", "--user", "alice"))
        self.assertIn("--layer", self.wrong("rootfs", "create", "r"))
        self.assertIn("exclude each other", self.wrong("ls", "--tree", "--json"))
        self.assertEqual(self.service.requests, [])

    def test_groups_of_commands_have_a_page(self):
        page = self.ok("volume", "--help")
        self.assertIn("volume create      NAME SOURCE", page)
        self.assertNotIn("container", page)

    def test_nothing_where_something_is_needed(self):
        """A variable that a script forgot to set must not mean the current directory."""
        self.assertIn("argument 2 is empty", self.wrong("volume", "create", "data", ""))
        self.assertIn("argument 1 is empty", self.wrong("volume", "create", "", "/s"))
        self.assertIn("argument 1 is empty", self.wrong("detach", ""))
        self.assertIn("--below", self.wrong("volume", "rm", "--below="))
        self.assertIn("--rootfs", self.wrong("container", "prepare", "c", "--rootfs", ""))
        self.assertIn("--layer", self.wrong("rootfs", "create", "r", "--layer", "/l", "--layer", ""))
        self.assertEqual(self.service.requests, [])

    def test_any_locale(self):
        """Services and hooks run without LANG; names on disk are no matter of language."""
        self.answer("POST /v1/containers", {"id": "c"})
        spec = ["container", "prepare", "c", "--volume", "/srv/größe:/dätä"]
        for locale in ("C", "C.UTF-8"):
            done = self.run_cli(*spec, env={"LC_ALL": locale})
            self.assertEqual((done.returncode, done.stderr), (0, ""), locale)
            volume = self.service.requests.pop()[2]["volumes"][0]
            self.assertEqual((volume["source"], volume["target"]), ("/srv/größe", "/dätä"))

    def test_a_message_is_one_line_whatever_it_names(self):
        name = "no\nsuch\x1b[31m"
        self.answer("GET /v1/volumes/no%0Asuch%1B%5B31m", {"error": {
            "code": "not-found", "errno": 2, "message": f'volume "{name}": no such volume', "details": {}}}, 404)
        self.assertEqual(self.wrong("volume", "show", name, status=1), 'gidfs: volume "no?such?[31m": no such volume\n')
        self.answer("GET /v1/volumes/data", {**VOLUME, "source": "/srv/" + name})
        self.assertIn("/srv/no?such?[31m\n", self.ok("volume", "show", "data"))

    def test_unknown_columns_are_told_with_the_known_ones(self):
        message = self.wrong("ls", "-o", "NAME,COLOUR")
        self.assertIn('"COLOUR"', message)
        self.assertIn("NAME GID POLICY STATE SOURCE VIEW TARGET CONTAINER", message)
        self.assertIn("TARGET", self.ok("ls", "-o", "help"))
        self.assertEqual(self.service.requests, [])

    def test_no_service(self):
        absent = os.path.join(self.dir.name, "absent.sock")
        done = self.run_cli("--socket", absent, "ls")
        self.assertEqual(done.returncode, 1)
        self.assertIn(absent, done.stderr)
        self.assertIn("gidfsd", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_where_the_socket_is(self):
        self.answer("GET /v1/ls", {"rows": []})
        self.ok("ls", env={"GIDFS_SOCKET": "", "GIDFS_RUN_DIR": self.dir.name})
        self.ok(f"--socket={self.socket}", "ls", env={"GIDFS_SOCKET": "/nonexistent"})
        self.ok("--socket", self.socket, "ls", env={"GIDFS_SOCKET": "/nonexistent"})

    def test_a_refusal_is_one_line_and_status_1(self):
        self.answer("DELETE /v1/volumes/data", {"error": {"code": "busy", "errno": 16, "details": {},
                                                          "message": 'volume "data" is busy'}}, 423)
        self.assertEqual(self.wrong("volume", "rm", "data", status=1), 'gidfs: volume "data" is busy\n')

    def test_a_full_output_is_an_error(self):
        self.answer("GET /v1/ls", {"rows": [row("volume")]})
        with open("/dev/full", "w") as full:
            done = subprocess.run([GIDFS, "ls"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "GIDFS_SOCKET": self.socket}, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)

    # volumes

    def test_volume_create(self):
        self.answer("POST /v1/volumes", {**VOLUME, "reused": False}, 201)
        self.assertEqual(self.ok("volume", "create", "data", "/srv/data"), "data 50000 /run/gidfs/views/data\n")
        self.assertEqual(self.service.requests[-1],
                         ("POST", "/v1/volumes", {"name": "data", "source": "/srv/data"}))
        out = json.loads(self.ok("volume", "create", "--json", "data", "/srv/data", "--kind", "sandbox", "--policy",
                                 "mesos", "--chgrp=ignore", "--cache", "none", "--read-only", "--exclusive", "--gid",
                                 "70000"))
        for name in ("name", "gid", "view", "source", "policy", "kind", "state", "reused"):
            self.assertIn(name, out)
        self.assertEqual(self.service.requests[-1][2], {
            "name": "data", "source": "/srv/data", "kind": "sandbox", "policy": "mesos", "chgrp": "ignore",
            "cache": "none", "read_only": True, "exclusive": True, "gid": 70000})

    def test_relative_paths_become_absolute(self):
        self.answer("POST /v1/volumes", {**VOLUME, "reused": False}, 201)
        self.ok("volume", "create", "data", "src", cwd=self.dir.name)
        self.assertEqual(self.service.requests[-1][2]["source"], os.path.join(self.dir.name, "src"))

    def test_a_path_that_is_not_utf8(self):
        done = subprocess.run([GIDFS, "volume", "create", "data", b"/srv/\xff"], capture_output=True,
                              env={**os.environ, "GIDFS_SOCKET": self.socket}, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"UTF-8", done.stderr)

    def test_volume_lists(self):
        self.answer("GET /v1/volumes", {"volumes": [VOLUME]})
        self.answer("GET /v1/volumes/data", VOLUME)
        self.assertEqual(self.ok("volume", "ls", "-n", "-o", "name,containers,read-only"), "data c1,c2 no\n")
        self.assertEqual(json.loads(self.ok("volume", "ls", "--json")), {"volumes": [VOLUME]})
        self.assertEqual(json.loads(self.ok("volume", "ls", "--json", "-o", "NAME,GID,REASON")),
                         {"volumes": [{"name": "data", "gid": 50000, "reason": None}]})
        self.assertRegex(self.ok("volume", "show", "data"), r"(?m)^gid +50000$")
        self.assertEqual(json.loads(self.ok("volume", "show", "data", "--json")), VOLUME)

    def test_volume_rm(self):
        self.answer("DELETE /v1/volumes/data", {})
        self.ok("volume", "rm", "--force", "data")
        self.assertEqual(self.service.requests[-1][1], "/v1/volumes/data?force=true")
        self.assertIn("--below", self.wrong("volume", "rm"))
        self.answer("DELETE /v1/volumes", {"released": [], "errors": []})
        self.ok("volume", "rm", "--below", "/a b")
        self.assertEqual(self.service.requests[-1][1], "/v1/volumes?below=%2Fa%20b")
        self.answer("DELETE /v1/volumes", {"released": [], "errors": [{"name": "x", "message": "is busy"}]})
        self.assertEqual(self.wrong("volume", "rm", "--below", "/a", status=1), "gidfs: x: is busy\n")

    # attachments and lists

    def test_attach_and_detach(self):
        self.answer("POST /v1/attachments", {"id": 1}, 201)
        self.assertEqual(self.ok("attach", "data", "/mnt", "--read-only", "--container", "c", "--pid", "7",
                                 "--propagation", "slave"), "")
        self.assertEqual(self.service.requests[-1][2], {"volume": "data", "target": "/mnt", "read_only": True,
                                                        "container": "c", "pid": 7, "propagation": "slave"})
        self.answer("DELETE /v1/attachments", {})
        self.ok("detach", "/mnt/x y", "--pid", "7")
        self.assertEqual(self.service.requests[-1][1], "/v1/attachments?target=%2Fmnt%2Fx%20y&pid=7")

    def test_ls(self):
        rows = [row("volume"), row("attachment", target="/mnt/a", container="c1"),
                row("volume", name="é\x1b[31m", gid=7, target=None)]
        self.answer("GET /v1/ls", {"rows": rows})
        self.assertEqual(self.ok("ls").splitlines(), [
            r"NAME        GID POLICY STATE   SOURCE    VIEW    TARGET CONTAINER",
            r"data      50000 shared mounted /srv/data /v/data        ",
            r"data      50000 shared mounted /srv/data /v/data /mnt/a c1",
            r"é\x1b[31m     7 shared mounted /srv/data /v/data        "])
        self.assertEqual(self.service.requests[-1][1],
                         "/v1/ls?fields=name,gid,policy,state,source,view,target,container")
        self.assertEqual(self.ok("ls", "--raw", "--noheadings", "-o", "GID,TARGET").splitlines()[1], "50000 /mnt/a")
        self.assertEqual(json.loads(self.ok("ls", "--json")), {"rows": rows})
        self.assertEqual(self.service.requests[-1][1], "/v1/ls")
        tree = self.ok("ls", "--tree", "-o", "NAME,TARGET").splitlines()
        self.assertRegex(tree[2], "└─data +/mnt/a")
        self.assertEqual(self.service.requests[-1][1], "/v1/ls?fields=type,name,target")
        self.assertIn("WORKER", self.ok("ls", "-o", "+WORKER").splitlines()[0])

    def test_ls_of_nothing(self):
        self.answer("GET /v1/ls", {"rows": []})
        self.assertEqual(self.ok("ls"), "")
        self.assertEqual(json.loads(self.ok("ls", "--json", "-o", "NAME")), {"rows": []})

    def test_gids(self):
        gids = {"ranges": "50000-50001", "total": 2, "free": 1, "allocated": 1, "quarantined": 0, "out_of_range": 0,
                "holders": [{"gid": 50000, "state": "allocated", "volume": "data", "source": "/s",
                             "since": "2024-05-01T12:00:00Z", "in_range": True, "reason": None}]}
        self.answer("GET /v1/gids", gids)
        out = self.ok("gids")
        self.assertIn("total 2  free 1  allocated 1  quarantined 0  out_of_range 0\n", out)
        self.assertIn("50000 allocated", out)
        self.assertEqual(json.loads(self.ok("gids", "--json")), gids)

    # containers and the rest

    def test_container_verbs(self):
        container = {"id": "c", "supplementary_gids": [50000], "apply_to": "process", "mounts": []}
        self.answer("POST /v1/containers", container, 201)
        out = self.ok("container", "prepare", "c", "--volume", "data:/data:ro", "--volume", "/srv/a:b:/x", "--user",
                      "0", "--rootfs", "/r", "--pid", "12")
        self.assertEqual(json.loads(out), container)
        self.assertEqual(self.service.requests[-1][2], {
            "id": "c", "rootfs": "/r", "pid": 12, "user": 0, "volumes": [
                {"name": "data", "target": "/data", "read_only": True}, {"source": "/srv/a:b", "target": "/x"}]})
        self.answer("POST /v1/containers/c/update", container)
        self.ok("container", "update", "c")
        self.assertEqual(self.service.requests[-1][2], {"volumes": []})
        self.assertIn("--rootfs", self.wrong("container", "update", "c", "--rootfs", "/r"))
        self.answer("POST /v1/containers/c/restart", container)
        self.ok("container", "restart", "c", "--pid", "13")
        self.assertEqual(self.service.requests[-1][2], {"pid": 13})
        self.answer("DELETE /v1/containers/c", {})
        self.assertEqual(self.ok("container", "cleanup", "c"), "")
        self.answer("GET /v1/containers", {"containers": [container]})
        self.assertEqual(self.ok("container", "ls", "-n", "-o", "ID,GIDS"), "c 50000\n")

    def test_rootfs(self):
        self.answer("POST /v1/rootfs", {"id": "r", "path": "/run/r"}, 201)
        self.assertEqual(self.ok("rootfs", "create", "r", "--layer", "/low", "--layer", "/top", "--read-only",
                                 "--uidmap", "0:1:2"), "r /run/r\n")
        self.assertEqual(self.service.requests[-1][2], {"id": "r", "layers": ["/low", "/top"], "read_only": True,
                                                        "uidmap": "0:1:2"})
        self.answer("POST /v1/rootfs/flatten", {"operation": "op-1", "id": "flat"}, 202)
        self.answer("GET /v1/operations/op-1", {"state": "done", "done_entries": 3})
        self.assertEqual(self.ok("rootfs", "flatten", "--layer", "/low", "/flat"), "")
        self.answer("GET /v1/operations/op-1", {"state": "failed", "error": {"message": "disk full"}})
        self.assertEqual(self.wrong("rootfs", "flatten", "--layer", "/low", "/flat", status=1),
                         "gidfs: disk full\n")

    def test_blocks(self):
        self.answer("POST /v1/blocks", {"id": "c", "start": 231072, "count": 65536, "reused": False}, 201)
        self.assertEqual(self.ok("block", "create", "c"), "c 231072 65536\n")

    def test_recover(self):
        step = {"action": "cleanup", "what": "container", "name": "c", "target": None, "reason": "dead", "done": True,
                "error": None}
        self.answer("POST /v1/recover", {"dry_run": True, "plan": [step]})
        self.assertIn("cleanup", self.ok("recover", "--live", "a", "--live", "b", "--dry-run"))
        self.assertEqual(self.service.requests[-1][2], {"dry_run": True, "live": ["a", "b"]})
        self.ok("recover")
        self.assertEqual(self.service.requests[-1][2], {})
        self.ok("recover", "--none-live")
        self.assertEqual(self.service.requests[-1][2], {"live": []})
        self.answer("POST /v1/recover", {"dry_run": False, "plan": [{**step, "done": False, "error": "busy"}]})
        self.assertEqual(self.run_cli("recover").returncode, 1)

    def test_stats_and_top(self):
        view = {"name": "data", "gid": 50000, "requests": {"lookup": 3}, "total_requests": 3, "queue": 2}
        self.answer("GET /v1/stats", {"views": [view]})
        self.answer("GET /v1/stats/data", view)
        self.assertIn("data", self.ok("stats"))
        self.assertIn('{"lookup":3}', self.ok("stats", "data"))
        self.assertIn("data", self.ok("top"))

    def test_top_has_the_busiest_first(self):
        counts = iter([{"a": 10, "b": 20}, {"a": 1010, "b": 20}])

        class Growing(dict):
            def get(self, key, default=None):
                views = [{"name": name, "gid": 1, "total_requests": n} for name, n in next(counts).items()]
                return 200, {"views": views}

        self.service.answers = Growing()
        lines = self.ok("top", "-n", "2", "-d", "1").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["NAME", "a", "b", "NAME", "a", "b"])
        self.assertGreater(int(lines[4].split()[2]), 0)
        self.assertEqual(int(lines[5].split()[2]), 0)

    def test_drain_and_upgrade(self):
        self.answer("POST /v1/drain", {"unmounted": ["a"], "left": []})
        self.assertEqual(self.ok("drain"), "unmounted a\n")
        self.answer("POST /v1/drain", {"unmounted": [], "left": [{"name": "a", "reason": "1 attachment"}]})
        drained = self.run_cli("drain")
        self.assertEqual((drained.returncode, drained.stdout, drained.stderr), (1, "", "gidfs: a: 1 attachment\n"))
        self.answer("POST /v1/upgrade", {"upgraded": [], "errors": [{"name": "a", "message": "no"}],
                                         "service": "unchanged"})
        self.assertEqual(self.run_cli("upgrade", "a").returncode, 1)
        self.assertEqual(self.service.requests[-1][2], {"name": "a"})
        self.answer("POST /v1/upgrade", {"upgraded": [{"name": "a", "from": "1", "to": "2", "pause_ms": 7}],
                                         "errors": [], "service": "restarting"})
        self.assertEqual([line.split() for line in self.ok("upgrade").splitlines()],
                         [["NAME", "FROM", "TO", "PAUSE-MS"], ["a", "1", "2", "7"], ["service", "restarting"]])


if __name__ == "__main__":
    unittest.main()
