"""The layered view: what shows of the layers, and what of a change reaches which layer (behaviours D1 to D8)."""
import errno
import os
import pathlib
import signal
import stat

from harness import Actor, LayersTest, main, make_tree, mount_entry, run, run_as, snapshot, wait_until, write_tree
from harness.control import Control


class Shown(LayersTest):
    """Reading: whiteouts of both forms, whatever lies over whatever."""

    def test_layers_merge_the_first_on_top(self):
        layers = self.layers()
        write_tree(layers.lower[0], {"d": {"new": "top", "both": "top"}, "file": "top"})
        write_tree(layers.lower[1], {"d": {"old": "low", "both": "low"}, "file": "low", "only": "low"})
        view = layers.mount(read_only=True)
        self.assertEqual(["both", "new", "old"], sorted(os.listdir(view.path / "d")))
        self.assertEqual("top", (view.path / "d" / "both").read_text())
        self.assertEqual("low", (view.path / "only").read_text())
        self.assert_errno(errno.EROFS, (view.path / "x").touch)

    def test_both_forms_of_whiteout_in_one_directory(self):
        layers = self.layers(3)
        write_tree(layers.lower[0], {"d": {".wh.a": "", "kept": "0"}, "o": {".wh..wh..opq": "", "x": "0"}})
        write_tree(layers.lower[1], {"d": {"b.new": "1"}, "p": {"x": "1"}})
        self.whiteout(layers.lower[1] / "d" / "b")
        os.setxattr(layers.lower[1] / "p", "trusted.overlay.opaque", b"y")
        write_tree(layers.lower[2], {"d": {"a": "2", "b": "2", "c": "2"}, "o": {"y": "2"}, "p": {"y": "2"}})
        view = layers.mount()
        self.assertEqual(["b.new", "c", "kept"], sorted(os.listdir(view.path / "d")))
        for hidden in ("d/a", "d/b", "d/.wh.a", "o/y", "o/.wh..wh..opq", "p/y"):
            self.assert_errno(errno.ENOENT, os.lstat, view.path / hidden)
        self.assertEqual(["x"], os.listdir(view.path / "o"))
        self.assertEqual(["x"], os.listdir(view.path / "p"))

    def test_names_are_the_same_once_a_directory_is_asked_often(self):
        layers = self.layers(6)
        for number, layer in enumerate(layers.lower):
            write_tree(layer, {"d": {f"only{number}": str(number), "all": str(number), f"gone{number}": "x"}})
        write_tree(layers.lower[2], {"d": {".wh.gone4": "", ".wh.only2": ""}})
        self.whiteout(layers.lower[1] / "d" / "gone5")
        write_tree(layers.upper, {"d": {".wh.gone0": ""}})
        view = layers.mount()
        shown = view.path / "d"
        for number in range(40):
            self.assertFalse((shown / f"none{number}").exists())
        self.assertEqual([str(n) for n in range(6)], [(shown / f"only{n}").read_text() for n in range(6)])
        self.assertEqual("0", (shown / "all").read_text())
        self.assertEqual([1, 2, 3], [n for n in range(6) if (shown / f"gone{n}").exists()])
        (shown / "all").unlink()
        (shown / "gone1").unlink()
        (shown / "gone5").write_text("new")
        (shown / "only3").rename(shown / "moved")
        self.assertEqual("3", (shown / "moved").read_text())
        wanted = ["gone2", "gone3", "gone5", "moved", "only0", "only1", "only2", "only4", "only5"]
        self.assertEqual(wanted, sorted(os.listdir(shown)))
        self.assertEqual(wanted, sorted(n for n in [*wanted, "all", "gone1", "only3"] if (shown / n).exists()))

    def test_a_layer_that_changes_is_seen_without_a_cache(self):
        layers = self.layers(3)
        for layer in layers.lower:
            write_tree(layer, {"d": {"x": "x"}})
        view = layers.mount("cache=none")
        for number in range(40):
            self.assertFalse((view.path / "d" / f"new{number}").exists())
        for number, layer in enumerate(layers.lower):
            (layer / "d" / f"new{number}").write_text("new")
        self.assertTrue(all((view.path / "d" / f"new{number}").exists() for number in range(3)))
        self.assertEqual(["new0", "new1", "new2", "x"], sorted(os.listdir(view.path / "d")))

    def test_hostile_whiteouts_hide_nothing_and_are_not_shown(self):
        layers = self.layers()
        write_tree(layers.lower[0], {"d": {".wh.": "", ".wh..": "", ".wh...": ""}, ".wh...": ""})
        write_tree(layers.lower[1], {"d": {"kept": "1"}})
        view = layers.mount()
        self.assertEqual(["d"], os.listdir(view.path))
        self.assertEqual(["kept"], os.listdir(view.path / "d"))

    def test_the_upper_one_wins_whatever_the_types(self):
        layers = self.layers()
        write_tree(layers.lower[0], {"dir_on_file": {"x": "0"}, "file_on_dir": "0", "dir_on_link": {"x": "0"},
                                     "link_on_dir": ("/etc",), "file_on_link": "0"})
        write_tree(layers.lower[1], {"dir_on_file": "1", "file_on_dir": {"y": "1"}, "dir_on_link": ("/etc",),
                                     "link_on_dir": {"y": "1"}, "file_on_link": ("/etc/passwd",)})
        view = layers.mount()
        self.assertEqual(["x"], os.listdir(view.path / "dir_on_file"))
        self.assertEqual("0", (view.path / "file_on_dir").read_text())
        self.assertEqual(["x"], os.listdir(view.path / "dir_on_link"))
        self.assertEqual("/etc", os.readlink(view.path / "link_on_dir"))
        self.assertEqual("0", (view.path / "file_on_link").read_text())

    def test_no_layers_and_bad_layers_are_refused(self):
        layers = self.layers()
        self.assertIn("nothere", self.refused(f"lowerdir={layers.root}/nothere", source="x"))
        self.assertIn("workdir", self.refused(f"lowerdir={layers.lower[0]},upperdir={layers.upper}", source="x"))
        self.refused("lowerdir=", source="x")

    def test_mount_points_in_the_upper_stay(self):
        """The host has mounted something there: the view may not take that away."""
        layers = self.layers()
        for name in ("mounted", "dir"):
            (layers.upper / name).mkdir()
        for name in ("file", "other"):
            (layers.upper / name).write_text(name)
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", layers.upper / "mounted"])
        self.addCleanup(run, ["umount", "-l", layers.upper / "mounted"], check=False)
        run(["mount", "--bind", layers.upper / "other", layers.upper / "file"])
        self.addCleanup(run, ["umount", "-l", layers.upper / "file"], check=False)
        root = layers.mount().path
        for function, *names in ((os.rmdir, "mounted"), (os.unlink, "file"), (os.rename, "mounted", "moved"),
                                 (os.rename, "file", "moved"), (os.rename, "dir", "mounted"),
                                 (os.rename, "other", "file")):
            with self.subTest(f"{function.__name__} {names}"):
                with self.assertRaises(OSError) as caught:
                    function(*(root / name for name in names))
                self.assertEqual(errno.EBUSY, caught.exception.errno)
        for name in ("mounted", "file"):
            self.assertIsNotNone(mount_entry(layers.upper / name), name)

    def test_layers_that_do_not_go_together_are_refused(self):
        """Nothing is made in an upper, nor changed in a lower layer, by a mistake in the options."""
        layers = self.layers()
        lower, upper, work = layers.lower[0], layers.upper, layers.work
        link = layers.root / "link"
        link.symlink_to(upper)
        for directories in (upper, upper), (upper, link), (upper, upper / ".."), (layers.root, work):
            options = f"lowerdir={lower},upperdir={directories[0]},workdir={directories[1]}"
            self.assertIn("lies in the other", self.refused(options, source="x"))
        self.assertIn("is a lower layer",
                      self.refused(f"lowerdir={lower}:{upper},upperdir={link},workdir={work}", source="x"))
        self.assertEqual(([], []), (os.listdir(upper), os.listdir(work)))

    def test_five_hundred_layers(self):
        layers = self.layers(0)
        for number in range(500):
            path = layers.root / f"{number:03}"
            path.mkdir()
            write_tree(path, {"d": {f"f{number}": str(number)}, "all": str(number)})
            layers.lower.append(path)
        view = layers.mount()
        self.assertEqual(500, len(os.listdir(view.path / "d")))
        self.assertEqual("0", (view.path / "all").read_text())
        (view.path / "d" / "f499").write_text("changed")
        self.assertEqual("changed", (layers.upper / "d" / "f499").read_text())


