"""How often the server is asked, by its own count: an operation that the kernel can answer must not come back to it.

Requests that nobody waits for (a file was closed, an inode forgotten) are not counted. Where a number below is not the
least that can be thought of, it is the kernel that asks:
 - An operation that changes a directory makes its attributes unknown, and the next access check there asks for them.
   So the tests look at the directory first.
 - A name that is to be made, or renamed to, is looked up again even if it was known to be absent.
 - The first write after the attributes of a file were read asks for security.capability: it may have to be cleared.
 - Reading through passthrough makes the time of access unknown, and so does listing a directory that is not cached.
"""
import os
import stat

from harness import Actor, MountTest, main
from harness.control import Control

NOT_WAITED_FOR = {"RELEASE", "RELEASEDIR", "FORGET", "BATCH_FORGET", "INTERRUPT"}
N_DIRS, N_FILES = 20, 40


class RoundTrips(MountTest):

    def setUp(self):
        super().setUp()
        for number in range(N_DIRS):
            (self.source / "tree" / f"dir{number}").mkdir(parents=True)
            for file in range(N_FILES):
                (self.source / "tree" / f"dir{number}" / f"file{file}").write_text("content")
        for number in range(10):
            (self.source / f"file{number}").write_text("content")
        (self.source / "link").symlink_to("file1")
        socket = self.directory / "control.sock"
        self.path = self.view(f"gid=5000,control={socket}").path
        self.control = Control(socket)
        os.listdir(self.path)  # from here on the kernel opens directories without asking
        self.know(self.path)

    def know(self, *paths):
        """Makes the kernel know these, present or not."""
        for path in paths:
            os.path.lexists(path)

    def requests(self, do, *arguments):
        """What do() made the kernel ask and wait for."""
        before = self.control.stats()["requests"]
        do(*arguments)
        after = self.control.stats()["requests"]
        asked = {name: n - before.get(name, 0) for name, n in after.items() if name not in NOT_WAITED_FOR}
        return {name: n for name, n in asked.items() if n}

    def costs(self, wanted, do, *arguments):
        self.assertEqual(wanted, self.requests(do, *arguments))

    def test_what_is_known_is_not_asked_again(self):
        file, absent, link = self.path / "file1", self.path / "absent", self.path / "link"
        self.know(file, absent)
        os.readlink(link)
        os.listdir(self.path)
        os.stat(self.path)
        self.costs({}, os.stat, file)
        self.costs({}, os.path.exists, absent)
        self.costs({}, os.readlink, link)
        self.costs({}, os.listdir, self.path)
        self.costs({}, os.access, file, os.R_OK)

    def test_whoever_does_not_own_a_directory_asks_for_its_acl_once(self):
        """Below the root of the view: that one's ACL some kernels never keep (docs/performance.md)."""
        with Actor(1001, groups=(5000,)) as member:
            member.call(os.chdir, str(self.path / "tree" / "dir0"))
            member.call(os.listdir, ".")
            member.call(os.access, "file1", os.R_OK)
            self.costs({}, member.call, os.stat, "file1")
            self.costs({}, member.call, os.access, "file1", os.R_OK)

    def test_a_first_look_is_one_request(self):
        directory = self.path / "tree" / "dir0"
        self.know(directory)
        self.costs({"LOOKUP": 1}, os.stat, directory / "file1")
        self.costs({"LOOKUP": 1}, os.path.exists, directory / "absent")
        self.know(self.path / "link")
        self.costs({"READLINK": 1}, os.readlink, self.path / "link")

    def test_open_read_close_is_one_request(self):
        self.know(self.path / "file1")
        for _ in range(3):
            self.costs({"OPEN": 1}, read_once, self.path / "file1")

    def test_a_cold_walk_lists_and_looks_nothing_up(self):
        self.know(self.path / "tree")
        asked = self.requests(walk, self.path / "tree")
        lists = asked.pop("READDIRPLUS", 0) + asked.pop("READDIR", 0)
        self.assertLessEqual(lists, 2 * (N_DIRS + 1))  # each has an end, which is an answer of its own
        self.assertEqual({}, asked)

    def test_a_warm_walk_asks_nothing(self):
        walk(self.path / "tree")
        walk(self.path / "tree")
        self.costs({}, walk, self.path / "tree")

    def test_create_write_close(self):
        self.know(self.path / "new")
        asked = self.requests(create, self.path / "new")
        self.assertLessEqual(asked.pop("GETXATTR", 0), 1)
        self.assertEqual({"CREATE": 1}, asked)
        os.stat(self.path)
        asked = self.requests(create, self.path / "newer")
        self.assertLessEqual(asked.pop("GETXATTR", 0), 1)
        self.assertEqual({"LOOKUP": 1, "CREATE": 1}, asked)

    def test_data_of_an_open_file_asks_nothing(self):
        if not self.control.stats()["passthrough"]:
            self.skipTest("data goes through the server here")
        fd = os.open(self.path / "file1", os.O_RDWR)
        self.addCleanup(os.close, fd)
        os.pwrite(fd, b"first", 0)
        for _ in range(3):
            self.costs({}, os.pwrite, fd, b"x" * 4096, 4096)
            self.costs({}, os.pread, fd, 4096, 0)

    def test_what_changes_a_directory_is_one_request(self):
        names = self.path / "dir", self.path / "renamed", self.path / "linked", self.path / "symlink"
        self.know(*names, self.path / "file1", self.path / "file2", self.path / "file3")
        for wanted, do, arguments in (
                ("MKDIR", os.mkdir, names[:1]),
                ("RMDIR", os.rmdir, names[:1]),
                ("RENAME", os.rename, (self.path / "file1", names[1])),
                ("LINK", os.link, (self.path / "file2", names[2])),
                ("SYMLINK", os.symlink, ("file2", names[3])),
                ("UNLINK", os.unlink, (self.path / "file3",))):
            self.know(self.path, self.path / "file2")
            with self.subTest(wanted):
                asked = self.requests(do, *arguments)
                self.assertLessEqual(asked.pop("LOOKUP", 0), 0 if wanted in ("RMDIR", "UNLINK") else 1)
                self.assertEqual({wanted: 1}, {name.removesuffix("2"): n for name, n in asked.items()})

    def test_what_changes_attributes_is_one_request(self):
        self.know(self.path / "file1")
        self.costs({"SETATTR": 1}, os.chmod, self.path / "file1", 0o600)
        self.costs({"SETATTR": 1}, os.utime, self.path / "file1", (1, 2))
        self.costs({}, os.stat, self.path / "file1")

    def test_access_lists_are_asked_once(self):
        name = "system.posix_acl_access"
        self.know(self.path / "file1")
        absent(os.getxattr, self.path / "file1", name)
        self.costs({}, absent, os.getxattr, self.path / "file1", name)

    def test_the_views_own_changes_are_not_taken_for_others(self):
        os.mkdir(self.path / "dir")
        for number in range(50):
            create(self.path / "dir" / f"file{number}")
            os.rename(self.path / "dir" / f"file{number}", self.path / "dir" / f"renamed{number}")
            os.chmod(self.path / "dir" / f"renamed{number}", stat.S_IRUSR)
        for number in range(50):
            os.unlink(self.path / "dir" / f"renamed{number}")
        os.rmdir(self.path / "dir")
        os.listdir(self.path)
        # what is written through passthrough is the client's
        self.assertLessEqual(self.control.stats()["n_foreign_changes"], 50)


def absent(ask, *arguments):
    try:
        ask(*arguments)
    except OSError:
        pass


def read_once(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 4096)
    os.close(fd)


def create(path):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(fd, b"x" * 4096)
    os.close(fd)


def walk(root):
    for directory, _, files in os.walk(root):
        for name in files:
            os.lstat(os.path.join(directory, name))


if __name__ == "__main__":
    main()
