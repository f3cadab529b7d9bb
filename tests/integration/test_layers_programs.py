"""Real programs that go on in a layered view with what a lower layer holds."""
import os
import pathlib
import shutil

from harness import LayersTest, clean_environment, main, run, snapshot
from test_programs import Postgres, programs

N_FILES = 120


class Programs(LayersTest):
    size_mib = 1024

    def setUp(self):
        super().setUp()
        self.set = self.layers(1)
        self.lower = self.set.lower[0]
        self.home = self.new_directory()
        self.home.chmod(0o777)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.before, snapshot(self.lower))

    def mount(self):
        self.before = snapshot(self.lower)
        return self.set.mount().path

    def remount(self):
        self.set.unmount()
        return self.set.mount().path

    def git(self, directory, *words):
        (self.home / ".gitconfig").write_text("[user]\n name = a\n email = a@b\n[init]\n defaultBranch = main\n")
        environment = clean_environment(HOME=str(self.home), GIT_CONFIG_NOSYSTEM="1")
        return run(["git", *words], cwd=directory, env=environment).stdout

    @programs("git")
    def test_git(self):
        repository = self.lower / "repository"
        repository.mkdir()
        self.git(repository, "init", "-q")
        for number in range(N_FILES):
            directory = repository / f"d{number % 7}"
            directory.mkdir(exist_ok=True)
            (directory / f"f{number}").write_text(f"{number}\n" * 50)
        self.git(repository, "add", ".")
        self.git(repository, "commit", "-qm", "files")
        repository = self.mount() / "repository"
        self.assertEqual("", self.git(repository, "status", "--short"))
        self.git(repository, "checkout", "-qb", "side")
        self.git(repository, "mv", "d1", "moved")
        self.git(repository, "rm", "-qr", "d2")
        (repository / "d3" / "f3").write_text("changed")
        self.git(repository, "commit", "-qam", "changes")
        self.git(repository, "checkout", "-q", "main")
        self.assertTrue((repository / "d2" / "f2").exists())
        self.git(repository, "merge", "-q", "side")
        self.git(repository, "gc", "-q", "--prune=now")
        repository = self.remount() / "repository"
        self.git(repository, "fsck", "--strict")
        self.assertEqual("", self.git(repository, "status", "--short"))
        self.assertEqual(["d0", "d3", "d4", "d5", "d6", "moved"],
                         sorted(path.name for path in repository.iterdir() if path.name != ".git"))

    def test_postgresql(self):
        """A cluster from a lower layer: what is read, changed, and recovered after a crash."""
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        if not folders:
            self.before = snapshot(self.lower)
            self.skipTest("not installed: PostgreSQL")
        self.shown = self.lower
        self.lower.chmod(0o777)
        server = Postgres(self, folders[-1])
        server.data = self.mount() / "pg"
        server.work_through_a_crash()
        self.remount()
        server.start()
        self.assertEqual("20000", server.sql("SELECT count(*) FROM t").strip())
        server.stop()

    def build_package(self, version, names, configuration):
        root = self.new_directory(prefix=f"package-{version}-")
        for name in names:
            path = root / "usr" / "share" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{version} {name}\n")
        (root / "etc").mkdir()
        (root / "etc" / "thing.conf").write_text(configuration)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN" / "conffiles").write_text("/etc/thing.conf\n")
        (root / "DEBIAN" / "control").write_text(f"Package: thing\nVersion: {version}\nArchitecture: all\n"
                                                 "Maintainer: a <a@b>\nDescription: thing\n")
        package = self.directory / f"thing-{version}.deb"
        run(["dpkg-deb", "-b", "-Znone", "--root-owner-group", root, package])
        return package

    @programs("dpkg", "dpkg-deb")
    def test_dpkg(self):
        """An upgrade and a removal of what a lower layer has installed, as in a plain directory."""
        old = self.build_package(1, [f"d{n % 5}/f{n}" for n in range(N_FILES)], "old\n")
        new = self.build_package(2, [f"d{n % 6}/f{n}" for n in range(20, N_FILES)], "new\n")
        (self.lower / "var" / "lib" / "dpkg" / "updates").mkdir(parents=True)
        (self.lower / "var" / "lib" / "dpkg" / "status").touch()
        run(["dpkg", f"--root={self.lower}", "--log=/dev/null", "-i", old])
        plain = self.new_directory(self.fs.path) / "plain"
        shutil.copytree(self.lower, plain, symlinks=True)
        shown = self.mount()
        for words in (["-i", new], ["-i", old], ["-r", "thing"], ["-i", new], ["-P", "thing"]):
            for root in (plain, shown):
                run(["dpkg", f"--root={root}", "--log=/dev/null", "--force-confnew,downgrade", *words])
            self.assertEqual(self.content(plain), self.content(shown), words)
        self.assertFalse((shown / "etc" / "thing.conf").exists())
        self.assertEqual(self.content(plain), self.content(self.remount()))

    def content(self, root):
        return {name: (entry["mode"], entry.get("content")) for name, entry in snapshot(root, times=False).items()
                if not name.endswith("-old")}


if __name__ == "__main__":
    main()
