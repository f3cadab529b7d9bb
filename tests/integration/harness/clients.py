"""Clients that may have to wait."""
import pathlib
import threading

from .tools import scaled


class Client:
    """Makes one call, in a thread of its own."""

    def __init__(self, function, *arguments):
        self._error = 0
        self._thread = threading.Thread(target=self._call, args=(function, arguments), daemon=True)
        self._thread.start()

    def _call(self, function, arguments):
        try:
            function(*arguments)
        except OSError as error:
            self._error = error.errno

    def error(self):
        """The errno that it ended with, or 0."""
        self._thread.join(scaled(30))
        return "it did not end" if self._thread.is_alive() else self._error


def state_of(pid):
    """The letter that ps shows: T stopped, Z ended and not waited for, …; "" for none that is there."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