class Changed(LayersTest):
    """Writing: copy-up, deletion, renames."""

    def test_lower_layers_never_change(self):
        layers = self.layers()
        make_tree(layers.lower[1])
        write_tree(layers.lower[0], {"shared": {"more": "0"}})
        before = [snapshot(path) for path in layers.lower]
        view = layers.mount()
        with open(view.path / "shared" / "data", "a", encoding="ascii") as file:
            file.write("appended")
        (view.path / "plain" / "data").chmod(0o600)
        os.chown(view.path / "private", 5, 5)
        os.rename(view.path / "sticky", view.path / "moved")
        run(["rm", "-rf", view.path / "setgid"])
        os.setxattr(view.path / "shared" / "read", "user.x", b"1")
        os.truncate(view.path / "shared" / "program", 3)
        os.utime(view.path / "plain", (1, 1))
        self.assertEqual(before, [snapshot(path) for path in layers.lower])

    def test_reading_leaves_no_times_of_access_in_lower_layers(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"d": {"f": "1"}})
        paths = [layers.lower[0] / "d" / "f", layers.lower[0] / "d"]
        for path in paths:
            os.utime(path, (1, 2))  # so long ago that reading would be noted (relatime)
        view = layers.mount()
        self.assertEqual(["f"], os.listdir(view.path / "d"))
        self.assertEqual("1", (view.path / "d" / "f").read_text())
        self.assertEqual([1, 1], [path.stat().st_atime for path in paths])

    def test_copy_up_keeps_everything(self):
        layers = self.layers(1)
        path = layers.lower[0] / "d" / "file"
        path.parent.mkdir(mode=0o750)
        with open(path, "wb") as file:
            file.write(b"head" * 1000)
            file.seek(8 << 20)
            file.write(b"tail")
        os.chown(path, 1234, 2345)
        path.chmod(0o4711)
        os.setxattr(path, "user.note", b"kept")
        run(["setfacl", "-m", "u:1001:r", path])
        os.utime(path, ns=(10**18 + 1, 10**18 + 2))
        os.utime(path.parent, ns=(10**18 + 3, 10**18 + 4))
        before, status = snapshot(layers.lower[0] / "d"), path.stat()
        view = layers.mount("suid")
        (view.path / "d" / "file").chmod(stat.S_IMODE(status.st_mode))  # changes nothing
        self.assertTrue((layers.upper / "d" / "file").exists())
        self.assertEqual(before, snapshot(view.path / "d"))
        self.assertLessEqual((layers.upper / "d" / "file").stat().st_blocks, status.st_blocks + 64)

    def test_marks_are_not_shown_nor_set(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"f": "1", "d": {"x": "1"}})
        view = layers.mount()
        (view.path / "f").write_text("2")
        os.rename(view.path / "d", view.path / "e")
        self.assertEqual([], [name for name in os.listxattr(view.path / "f") if "overlay" in name])
        self.assertEqual([], [name for name in os.listxattr(view.path / "e") if "overlay" in name])
        self.assert_errno(errno.ENODATA, os.getxattr, view.path / "e", "trusted.overlay.redirect")
        self.assert_errno(errno.ENODATA, os.removexattr, view.path / "e", "trusted.overlay.redirect")
        self.assert_errno(errno.EPERM, (view.path / ".wh.f").touch)
        self.assert_errno(errno.EPERM, os.mknod, view.path / "n", stat.S_IFCHR | 0o600, os.makedev(0, 0))

    def test_overlay_xattrs_of_clients_are_kept_and_steer_nothing(self):
        """As with the kernel's overlayfs, which puts them out of its own way."""
        layers = self.layers(1)
        write_tree(layers.lower[0], {"d": {"x": "1"}, "f": "1"})
        os.setxattr(layers.lower[0] / "f", "trusted.overlay.overlay.below", b"kept")
        view = layers.mount()
        for name in ("trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.opaque"):
            os.setxattr(view.path / "d", name, b"y")
        os.setxattr(view.path / "f", "trusted.overlay.metacopy", b"")
        for _ in range(2):
            self.assertEqual(["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque"],
                             sorted(os.listxattr(view.path / "d")))
            self.assertEqual(b"y", os.getxattr(view.path / "d", "trusted.overlay.redirect"))
            self.assertEqual(b"kept", os.getxattr(view.path / "f", "trusted.overlay.below"))
            self.assertEqual(["x"], os.listdir(view.path / "d"))
            self.assertEqual("1", (view.path / "f").read_text())
            layers.unmount()
            view = layers.mount()
        self.assertEqual(b"y", os.getxattr(layers.upper / "d", "trusted.overlay.overlay.redirect"))
        os.removexattr(view.path / "d", "trusted.overlay.redirect")
        self.assertNotIn("trusted.overlay.overlay.redirect", os.listxattr(layers.upper / "d"))
        self.assert_errno(errno.ERANGE, os.setxattr, view.path / "f", "trusted.overlay." + "n" * 239, b"")

    def test_deleted_names_stay_deleted_and_come_back_new(self):
        layers = self.layers()
        write_tree(layers.lower[1], {"f": "old", "d": {"x": "old", "y": {"z": "old"}}})
        for form in ("overlay", "aufs"):
            with self.subTest(form=form):
                layers.upper = layers.root / f"upper-{form}"
                layers.work = layers.root / f"work-{form}"
                layers.upper.mkdir()
                layers.work.mkdir()
                view = layers.mount(f"whiteouts={form}")
                (view.path / "f").unlink()
                run(["rm", "-r", view.path / "d"])
                self.assertEqual([], os.listdir(view.path))
                kinds = {stat.S_IFMT(os.lstat(path).st_mode) for path in layers.upper.iterdir()}
                self.assertEqual({stat.S_IFCHR} if form == "overlay" else {stat.S_IFREG}, kinds)
                layers.unmount()
                view = layers.mount(f"whiteouts={form}")
                self.assertEqual([], os.listdir(view.path))
                (view.path / "d").mkdir()
                (view.path / "f").write_text("new")
                self.assertEqual([], os.listdir(view.path / "d"))
                layers.unmount()
                view = layers.mount(f"whiteouts={form}")
                self.assertEqual([], os.listdir(view.path / "d"))
                self.assertEqual("new", (view.path / "f").read_text())
                (view.path / "f").unlink()
                (view.path / "d").rmdir()
                self.assertEqual([], os.listdir(view.path))
                layers.unmount()

    def test_directories_of_lower_layers_are_renamed(self):
        layers = self.layers()
        write_tree(layers.lower[0], {"a": {"b": {"top": "0"}}, "other": {}})
        write_tree(layers.lower[1], {"a": {"b": {"low": "1"}}, "covered": {"x": "1"}})
        for form in ("overlay", "aufs"):
            with self.subTest(form=form):
                layers.upper, layers.work = layers.root / f"u-{form}", layers.root / f"w-{form}"
                layers.upper.mkdir()
                layers.work.mkdir()
                view = layers.mount(f"whiteouts={form}")
                os.rename(view.path / "a", view.path / "renamed")
                os.rename(view.path / "renamed" / "b", view.path / "other" / "moved")
                (view.path / "fresh").mkdir()
                run(["rm", "-r", view.path / "covered"])
                os.rename(view.path / "fresh", view.path / "covered")
                for _ in range(2):
                    self.assertEqual(["low", "top"], sorted(os.listdir(view.path / "other" / "moved")))
                    self.assertEqual("1", (view.path / "other" / "moved" / "low").read_text())
                    self.assertEqual([], os.listdir(view.path / "renamed"))
                    self.assertEqual([], os.listdir(view.path / "covered"))
                    self.assertEqual(["covered", "other", "renamed"], sorted(os.listdir(view.path)))
                    layers.unmount()
                    view = layers.mount(f"whiteouts={form}")
                layers.unmount()

    def test_exchange_and_no_replace(self):
        layers = self.layers()
        write_tree(layers.lower[1], {"f": "file", "d": {"x": "in d"}, "e": {"y": "in e"}})
        view = layers.mount()
        run(["python3", "-c", EXCHANGE, view.path / "f", view.path / "d", "2"])
        run(["python3", "-c", EXCHANGE, view.path / "f", view.path / "e", "2"])
        self.assertEqual("file", (view.path / "d").read_text())
        self.assertEqual("in e", (view.path / "f" / "y").read_text())
        self.assertEqual("in d", (view.path / "e" / "x").read_text())
        self.assertEqual(1, run(["python3", "-c", EXCHANGE, view.path / "d", view.path / "e", "1"],
                                check=False).returncode)
        before = snapshot(view.path)
        layers.unmount()
        self.assertEqual(before, snapshot(layers.mount().path))

    def test_a_reader_keeps_its_data_while_others_write(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"f": "before"})
        view = layers.mount()
        with open(view.path / "f", encoding="ascii") as reader, open(view.path / "f", "r+", encoding="ascii") as writer:
            number = os.fstat(reader.fileno()).st_ino
            writer.write("AFTER.")
            writer.flush()
            self.assertEqual("before", reader.read())
            self.assertEqual("AFTER.", (view.path / "f").read_text())
            os.fchmod(reader.fileno(), 0o640)
            self.assertEqual(0o640, os.stat(view.path / "f").st_mode & 0o777)
            self.assertEqual(number, os.fstat(writer.fileno()).st_ino)
        self.assertEqual("before", (layers.lower[0] / "f").read_text())

    def test_without_passthrough_a_reader_sees_what_others_write(self):
        """As with the kernel's overlayfs."""
        layers = self.layers(1)
        write_tree(layers.lower[0], {"f": "before"})
        view = layers.mount("passthrough=off")
        with open(view.path / "f", "rb", buffering=0) as reader:
            self.assertEqual(b"before", reader.read())
            with open(view.path / "f", "r+b", buffering=0) as writer:
                writer.write(b"AFTER. And more")
            self.assertEqual(b" And more", reader.read())
            self.assertEqual(b"AFTER. And more", os.pread(reader.fileno(), 100, 0))

    def test_an_unlinked_lower_file_stays_usable(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"f": "content"})
        view = layers.mount()
        with open(view.path / "f", encoding="ascii") as file:
            (view.path / "f").unlink()
            self.assertEqual("content", file.read())
            os.fchmod(file.fileno(), 0o600)
            self.assertEqual(0o600, os.fstat(file.fileno()).st_mode & 0o777)
        self.assertEqual([], os.listdir(view.path))
        self.assertTrue(stat.S_ISCHR(os.lstat(layers.upper / "f").st_mode))

    def test_temporary_files_get_a_name(self):
        layers = self.layers(1)
        (layers.lower[0] / "d").mkdir()
        view = layers.mount()
        fd = os.open(view.path / "d", os.O_TMPFILE | os.O_RDWR, 0o640)
        os.write(fd, b"nameless")
        run(["ln", "-L", f"/proc/{os.getpid()}/fd/{fd}", view.path / "d" / "named"])
        os.close(fd)
        self.assertEqual("nameless", (view.path / "d" / "named").read_text())


