"""A web server of our own on this machine, which misbehaves on request."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import http.server
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; what ``server.moods[path]`` lists is done first, one per request.

    A mood is ``"drop"`` (half of what was promised, then nothing), an HTTP status such as
    ``"503"``, ``"503 for 9"`` (seconds to wait), ``"-> /other"`` (a redirect), ``"wrong"`` (other
    bytes), ``"html"``, ``"no range"`` (ranges are ignored), ``"no tag"`` (without a validator),
    ``"wait"`` (half-way, until ``server.go_on`` is set), ``"packed"`` (gzip on the way, unasked),
    ``"part"`` (the first half as an answer to no range), ``"any range"`` (a range of whatever there
    is now), ``"a date"`` (busy for one second more), ``"endless"`` (chunks without an end and
    without a size), ``"bomb"`` (the same, packed), ``"crawl"`` (a byte at a time), ``"length X"``
    (X for a Content-Length), ``"no length"`` (without one), ``"silent"`` (nothing, until
    ``server.go_on`` is set) or ``""``. The last mood stays. What asks for headers alone gets them.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append((self.path, self.headers.get("Range", "")))
            moods = server.moods.get(self.path, [""])
            mood = moods.pop(0) if len(moods) > 1 else moods[0]
        if mood == "silent":
            server.go_on.wait(30)
            self.close_connection = True
        elif mood.startswith("-> "):
            self._answer(302, {"Location": mood.removeprefix("-> ")}, b"")
        elif mood.startswith("trickle "):
            self._trickle(mood)
        elif mood == "a date":
            later = email.utils.formatdate(time.time() + 1.5, usegmt=True)
            self._answer(429, {"Retry-After": later}, b"sorry")
        elif " for " in mood:
            status, seconds = mood.split(" for ")
            self._answer(int(status), {"Retry-After": seconds}, b"<html>maintenance</html>")
        elif mood.isdigit():
            self._answer(int(mood), {}, b"sorry")
        elif self.path not in server.files:
            self._answer(404, {}, b"not here")
        else:
            self._send(server.files[self.path], mood)

    def do_HEAD(self):
        with self.server.lock:
            self.server.heads.append(self.path)
        self.do_GET()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def _send(self, content, mood):
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if mood in ("no range", "no tag"):
            headers = {}
        if mood == "wrong":
            content = bytes(255 - byte for byte in content)
        if mood in ("endless", "bomb"):
            self._never_end(headers, packed=mood == "bomb")
            return
        if mood == "html":
            headers["Content-Type"] = "text/html; charset=utf-8"
        if mood == "packed":
            headers["Content-Encoding"] = "gzip"
            self._answer(200, headers, gzip.compress(content))
            return
        if mood == "part" and not self.headers.get("Range"):
            half = len(content) // 2
            headers["Content-Range"] = f"bytes 0-{half - 1}/{len(content)}"
            self._answer(206, headers, content[:half])
            return
        start = self._start(content, headers, mood)
        if start is None:
            self._answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, headers, content[start:], mood)

    def _start(self, content, headers, mood):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_this = mood == "any range" or self.headers.get("If-Range") == headers.get("ETag")
        if not asked or mood == "no range" or not is_this:
            return 0
        return int(asked[1]) if int(asked[1]) < len(content) else None

    def _answer(self, status, headers, content, mood=""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        told = mood.removeprefix("length ") if mood.startswith("length ") else str(len(content))
        if mood != "no length":
            self.send_header("Content-Length", told)
        self.end_headers()
        if mood.startswith("length ") or mood == "no length":
            self.close_connection = True
        if self.command == "HEAD":
            return
        if mood == "crawl":
            self._crawl(content)
            return
        half = len(content) // 2
        self.wfile.write(content[:half])
        if mood == "wait":
            self.wfile.flush()
            self.server.go_on.wait(30)
        if mood == "drop":
            self.close_connection = True
            return
        self.wfile.write(content[half:])

    def _never_end(self, headers, packed):
        self.send_response(200)
        headers = {**headers, "Transfer-Encoding": "chunked"}
        for name, value in {**headers, **({"Content-Encoding": "gzip"} if packed else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        packer = zlib.compressobj(wbits=31)
        with suppress(OSError):  # until the other side hangs up
            for _ in range(4_000):
                block = bytes(2**20)
                block = packer.compress(block) if packed else block
                if block:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
                    self.server.sent += len(block)
        self.close_connection = True

    def _trickle(self, mood):
        """Send what never becomes whole: headers, an interim answer, a redirect, a chunk's size."""
        self.close_connection = True
        starts = {
            "headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
            "status": b"HTTP/1.1 200 ",
            "interim": b"HTTP/1.1 100 Continue\r\nX-Long: ",
            "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=",
        }
        with suppress(OSError):
            self.wfile.write(starts[mood.removeprefix("trickle ")])
            while not self.server.go_on.wait(0.01):
                self.wfile.write(b"1")

    def _crawl(self, content):
        self.close_connection = True
        with suppress(OSError):
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.server.go_on.wait(0.01):
                    return

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.moods, self.asked, self.heads = {}, {}, [], []
        self.sent = 0
        self.lock, self.go_on = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up."""

    def serve(self, path, content, *moods):
        """Serve something; return its address."""
        self.files[path] = content
        if moods:
            self.moods[path] = list(moods)
        return f"{self.url}{path}"

    def paths(self):
        """The paths that were asked for, in order."""
        return [path for path, _ in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for as long as a test needs it."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
