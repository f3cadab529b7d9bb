#!/usr/bin/env python3
"""cmake --install into a prefix of its own: all is there, runs from there, and others can build on it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ.get("GIDFS_BUILD_DIR", "build")).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
USER = r"""
#include <gidfs/gidfs.h>
#include <stdio.h>
int main(void)
{
    gidfs_client *client;
    if (gidfs_open("/nonexistent", 100, &client) < 0)
        return 1;
    if (gidfs_call(client, "GET", "/v1/ls", NULL, NULL) == 0)
        return 1;
    printf("%s: %s\n", gidfs_version(), gidfs_error_message(client));
    gidfs_close(client);
    return 0;
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(gidfs 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user gidfs::gidfs)
"""


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="gidfs-install-")
        cls.work = pathlib.Path(cls.dir.name)
        cls.prefix = cls.work / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.pc = next(cls.prefix.rglob("gidfs.pc"))
        (cls.work / "user.c").write_text(USER)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def test_programs_run_from_there(self):
        for name in ("bin/gidfs", "bin/gidfs-view", "sbin/gidfsd", "sbin/mount.gidfs", "sbin/mount.fuse.gidfs",
                     "libexec/gidfs/gidfs-nsmount", "libexec/gidfs/gidfs-check"):
            program = self.prefix / name
            self.assertTrue(os.access(program, os.X_OK), name)
            if "nsmount" not in name and "mount." not in name:
                self.assertRegex(run(program, "--version"), r"\d+\.\d+\.\d+")
                self.assertTrue(run(program, "--help"))
        done = subprocess.run([self.prefix / "bin/gidfs", "check", "--json"], capture_output=True, text=True,
                              timeout=120)
        self.assertIn('"checks"', done.stdout, "gidfs does not find gidfs-check from where it was installed")

    def test_files(self):
        for name in ("lib/systemd/system/gidfsd.service", "lib/tmpfiles.d/gidfs.conf", "include/gidfs/gidfs.h",
                     "share/doc/gidfs/examples/gidfs.conf", "share/bash-completion/completions/gidfs"):
            self.assertTrue((self.prefix / name).is_file(), name)

    def test_the_unit_makes_no_mount_namespace(self):
        unit = (self.prefix / "lib/systemd/system/gidfsd.service").read_text()
        settings = "\n".join(line for line in unit.splitlines() if not line.startswith("#"))
        self.assertNotRegex(settings,
                            r"(?m)^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary|Mount|Root)")
        self.assertRegex(settings, r"(?m)^KillMode=process$")
        self.assertIn(f"\nExecStart={self.prefix}/sbin/gidfsd\n", settings, "where it is installed, not configured for")

    def test_everybody_may_reach_the_table(self):
        """docs/table.md says so, and the directory is made by whoever comes first."""
        self.assertIn("\nStateDirectoryMode=0755\n", (self.prefix / "lib/systemd/system/gidfsd.service").read_text())
        self.assertRegex((self.prefix / "lib/tmpfiles.d/gidfs.conf").read_text(), r"(?m)^d +/var/lib/gidfs +0755 ")

    def test_the_example_configuration_has_every_key(self):
        documented = set(re.findall(r"\[(\w+)\] (\w+)", (SOURCE / "docs/config.md").read_text()))
        keys, group = set(), None
        for line in (self.prefix / "share/doc/gidfs/examples/gidfs.conf").read_text().splitlines():
            if line.startswith("["):
                group = line.strip("[]")
            elif match := re.match(r"#(\w+) = ", line):
                keys.add((group, match[1]))
        self.assertEqual(keys, documented)

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_completion(self):
        completion = self.prefix / "share/bash-completion/completions/gidfs"
        script = f'. {completion}; COMP_WORDS=(gidfs "$@"); COMP_CWORD=$#; _gidfs; echo "${{COMPREPLY[@]}}"'
        environment = {**os.environ, "PATH": f"{self.prefix}/bin:{os.environ['PATH']}", "GIDFS_SOCKET": "/nonexistent"}

        def complete(*words):
            return set(run("bash", "-c", script, "bash", *words, env=environment).split())

        page = run(self.prefix / "bin/gidfs", "--help")
        commands = [words.split() for words in re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", page, re.M)]
        self.assertEqual(complete("") - {"--socket", "--timeout", "--help", "--version"}, {c[0] for c in commands})
        for first in {c[0] for c in commands if len(c) == 2}:
            self.assertEqual(complete(first, ""), {c[1] for c in commands if c[0] == first})
        self.assertIn("--policy", complete("volume", "create", "--"))
        self.assertIn("--tree", complete("ls", "--"))

    @unittest.skipUnless(shutil.which("pkg-config") and shutil.which("cc"), "no pkg-config or compiler")
    def test_pkg_config(self):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "gidfs", env=environment).split()
        run("cc", "-o", self.work / "user", self.work / "user.c", *flags)
        out = run(self.work / "user", env={**os.environ, "LD_LIBRARY_PATH": str(self.pc.parent.parent)})
        version = run("pkg-config", "--modversion", "gidfs", env=environment).strip()
        self.assertRegex(out, rf"^{re.escape(version)}: cannot reach")

    @unittest.skipUnless(shutil.which("cc"), "no compiler")
    def test_cmake_package(self):
        source = self.work / "project"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(PROJECT)
        shutil.copy(self.work / "user.c", source)
        run("cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", source / "build")
        self.assertIn("cannot reach", run(source / "build/user"))


if __name__ == "__main__":
    unittest.main()
