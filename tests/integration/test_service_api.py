#!/usr/bin/env python3
"""The API as strangers meet it: HTTP of any kind, who may call, how much, and how errors look."""
import json
import socket
import subprocess
import time

from harness import Actor, MountTest, Service, main, scaled
from harness.api import ApiError, UnixConnection, call, send_raw

READ_GROUP = 4321


class ApiTest(MountTest):
    file_system = "tmpfs"
    size_mib = 8

    def setUp(self):
        super().setUp()
        directory = self.new_directory(prefix="service-")
        config = directory / "gidfs.conf"
        config.write_text(f"[service]\nread_group = {READ_GROUP}\n\n[gids]\nranges = [50000-50009]\n")
        self.service = Service("--config", str(config), directory=directory)
        self.addCleanup(self.service.stop)
        self.service.start()
        self.socket = str(self.service.socket_path)

    def raw(self, text):
        head, _, body = send_raw(self.socket, text.encode() if isinstance(text, str) else text).partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def error(self, method, path, body=None):
        with self.assertRaises(ApiError) as caught:
            call(self.socket, method, path, body)
        return caught.exception


class Http(ApiTest):
    def test_all_kinds_of_requests(self):
        for head in ("GET /v1/volumes HTTP/1.1\r\nHost: gidfs\r\nConnection: close\r\n\r\n",
                     "GET /v1/volumes HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
                     "GET /v1/volumes HTTP/1.1\r\nConnection: close\r\n\r\n",
                     "GET /v1/volumes HTTP/1.0\r\n\r\n",
                     "GET /v1/volumes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{}\n"):
            with self.subTest(head):
                status, body = self.raw(head)
                self.assertEqual((status, json.loads(body)), (200, {"volumes": []}))

    def test_a_chunked_body(self):
        status, body = self.raw("POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                "Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        self.assertEqual((status, json.loads(body)), (200, {"unmounted": [], "left": []}))

    def test_one_connection_for_many_requests(self):
        connection = UnixConnection(self.socket)
        for _ in range(20):
            connection.request("GET", "/v1/gids")
            self.assertEqual(json.load(connection.getresponse())["total"], 10)
        connection.close()

    def test_garbage_is_an_error_and_nothing_worse(self):
        for text in (b"\0\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET /%00%ff HTTP/1.0\r\n\r\n", b"",
                     b"POST /v1/volumes HTTP/1.0\r\nContent-Length: 1000\r\n\r\n{",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.0\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(self.socket)
                one.sendall(text)
        self.assertEqual(call(self.socket, "GET", "/v1/volumes")[1], {"volumes": []})

    def test_curl(self):
        done = subprocess.run(["curl", "-sS", "--unix-socket", self.socket, "http://gidfs/metrics"],
                              capture_output=True, text=True, timeout=scaled(60), check=True)
        self.assertIn('gidfs_gids{state="free"} 10\n', done.stdout)
        self.assertTrue(done.stdout.endswith("# EOF\n"))


class Errors(ApiTest):
    def test_routes_and_methods(self):
        self.assertEqual(self.error("GET", "/v1/nothing").status, 404)
        self.assertEqual(self.error("GET", "/v1/volumes/a/b/c").status, 404)
        self.assertEqual(self.error("GET", "/v1/volumes/").status, 404)
        self.assertEqual(self.error("PUT", "/v1/volumes").status, 405)
        error = self.error("GET", "/v1/volumes/none")
        self.assertEqual((error.status, error.code, error.errno, error.details), (404, "not-found", 2, {}))

    def test_bodies(self):
        for body in ("{", "[]", "1", '"x"', "{}x", '{"name": "a"', "[" * 500000, '{"a":' * 1000,
                     '{"name": "\udcff"}'):
            with self.subTest(body[:20]):
                data = body.encode("utf-8", "surrogateescape")
                status, answer = self.raw(b"POST /v1/volumes HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                self.assertEqual((status, json.loads(answer)["error"]["code"]), (400, "bad-request"))

    def test_a_zero_character_cuts_nothing_off(self):
        """What stands before it is another name or path, of something that nobody spoke of."""
        source = self.new_directory(prefix="source-")
        call(self.socket, "POST", "/v1/volumes", {"name": "data", "source": str(source)})
        self.assertEqual(self.error("DELETE", "/v1/volumes/data%00x").code, "not-found")
        self.assertEqual(self.error("DELETE", f"/v1/volumes?below={source}%00x&force=tru%65%00").code, "bad-request")
        self.assertEqual(call(self.socket, "DELETE", f"/v1/volumes?below={source}%00")[1]["released"], [])
        self.assertEqual(self.error("POST", "/v1/volumes", {"name": "x", "source": f"{source}\0x"}).code, "bad-request")
        self.assertEqual([v["name"] for v in call(self.socket, "GET", "/v1/vol%75mes")[1]["volumes"]], ["data"])

    def test_a_large_body(self):
        size = 1024 * 1024 + 1
        status, answer = self.raw(f"POST /v1/volumes HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
        self.assertEqual((status, json.loads(answer)["error"]["code"]), (413, "too-large"))
        chunk = b"%x\r\n" % size + b" " * size + b"\r\n0\r\n\r\n"
        status, answer = self.raw(b"POST /v1/volumes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                  b"Connection: close\r\n\r\n" + chunk)
        self.assertEqual((status, json.loads(answer)["error"]["code"]), (413, "too-large"))

    def test_members_and_queries(self):
        self.assertIn("nmae", self.error("POST", "/v1/volumes", {"nmae": "a", "source": "/"}).message)
        self.assertIn("source", self.error("POST", "/v1/volumes", {"name": "a"}).message)
        self.assertIn("string", self.error("POST", "/v1/volumes", {"name": 1, "source": "/"}).message)
        self.assertIn("gid", self.error("POST", "/v1/volumes", {"name": "a", "source": "/", "gid": -1}).message)
        self.assertIn("gid", self.error("POST", "/v1/volumes", {"name": "a", "source": "/", "gid": 1.5}).message)
        self.assertIn("fsgroup", self.error("POST", "/v1/volumes", {"name": "a", "source": "/", "policy": "x"}).message)
        self.assertIn("colour", self.error("GET", "/v1/ls?colour=red").message)
        self.assertIn("known are", self.error("GET", "/v1/ls?fields=name,colour").message)
        self.assertIn("true", self.error("DELETE", "/v1/volumes/a?force=1").message)
        self.assertEqual(self.error("DELETE", "/v1/volumes?below=a").code, "bad-request")


class Access(ApiTest):
    def as_user(self, groups, *request):
        """The status, or the code of the error, that a user gets."""
        with Actor(1001, groups=groups) as actor:
            return actor.call(status_of, self.socket, *request)

    def test_who_may_call(self):
        self.assertEqual(self.as_user([], "GET", "/v1/volumes"), "forbidden")
        self.assertEqual(self.as_user([], "GET", "/metrics"), "forbidden")
        self.assertEqual(self.as_user([READ_GROUP], "GET", "/v1/volumes"), 200)
        self.assertEqual(self.as_user([READ_GROUP], "GET", "/metrics"), 200)
        self.assertEqual(self.as_user([READ_GROUP], "POST", "/v1/volumes", {}), "forbidden")
        self.assertEqual(self.as_user([READ_GROUP], "DELETE", "/v1/volumes/a"), "forbidden")
        self.assertEqual(self.as_user([READ_GROUP], "POST", "/v1/drain", {}), "forbidden")

    def test_no_user_takes_all_connections(self):
        with Actor(1001, groups=[READ_GROUP]) as actor:
            n_open = actor.call(open_many, self.socket, 200)
            self.assertLess(n_open, 100)
            self.assertEqual(self.as_user([READ_GROUP], "GET", "/v1/volumes"), "too-many")
            self.assertEqual(call(self.socket, "GET", "/v1/volumes")[0], 200)
            actor.call(close_all)
            deadline = time.monotonic() + scaled(20)
            while (answer := self.as_user([READ_GROUP], "GET", "/v1/volumes")) == "too-many":
                self.assertLess(time.monotonic(), deadline)
            self.assertEqual(answer, 200)


OPENED = []


def status_of(path, *request):
    try:
        return call(path, *request)[0]
    except ApiError as error:
        return error.code


def open_many(path, n):
    """Opens n connections and leaves those open that are not turned away; gives how many these are."""
    for _ in range(n):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(scaled(60))
        one.connect(path)
        try:
            one.sendall(b"GET /v1/volumes HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = one.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        if b" 200 " in answer:
            OPENED.append(one)
        else:
            one.close()
    return len(OPENED)


def close_all():
    while OPENED:
        OPENED.pop().close()


if __name__ == "__main__":
    main()
