"""What every integration test stands on. A test file looks like this:

    from harness import MountTest, main, run_as

    class Modes(MountTest):
        def test_directories_report_the_gid(self):
            view = self.view("gid=5001")
            self.assertEqual(os.stat(view.path).st_gid, 5001)

    if __name__ == "__main__":
        main()

main() runs the file in namespaces of its own (sandbox.py), so that whatever a test leaves behind, or whatever kills it,
no mount, loop device or process outlives it. docs/testing.md tells the rest.
"""
from .containers import Podman, make_root
from .filesystems import FileSystem, make_file_system
from .identity import CAP_FSETID, Actor, Denied, become, drop_capability, run_as
from .layers import Layers, LayersTest, RandomChanges, write_tree
from .sandbox import main, skip_file
from .service import Service
from .tools import (abort_fuse_connections, binary, build_dir, clean_environment, entries, is_mount_point, make_tree,
                    mount_entry, run, scaled, snapshot, wait_until)
from .views import MountTest, View

__all__ = ["Actor", "CAP_FSETID", "Denied", "FileSystem", "Layers", "LayersTest", "MountTest", "Podman",
           "RandomChanges", "Service", "View", "abort_fuse_connections", "become", "binary", "build_dir",
           "clean_environment", "drop_capability", "entries", "is_mount_point", "main", "make_file_system",
           "make_root", "make_tree", "mount_entry", "run", "run_as", "scaled", "skip_file", "snapshot", "wait_until"]