class Numbers(LayersTest):
    """Inode numbers and links (behaviour D6)."""

    def numbers(self, root):
        found = {}
        for directory, names, files in os.walk(root):
            listed = {entry.name: entry.inode() for entry in os.scandir(directory)}
            for name in names + files:
                number = os.lstat(os.path.join(directory, name)).st_ino
                self.assertEqual(listed[name], number, f"readdir and stat of {directory}/{name}")
                found[os.path.relpath(os.path.join(directory, name), root)] = number
        return found

    def test_numbers_are_stable(self):
        layers = self.layers()
        make_tree(layers.lower[1])
        write_tree(layers.lower[0], {"shared": {"x": "0", "deep": {"z": "0"}}})
        view = layers.mount()
        before = self.numbers(view.path)
        for path in sorted(before):
            os.chown(view.path / path, 7, 7, follow_symlinks=False)
        self.assertEqual(before, self.numbers(view.path), "after copy-up")
        layers.unmount()
        view = layers.mount()
        self.assertEqual(before, self.numbers(view.path), "after a new mount")
        os.rename(view.path / "shared", view.path / "renamed")
        self.assertEqual(before["shared"], os.stat(view.path / "renamed").st_ino)

    def test_hard_links_of_a_lower_layer_stay_links(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"a": "1", "d": {}})
        os.link(layers.lower[0] / "a", layers.lower[0] / "b")
        os.link(layers.lower[0] / "a", layers.lower[0] / "d" / "c")
        view = layers.mount()
        number = (view.path / "a").stat().st_ino
        (view.path / "a").write_text("changed")
        for mounted in range(2):
            for name in ("a", "b", "d/c"):
                status = (view.path / name).stat()
                self.assertEqual(("changed", 3, number),
                                 ((view.path / name).read_text(), status.st_nlink, status.st_ino), (name, mounted))
            layers.unmount()
            view = layers.mount()
        (view.path / "b").unlink()
        os.rename(view.path / "d" / "c", view.path / "d" / "e")
        self.assertEqual(2, (view.path / "a").stat().st_nlink)
        os.link(view.path / "d" / "e", view.path / "f")
        (view.path / "a").unlink()
        layers.unmount()
        view = layers.mount()
        self.assertEqual([("f", 2), ("e", 2)], [(path.name, path.stat().st_nlink) for path in
                                                (view.path / "f", view.path / "d" / "e")])
        (view.path / "f").unlink()
        (view.path / "d" / "e").unlink()
        self.assertEqual([], list((layers.work / "index").iterdir()))


    def linked(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"a": "1"})
        os.link(layers.lower[0] / "a", layers.lower[0] / "b")
        os.link(layers.lower[0] / "a", layers.lower[0] / "c")
        return layers

    def check_links(self, view):
        """Three links, and counted rightly from here on."""
        self.assertEqual([3] * 3, [(view.path / name).stat().st_nlink for name in "abc"])
        (view.path / "b").unlink()
        self.assertEqual([2] * 2, [(view.path / name).stat().st_nlink for name in "ac"])
        os.link(view.path / "c", view.path / "d")
        self.assertEqual([3] * 3, [(view.path / name).stat().st_nlink for name in "acd"])

    def test_links_are_counted_after_a_crash_before_the_first_was_made(self):
        layers = self.linked()
        (layers.mount().path / "a").write_text("changed")
        layers.unmount()
        (layers.upper / "a").unlink()
        for copy in (layers.work / "index").iterdir():
            os.setxattr(copy, "trusted.overlay.nlink", b"L+0")  # as the kernel's overlayfs leaves it too
        self.check_links(layers.mount())

    def test_links_are_counted_after_a_death_at_each_step(self):
        for point in ("layers-index-add", "layers-index-link", "layers-index-count"):
            with self.subTest(point=point):
                layers = self.linked()
                control = Control(self.directory / point)
                view = layers.mount(f"control={control.path}")
                if control.ask(f"fault {point} {int(signal.SIGKILL)} 1") != "ok":
                    self.skipTest("fault points are not compiled in (GIDFS_FAULTS)")
                (view.path / "a").write_text("changed")
                self.assertEqual("changed", (view.path / "b").read_text())
                self.assertEqual(2, control.stats()["n_workers_started"])
                self.check_links(view)
                layers.unmount()


