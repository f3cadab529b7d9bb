"""System calls of the service that fail (strace -e inject): the verb fails or succeeds whole, the service stays, and
the next verb finds nothing wrong."""
import contextlib
import http.client

from harness import is_mount_point, main, scaled, skip_file
from harness.api import ApiError
from test_failing_calls import Injection, strace_works
from test_service import ServiceTest


class FailingCalls(ServiceTest):
    def setUp(self):
        super().setUp()
        self.pid = self.service.process.pid
        self.target = self.new_directory(prefix="target-")
        self.folder = self.make_source()
        self.addCleanup(lambda: is_mount_point(self.target) and self.detach_all())

    def detach_all(self):
        with contextlib.suppress(ApiError):
            self.detach(self.target)

    def verbs(self):
        """A volume's life."""
        self.create("data", self.folder)
        self.attach("data", self.target)
        self.detach(self.target)
        self.remove("data")

    def meet(self, call, error, number):
        with Injection(self.pid, call, error, str(number)):
            with contextlib.suppress(ApiError, OSError, http.client.HTTPException):
                self.verbs()
        self.assertIsNone(self.service.process.poll(), self.service.log())
        self.clean_up()
        self.verbs()
        self.assertEqual(0, self.gids()["allocated"])

    def clean_up(self):
        """Whatever stage the verbs have come to, the way back must be open."""
        if self.call("GET", "/v1/attachments")["attachments"] or is_mount_point(self.target):
            self.detach_all()
        if "data" in self.volumes():
            self.remove("data", force=True)
        self.assertEqual({}, self.volumes())
        self.assertFalse(is_mount_point(self.target))

    def test_locks_of_the_table(self):
        """A lock that can't be had, or can't be given back, fails one verb and not all that come after it."""
        for number in range(1, 4):
            with self.subTest(number=number):
                self.meet("fcntl", "EIO", number)


if __name__ == "__main__":
    if not strace_works():
        skip_file("strace can't make system calls fail here")
    main(scaled(200))
