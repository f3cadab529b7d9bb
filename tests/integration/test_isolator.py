#!/usr/bin/env python3
"""The isolator of docs/isolators.md, compiled as it stands there, starts containers that share volumes."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

from harness import MountTest, Service, is_mount_point, main, skip_file, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GIDFS_BUILD_DIR", "build")).resolve()
BUSYBOX = shutil.which("busybox")
TOOLS = ("sh", "cat", "id", "ls", "stat", "sleep", "touch", "echo", "mkdir")


class IsolatorTest(MountTest):
    size_mib = 64

    @classmethod
    def build(cls, directory):
        text = (ROOT / "docs/isolators.md").read_text()
        source = directory / "isolator.c"
        source.write_text(re.search(r"```c\n(.*?)```", text, re.S)[1])
        flags = os.environ.get("GIDFS_TEST_CFLAGS", "").split()
        done = subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", *flags, f"-I{ROOT}/include", "-o",
                               directory / "isolator", source, f"-L{BUILD}/src", "-lgidfs"], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return directory / "isolator"

    def setUp(self):
        super().setUp()
        self.work = pathlib.Path(self.new_directory(prefix="isolator-"))
        self.work.chmod(0o755)
        self.isolator = self.build(self.work)
        self.service = Service("--gid-range", "50000-50009", directory=self.new_directory(prefix="service-"))
        self.addCleanup(self.service.discard)
        self.call = self.service.call
        self.service.start()
        self.data = self.source / "data"
        self.data.mkdir(mode=0o770)
        self.volume = self.call("POST", "/v1/volumes", {"name": "data", "source": str(self.data)})

    def new_root(self, name):
        root = self.work / name
        for folder in ("bin", "data", "proc"):
            (root / folder).mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin/busybox")
        for tool in TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        return root

    def environment(self):
        return {"PATH": "/bin:/usr/bin", "LD_LIBRARY_PATH": str(BUILD / "src"), "GIDFS_SOCKET":
                str(self.service.socket_path), "LC_ALL": "C.UTF-8"}

    def start(self, name, uid, script, volumes=("data:/data",)):
        root = self.new_root(name)
        command = [self.isolator, "run", name, root, str(uid), *volumes, "--", "/bin/sh", "-c", script]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.environment())

    def run_container(self, name, uid, script, volumes=("data:/data",)):
        process = self.start(name, uid, script, volumes)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def containers(self):
        return [container["id"] for container in self.call("GET", "/v1/containers")["containers"]]

    def test_two_users_share_a_volume(self):
        gid = self.volume["gid"]
        done = self.run_container("one", 1001, "umask 002; mkdir /data/d && echo one > /data/d/f && id -G && "
                                               "stat -c %g:%a /data/d")
        self.assertEqual(done, (0, f"1001 {gid}\n{gid}:2775\n", ""))
        done = self.run_container("two", 1002, "cat /data/d/f && echo two >> /data/d/f && cat /data/d/f")
        self.assertEqual(done, (0, "one\none\ntwo\n", ""))
        self.assertEqual((self.data / "d/f").read_text(), "one\ntwo\n")
        self.assertEqual((self.data / "d/f").stat().st_uid, 1001)
        self.assertNotEqual((self.data / "d/f").stat().st_gid, gid, "the view's gid reached the disk")
        self.assertEqual(self.containers(), [])

    def test_a_container_gets_what_it_asked_for_and_no_more(self):
        self.assertEqual(self.run_container("none", 1001, "id -G; ls /data", volumes=()), (0, "1001\n", ""))
        other = self.source / "other"
        other.mkdir(mode=0o770)
        gid = self.call("POST", "/v1/volumes", {"name": "other", "source": str(other)})["gid"]
        done = self.run_container("both", 1001, "id -G; touch /other/x", volumes=("data:/data", "other:/other"))
        self.assertEqual(done, (0, f"1001 {self.volume['gid']} {gid}\n", ""))
        done = self.run_container("root", 0, "id -G; touch /data/by-root")
        self.assertEqual(done, (0, "0\n", ""), "root needs no gid and gets none")

    def test_nothing_reaches_the_host_or_the_other(self):
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        process = self.start("three", 1003, "echo ready; read line; echo $line")
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertFalse(is_mount_point(self.work / "three/data"), "the mount is in the container's namespace alone")
        self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before)
        self.assertEqual(self.containers(), ["three"])
        self.assertEqual(process.communicate("go\n", timeout=60)[0], "go\n")
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.containers(), [])

    def test_errors_reach_the_caller(self):
        status, _, err = self.run_container("four", 1001, "echo no", volumes=("absent:/data",))
        self.assertEqual(status, 125)
        self.assertIn("absent", err)
        status, _, err = self.run_container("five", 1001, "echo no", volumes=("data:/bin/sh",))
        self.assertEqual(status, 125)
        self.assertIn("/bin/sh", err)
        self.assertEqual(self.run_container("six", 1001, "exit 7")[0], 7)
        self.assertEqual(self.containers(), [])

    def test_recover_after_the_isolator_was_killed(self):
        process = self.start("seven", 1001, "echo ready; sleep 600")
        self.assertEqual(process.stdout.readline(), "ready\n")
        pid = self.call("GET", "/v1/containers/seven")["pid"]
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        self.recover("seven")
        self.assertEqual(self.containers(), ["seven"], "it still lives")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}/root/bin").exists(), "the container's end")
        self.recover()
        self.assertEqual(self.containers(), [])
        self.assertEqual(self.call("DELETE", "/v1/volumes/data")["name"], "data")

    def recover(self, *live):
        done = subprocess.run([self.isolator, "recover", *live], capture_output=True, text=True, timeout=60,
                              env=self.environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_many_at_once(self):
        processes = [self.start(f"many-{i}", 2000 + i, f"umask 002; echo {i} >> /data/log && id -G")
                     for i in range(8)]
        results = [None] * len(processes)

        def finish(i):
            out, err = processes[i].communicate(timeout=100)
            results[i] = (processes[i].returncode, out, err)

        threads = [threading.Thread(target=finish, args=(i,)) for i in range(len(processes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, result in enumerate(results):
            self.assertEqual(result, (0, f"{2000 + i} {self.volume['gid']}\n", ""))
        self.assertEqual(sorted((self.data / "log").read_text().split()), sorted(str(i) for i in range(8)))


if __name__ == "__main__":
    if not BUSYBOX or "dynamic" in subprocess.run(["ldd", BUSYBOX], capture_output=True, text=True).stdout:
        skip_file("no static busybox to run in containers")
    if not shutil.which("cc"):
        skip_file("no compiler")
    main()