class Canaries(LayersTest):
    """A link in a view never makes the server touch what it leads to (behaviour D4)."""

    def setUp(self):
        super().setUp()
        self.outside = self.new_directory(self.fs.path, prefix="outside-")
        write_tree(self.outside, {"canary": "safe", "dir": {"x": "safe"}})
        self.before = snapshot(self.outside)
        self.set = self.layers()
        write_tree(self.set.lower[0], {"d": {"top": "0"}})
        write_tree(self.set.lower[1], {"link": (str(self.outside / "canary"),), "dirlink": (str(self.outside / "dir"),),
                                       "d": {"link": (str(self.outside / "canary"),)}})
        os.symlink(self.outside / "dir", self.set.lower[1] / "d" / "top.d")

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.before, snapshot(self.outside))

    def test_changes_of_links_are_of_the_links(self):
        view = self.set.mount()
        for name in ("link", "d/link", "dirlink"):
            path = view.path / name
            os.chown(path, 5, 6, follow_symlinks=False)
            os.utime(path, (1, 1), follow_symlinks=False)
            try:
                os.setxattr(path, "trusted.x", b"1", follow_symlinks=False)
            except OSError as error:
                self.assertIn(error.errno, (errno.EOPNOTSUPP, errno.EPERM))
            os.rename(path, str(path) + ".new")
            os.link(str(path) + ".new", path, follow_symlinks=False)
            os.unlink(path)

    def test_a_link_in_the_upper_is_no_way_out(self):
        (self.set.upper / "d").symlink_to(self.outside / "dir")
        view = self.set.mount()
        self.assertTrue((view.path / "d").is_symlink())
        os.rename(view.path / "d", view.path / "e")
        (view.path / "d").mkdir()
        (view.path / "d" / "x").write_text("new")

    def test_links_in_the_work_directory_are_no_way_out(self):
        (self.set.work / "work").symlink_to(self.outside / "dir")
        self.refused(self.set.options(), source="x", mount_point=self.set.path)


