"""POSIX ACLs in a gid view (behaviours B1, B3, B5, B6): the kernel checks the ACL that the view reports."""
import errno
import os
import pathlib
import stat

from harness import MountTest, main, run_as
from harness.acl import DEFAULT, get_acl, set_acl

GID = 5001
OWNER, MEMBER, FRIEND, STRANGER = 1000, 1001, 1002, 1003
DISK_GID = 1000


def as_member(function, *arguments):
    return run_as(MEMBER, function, *arguments, groups=[GID])


def as_friend(function, *arguments):
    return run_as(FRIEND, function, *arguments)


def as_stranger(function, *arguments):
    return run_as(STRANGER, function, *arguments)


def write(path, text="new\n"):
    pathlib.Path(path).write_text(text)


def read(path):
    return pathlib.Path(path).read_text()


class Acls(MountTest):
    def make(self, name, mode, acl):
        """An entry of OWNER with an ACL; a directory if the name ends in a slash."""
        path = self.source / name.rstrip("/")
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text("content\n")
        os.chown(path, OWNER, DISK_GID)
        path.chmod(mode)
        if acl:
            set_acl(path, acl)
        return path

    def test_member_writes_in_a_directory_with_an_acl(self):
        disk = self.make("team/", 0o755, f"u::rwx,u:{FRIEND}:r-x,g::r-x,m::r-x,o::r-x")
        view = self.view(f"gid={GID}")
        as_member(write, view.path / "team" / "mine")
        status = (disk / "mine").stat()
        self.assertEqual((MEMBER, DISK_GID), (status.st_uid, status.st_gid))
        as_member(os.rename, view.path / "team" / "mine", view.path / "team" / "renamed")
        as_member(os.unlink, view.path / "team" / "renamed")

    def test_named_user_gets_no_more_than_on_disk(self):
        self.make("team/", 0o755, f"u::rwx,u:{FRIEND}:rwx,g::r-x,m::r-x,o::---")
        view = self.view(f"gid={GID}")
        as_member(write, view.path / "team" / "mine")
        as_friend(os.listdir, view.path / "team")
        self.assert_errno(errno.EACCES, as_friend, write, view.path / "team" / "other")

    def test_private_file_with_an_acl_stays_private(self):
        self.make("secret", 0o600, f"u::rw-,u:{FRIEND}:rw-,g::---,m::rw-,o::---")
        view = self.view(f"gid={GID}")
        self.assertEqual("content\n", as_friend(read, view.path / "secret"))
        self.assert_errno(errno.EACCES, as_member, read, view.path / "secret")
        self.assert_errno(errno.EACCES, as_member, write, view.path / "secret")

    def test_private_directory_with_an_acl_stays_private(self):
        self.make("home/", 0o700, f"u::rwx,u:{FRIEND}:r-x,g::---,m::r-x,o::---")
        view = self.view(f"gid={GID}")
        as_friend(os.listdir, view.path / "home")
        self.assert_errno(errno.EACCES, as_member, os.listdir, view.path / "home")
        self.assert_errno(errno.EACCES, as_member, write, view.path / "home" / "file")
        self.assert_errno(errno.EACCES, as_stranger, os.listdir, view.path / "home")

    def test_other_policies_add_their_bits(self):
        self.make("home/", 0o700, f"u::rwx,u:{FRIEND}:r-x,g::---,m::r-x,o::---")
        self.make("home/file", 0o600, f"u::rw-,u:{FRIEND}:r--,g::---,m::r--,o::---")
        mesos = self.view(f"gid={GID},policy=mesos")
        self.assertEqual(f"u::rwx,u:{FRIEND}:r-x,g::-w-,m::rwx,o::---", get_acl(mesos.path / "home"))
        fsgroup = self.view(f"gid={GID},policy=fsgroup")
        as_member(write, fsgroup.path / "home" / "file", "by a member\n")
        self.assert_errno(errno.EACCES, as_friend, write, fsgroup.path / "home" / "file")
        self.assertEqual("by a member\n", as_friend(read, fsgroup.path / "home" / "file"))

    def test_acl_written_back_changes_nothing_on_disk(self):
        acl = f"u::rwx,u:{FRIEND}:rwx,g::r-x,m::r-x,o::r-x"
        disk = self.make("team/", 0o755, acl)
        view = self.view(f"gid={GID}")
        shown = get_acl(view.path / "team")
        self.assertEqual(f"u::rwx,u:{FRIEND}:r-x,g::rwx,m::rwx,o::r-x", shown)
        run_as(OWNER, set_acl, view.path / "team", shown)
        self.assertEqual(acl, get_acl(disk))

    def test_edited_acl_takes_no_added_bits_to_the_disk(self):
        disk = self.make("plain/", 0o755, None)
        view = self.view(f"gid={GID}")
        self.assertEqual(0o2775, stat.S_IMODE((view.path / "plain").stat().st_mode))
        run_as(OWNER, set_acl, view.path / "plain", f"u::rwx,u:{FRIEND}:r-x,g::rwx,m::rwx,o::r-x")
        self.assertEqual(f"u::rwx,u:{FRIEND}:r-x,g::r-x,m::r-x,o::r-x", get_acl(disk))
        self.assertEqual(0o755, stat.S_IMODE(disk.stat().st_mode))
        as_member(write, view.path / "plain" / "file")

    def test_the_views_gid_stays_off_the_disk(self):
        disk = self.make("plain/", 0o755, None)
        view = self.view(f"gid={GID}")
        run_as(OWNER, set_acl, view.path / "plain", f"u::rwx,u:{FRIEND}:r-x,g::r-x,g:{GID}:rwx,m::rwx,o::---")
        run_as(OWNER, set_acl, view.path / "plain", f"u::rwx,g::---,g:{GID}:rwx,g:7:r-x,m::rwx,o::---", DEFAULT)
        self.assertEqual(f"u::rwx,u:{FRIEND}:r-x,g::r-x,m::r-x,o::---", get_acl(disk))
        self.assertEqual("u::rwx,g::rwx,g:7:r-x,m::rwx,o::---", get_acl(disk, DEFAULT))
        as_member(write, view.path / "plain" / "file")

    def test_mode_read_and_written_back_leaves_the_acl(self):
        acl = f"u::rwx,u:{FRIEND}:r-x,g::r-x,m::r-x,o::---"
        disk = self.make("team/", 0o750, acl)
        view = self.view(f"gid={GID}")
        run_as(OWNER, os.chmod, view.path / "team", stat.S_IMODE((view.path / "team").stat().st_mode))
        self.assertEqual(acl, get_acl(disk))

    def test_default_acl_is_inherited_and_replaces_the_umask(self):
        disk = self.make("team/", 0o775, None)
        set_acl(disk, f"u::rwx,u:{FRIEND}:rwx,g::rwx,m::rwx,o::---", DEFAULT)
        view = self.view(f"gid={GID}")
        self.assertEqual(f"u::rwx,u:{FRIEND}:rwx,g::rwx,m::rwx,o::---", get_acl(view.path / "team", DEFAULT))
        as_member(write, view.path / "team" / "file")
        self.assertEqual(f"u::rw-,u:{FRIEND}:rwx,g::rwx,m::rw-,o::---", get_acl(disk / "file"))
        as_friend(write, view.path / "team" / "file", "by a friend\n")
        self.assert_errno(errno.EACCES, as_stranger, read, view.path / "team" / "file")


if __name__ == "__main__":
    main()
