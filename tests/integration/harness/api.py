"""Calls of the service's API as curl would make them: HTTP on the unix socket, JSON in and out."""
import http.client
import json
import socket

from .tools import scaled


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("gidfs", timeout=scaled(timeout))
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class ApiError(Exception):
    """An answer of 400 or more: status, code, errno, message, details."""

    def __init__(self, status, error):
        super().__init__(f"{status} {error['code']}: {error['message']}")
        self.status = status
        self.code, self.errno = error["code"], error["errno"]
        self.message, self.details = error["message"], error["details"]


def call(socket_path, method, path, body=None):
    """(status, answer) of one request; raises ApiError."""
    connection = UnixConnection(socket_path)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status >= 400:
        raise ApiError(response.status, json.loads(text)["error"])
    return response.status, json.loads(text) if path != "/metrics" else text


def send_raw(socket_path, data, timeout=60):
    """Sends bytes as they are and gives everything that comes back until the other side closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.settimeout(scaled(timeout))
        raw.connect(str(socket_path))
        try:
            raw.sendall(data)
        except BrokenPipeError:
            pass  # it has answered already
        chunks = []
        try:
            while chunk := raw.recv(65536):
                chunks.append(chunk)
        except ConnectionResetError:
            pass
    return b"".join(chunks)