class Policies(LayersTest):
    """Id maps and the gid policy hold as for a volume (behaviour D8)."""

    def test_id_map(self):
        layers = self.layers(1)
        write_tree(layers.lower[0], {"f": "1"})
        os.chown(layers.lower[0] / "f", 100000, 100005)
        os.chown(layers.lower[0], 100000, 100000)
        os.chown(layers.upper, 100000, 100000)
        view = layers.mount("uidmap=0:100000:65536,gidmap=0:100000:65536")
        status = (view.path / "f").stat()
        self.assertEqual((0, 5), (status.st_uid, status.st_gid))
        os.chown(view.path / "f", 7, 8)
        (view.path / "new").touch()
        status = (layers.upper / "f").stat()
        self.assertEqual((100007, 100008), (status.st_uid, status.st_gid))
        self.assertEqual(100000, (layers.upper / "new").stat().st_uid)

    def test_gid_of_a_volume(self):
        layers = self.layers(1)
        make_tree(layers.lower[0])
        view = layers.mount("gid=5001")
        self.assertEqual(5001, (view.path / "shared" / "data").stat().st_gid)
        self.assertEqual(0o2775, (view.path / "shared").stat().st_mode & 0o7777)
        run_as(4242, (view.path / "shared" / "new").touch, gid=4242, groups=(5001,))
        self.assertEqual((4242, 1000), ((layers.upper / "shared" / "new").stat().st_uid,
                                        (layers.upper / "shared" / "new").stat().st_gid))


