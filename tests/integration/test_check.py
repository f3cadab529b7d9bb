#!/usr/bin/env python3
"""gidfs check: tries things for real, without a service, and leaves nothing behind."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import Service, main
from harness.api import call

BIN = pathlib.Path(os.environ.get("GIDFS_BUILD_DIR", "build")).resolve() / "bin"
NAMES = ["capabilities", "fuse", "mount-api", "file-handles", "fanotify", "passthrough", "idmapped-mounts", "overlay"]


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="gidfs-check-test-")
        os.chmod(self.dir.name, 0o777)

    def tearDown(self):
        self.assertEqual(os.listdir(self.dir.name), [], "something was left behind")
        self.dir.cleanup()

    def check(self, *args, before=(), program="gidfs"):
        command = [*before, str(BIN / program), *(["check"] if program == "gidfs" else []), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertNotIn(self.dir.name, pathlib.Path("/proc/self/mountinfo").read_text())
        return done

    def results(self, done):
        answer = json.loads(done.stdout)
        self.assertEqual([check["name"] for check in answer["checks"]], NAMES)
        for check in answer["checks"]:
            self.assertEqual(set(check), {"name", "ok", "needed", "detail", "remedy"})
            self.assertTrue(check["detail"])
            self.assertEqual(check["remedy"] is None, check["ok"])
        self.assertEqual(answer["ok"], done.returncode == 0)
        return {check["name"]: check for check in answer["checks"]}

    def test_both_forms_agree(self):
        checks = self.results(self.check("--json", "--dir", self.dir.name))
        text = self.check("--dir", self.dir.name).stdout
        for name, check in checks.items():
            self.assertRegex(text, rf"(?m)^{'ok' if check['ok'] else '(FAILED|missing)'} +{name} ")

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv")
    def test_a_failure_is_told(self):
        done = self.check("--json", "--dir", self.dir.name,
                          before=["setpriv", "--reuid", "65533", "--clear-groups", "--inh-caps=-all"])
        checks = self.results(done)
        self.assertEqual(done.returncode, 1)
        self.assertFalse(checks["capabilities"]["ok"])
        self.assertIn("sys_admin", checks["capabilities"]["detail"])
        self.assertFalse(checks["fuse"]["ok"])

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv")
    def test_one_missing_capability_is_found_by_trying(self):
        done = self.check("--json", "--dir", self.dir.name,
                          before=["setpriv", "--bounding-set", "-dac_read_search", "--inh-caps", "-dac_read_search"])
        checks = self.results(done)
        self.assertFalse(checks["file-handles"]["ok"])
        self.assertIn("dac_read_search", checks["capabilities"]["detail"])

    def test_the_service_says_the_same(self):
        service = Service(directory=tempfile.mkdtemp(prefix="gidfs-check-service-"))
        service.start()
        self.addCleanup(service.stop)
        answer = call(service.socket_path, "GET", "/v1/check")[1]
        own = json.loads(self.check("--json", "--dir", str(service.state_dir)).stdout)
        self.assertEqual([(check["name"], check["ok"]) for check in answer["checks"]],
                         [(check["name"], check["ok"]) for check in own["checks"]])
        self.assertEqual(list(service.state_dir.glob("gidfs-check-*")), [])

    def test_wrong_usage(self):
        self.assertEqual(self.check("--oops").returncode, 2)
        self.assertEqual(self.check("extra").returncode, 2)
        self.assertEqual(self.check("extra", program="gidfs-check").returncode, 2)
        done = self.check("--dir", "/nonexistent")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/nonexistent", done.stderr)
        self.assertRegex(self.check("--version", program="gidfs-check").stdout, r"^gidfs-check \d")


if __name__ == "__main__":
    main()