class Survival(LayersTest):
    """A worker's death is not seen."""

    def test_killed_workers(self):
        layers = self.layers()
        make_tree(layers.lower[1])
        write_tree(layers.lower[0], {"shared": {"x": "0"}})
        view = layers.mount()
        (view.path / "shared" / "x").write_text("changed")
        with open(view.path / "shared" / "data", encoding="ascii") as reader:
            self.kill_worker(view)
            self.assertEqual("shared/data\n", reader.read())
        (view.path / "shared" / "deep" / "er" / "new").write_text("created")
        self.kill_worker(view)
        (view.path / "plain" / "data").chmod(0o600)
        os.rename(view.path / "shared", view.path / "renamed")
        self.kill_worker(view)
        self.assertEqual("created", (view.path / "renamed" / "deep" / "er" / "new").read_text())
        self.assertIn("data", os.listdir(view.path / "renamed"))
        before = snapshot(view.path)
        layers.unmount()
        self.assertEqual(before, snapshot(layers.mount().path))

    def test_who_is_in_a_lower_layer_is_not_cut_off(self):
        """A working directory and open files there, which the kernel does not look up again, can be changed after
        another worker has taken over: by death, or by an upgrade."""
        for number, renew in enumerate((Control.kill_worker, self.upgrade)):
            layers = self.layers()
            write_tree(layers.lower[1], {"app": {"deep": {"file": "1", "gone": "1"}}})
            control = Control(self.directory / f"socket{number}")
            path = layers.mount(f"control={control.path}").path / "app" / "deep"
            with Actor() as actor:
                actor.call(os.chdir, path)
                with open(path / "file", encoding="ascii") as file, open(path / "gone", encoding="ascii") as gone:
                    (path / "gone").unlink()
                    renew(control)
                    os.fsync(file.fileno())
                    for each in (file, gone):
                        os.fchmod(each.fileno(), 0o600)
                        self.assertEqual(0o600, os.fstat(each.fileno()).st_mode & 0o777)
                    actor.call(os.mkdir, "made")
                self.assertEqual(["file", "made"], sorted(os.listdir(path)))
                self.assertEqual(0o600, (path / "file").stat().st_mode & 0o777)
                actor.call(os.chdir, "/")

    def upgrade(self, control):
        self.assertTrue(control.ask("upgrade").startswith("ok "))

    def kill_worker(self, view):
        found = run(["pgrep", "-f", f"gidfs-view.*{view.path}"]).stdout.split()
        workers = [int(pid) for pid in found
                   if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "gidfs-worker"]
        self.assertEqual(1, len(workers))
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: not pathlib.Path(f"/proc/{workers[0]}").exists(), "the worker is gone")


EXCHANGE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
old, new = (os.fsencode(path) for path in sys.argv[1:3])
sys.exit(libc.renameat2(-100, old, -100, new, int(sys.argv[3])) != 0)
"""


if __name__ == "__main__":
    main()
