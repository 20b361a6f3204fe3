"""A file from servers that answer with something else than HTTP means, byte for byte."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from spared_bench.errors import DownloadError
from spared_bench.sources.download import download
from spared_bench.sources.patience import Expected, Policy

CONTENT = Random(6).randbytes(200_000)
TAG = 'ETag: "x"'
PACKED = {"gzip": gzip.compress(CONTENT), "deflate": zlib.compress(CONTENT)}


class Meter:
    def begin(self, done, total):
        return None

    def advance(self, number):
        return None


def answer(status, *headers, body=b""):
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1") + body


def length(number):
    return f"Content-Length: {number}"


def rest(first, last, total, *headers, body):
    told = f"Content-Range: bytes {first}-{last}/{total}"
    return answer("206 Partial Content", told, length(len(body)), *headers, body=body)


WHOLE = answer("200 OK", TAG, length(len(CONTENT)), body=CONTENT)
HALF = WHOLE[: -len(CONTENT) // 2]


class Server:
    """Says one thing after the other, the last one again and again."""

    def __init__(self, *answers, endless=False):
        self._answers, self._endless = list(answers), endless
        self.asked, self.sent, self.requests = 0, 0, []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                said = self._answers[min(self.asked, len(self._answers) - 1)]
                self.asked += 1
                with connection, suppress(OSError):
                    self.requests.append(connection.recv(1 << 16))
                    connection.sendall(said)
                    while self._endless and self.asked == 1 and self.sent < 1 << 30:
                        self.sent += connection.send(bytes(1 << 20))

    def close(self):
        self._socket.close()


@pytest.fixture
def serve():
    running = []

    def begin(*answers, endless=False):
        running.append(Server(*answers, endless=endless))
        return running[-1]

    yield begin
    for each in running:
        each.close()


POLICY = Policy(3, backoff_s=0.001, timeout_s=5)


def get(folder: Path, server, name: str = "file.bin", policy: Policy = POLICY) -> bytes:
    download([server.url], folder / name, Expected(), Meter(), policy)
    return (folder / name).read_bytes()


CHUNKED = "Transfer-Encoding: chunked"


def in_chunks(body):
    parts = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


NEXT = CONTENT[100_000:150_000]


@pytest.mark.parametrize(
    "second",
    [
        rest(100_000, 149_999, 150_000, TAG, body=NEXT),
        rest(100_000, 149_999, 150_000, body=NEXT),
        rest(100_000, 299_999, 300_000, TAG, body=CONTENT),
        rest(100_000, 149_999, "*", TAG, body=NEXT),
        rest(0, 199_999, 200_000, TAG, body=CONTENT),
        rest(100_000, 99_999, 200_000, TAG, body=b""),
        answer("206 Partial Content", TAG, length(100_000), body=CONTENT[100_000:]),
        answer("416 Range Not Satisfiable", "Content-Range: bytes */100000", length(0)),
    ],
    ids=["shorter", "untagged", "longer", "less", "from 0", "nothing", "unranged", "416"],
)
def test_a_rest_of_another_size_is_not_the_end_of_the_file(serve, tmp_path, second):
    third = rest(150_000, 199_999, 200_000, TAG, body=CONTENT[150_000:])
    continued = b"/*" in second.partition(b"\r\n\r\n")[0]
    server = serve(HALF, second, third if continued else WHOLE)
    assert get(tmp_path, server) == CONTENT
    assert server.asked == 3


@pytest.mark.parametrize(
    "told",
    [
        "bytes 100000-199998/200000",
        "bytes 100000-100000/200000",
        "bytes 100000-200005/200000",
        "bytes 100001-199999/200000",
        "bytes 100000-199999/150000",
        "bytes 100000-199999/",
        "bytes 100000-/200000",
        "bytes=100000-199999/200000",
        "items 100000-199999/200000",
        "bytes 100000-199999/200000, bytes 0-99999/200000",
        "bytes */200000",
    ],
)
def test_a_part_of_which_the_server_contradicts_itself_is_not_added(serve, tmp_path, told):
    second = answer(
        "206 Partial Content",
        f"Content-Range: {told}",
        TAG,
        length(100_000),
        body=CONTENT[:100_000],
    )
    server = serve(HALF, second, WHOLE)
    assert get(tmp_path, server) == CONTENT
    assert server.asked == 3
    with pytest.raises(DownloadError, match="the server has no such part of the file"):
        get(tmp_path, serve(HALF, second))


@pytest.mark.parametrize("told", ["BYTES 100000-199999/200000", "bytes 100000-199999/*"])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_rest_is_added_however_its_headers_are_written(serve, tmp_path, told, chunked):
    body, how = CONTENT[100_000:], length(100_000)
    if chunked:
        body, how = in_chunks(body), CHUNKED
    second = answer("206 Partial Content", f"Content-Range: {told}", TAG, how, body=body)
    server = serve(HALF, second)
    assert get(tmp_path, server) == CONTENT
    assert server.asked == 2


def test_more_than_the_part_that_is_told_is_not_taken(serve, tmp_path):
    told = "Content-Range: bytes 100000-149999/200000"
    body = in_chunks(CONTENT[100_000:150_000] + CONTENT[:50_000])
    second = answer("206 Partial Content", told, TAG, CHUNKED, body=body)
    with pytest.raises(DownloadError, match="more than the 150,000 bytes that the file can have"):
        get(tmp_path, serve(HALF, second))


@pytest.mark.parametrize(
    "second",
    [
        answer("200 OK", TAG, length(100_000), body=CONTENT[100_000:]),
        answer("200 OK", TAG, CHUNKED, body=in_chunks(CONTENT[100_000:])),
        *(
            answer("200 OK", each, f"Content-Range: bytes {told}", how, body=body)
            for each in (TAG, "X: no tag")
            for told in ("100000-199999/200000", "0-99999/200000", "0-99999/*")
            for how, body in (
                (length(100_000), CONTENT[100_000:]),
                (CHUNKED, in_chunks(CONTENT[100_000:])),
            )
        ),
    ],
)
def test_the_rest_alone_is_not_taken_for_the_whole_file(serve, tmp_path, second):
    server = serve(HALF, second, WHOLE)
    assert get(tmp_path, server) == CONTENT
    assert server.asked == 3
    server = serve(HALF, second[:-50_000], WHOLE)
    assert get(tmp_path, server) == CONTENT
    assert b"Range" not in server.requests[2]  # nothing of it was kept


@pytest.mark.parametrize(
    "second",
    [
        WHOLE,
        answer("200 OK", TAG, CHUNKED, body=in_chunks(CONTENT)),
        answer(
            "200 OK", TAG, "Content-Range: bytes 0-199999/200000", length(200_000), body=CONTENT
        ),
        answer("200 OK", TAG, body=CONTENT),
    ],
    ids=["whole", "chunked", "ranged", "without length"],
)
def test_the_whole_file_for_the_rest_of_it_is_taken_from_its_beginning(serve, tmp_path, second):
    server = serve(HALF, second)
    assert get(tmp_path, server) == CONTENT
    assert server.asked == 2


def test_another_state_of_the_file_for_its_rest_may_have_another_size(serve, tmp_path):
    newer = CONTENT[:70_000]
    server = serve(HALF, answer("200 OK", 'ETag: "y"', length(len(newer)), body=newer))
    assert get(tmp_path, server) == newer


def test_a_part_that_nobody_asked_for_of_an_unknown_whole_is_no_file(serve, tmp_path):
    with pytest.raises(DownloadError, match="the server has no such part of the file"):
        get(tmp_path, serve(rest(0, 99_999, "*", TAG, body=CONTENT[:100_000])))


@pytest.mark.parametrize("told", [0, 3, 100_000, 200_000, 200_024, 1 << 40])
def test_chunks_end_where_they_say_whatever_length_is_told_beside_them(serve, tmp_path, told):
    for how in (CHUNKED, "transfer-encoding: Chunked"):
        said = answer("200 OK", TAG, how, length(told), body=in_chunks(CONTENT))
        server = serve(said)
        assert get(tmp_path, server) == CONTENT
        assert server.asked == 1
    with pytest.raises(DownloadError, match="Connection broken"):
        get(tmp_path, serve(said[:-100_000]))


@pytest.mark.parametrize("how", ["gzip, chunked", "gzip", "deflate, chunked", "compress"])
def test_what_is_packed_by_its_transfer_is_refused(serve, tmp_path, how):
    body = PACKED["gzip"]
    said = answer(
        "200 OK", f"Transfer-Encoding: {how}", body=in_chunks(body) if "," in how else body
    )
    with pytest.raises(DownloadError, match=f"packed the file for its way as '{how}', unasked"):
        get(tmp_path, serve(said))


@pytest.mark.parametrize("name", ["a.gz", "a.tgz"])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_a_packed_file_is_stored_packed_once(serve, tmp_path, name, coding):
    packed = PACKED["gzip"]
    for body in (packed, gzip.compress(packed)):
        for how, sent in ((length(len(body)), body), (CHUNKED, in_chunks(body))):
            said = answer("200 OK", f"Content-Encoding: {coding}", how, body=sent)
            assert get(tmp_path, serve(said), name) == packed


def test_a_packed_file_in_a_coding_that_is_not_understood_is_refused(serve, tmp_path):
    said = answer("200 OK", "Content-Encoding: br", length(5), body=b"\x0b\x02\x80x\x03")
    with pytest.raises(DownloadError, match="packed the file as 'br', which is not understood"):
        get(tmp_path, serve(said), "a.gz")


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_packed_on_its_way_ends_where_its_stream_ends(serve, tmp_path, coding, known):
    packed = PACKED[coding.removeprefix("x-")]

    def said(body):
        told = [length(len(body))] if known else []
        return answer("200 OK", f"Content-Encoding: {coding}", *told, body=body)

    assert get(tmp_path, serve(said(packed[:100_000]), said(packed))) == CONTENT
    for cut in (len(packed) - 1, 100_000, 8):
        with pytest.raises(DownloadError, match="what came ends in its middle"):
            get(tmp_path, serve(said(packed[:cut])))
    with pytest.raises(DownloadError, match="packed the file, and wrongly"):
        get(tmp_path, serve(said(packed[:-4] + b"0000")))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:])),
        ("gzip", PACKED["gzip"] + b"\0\0\0"),
        ("deflate", PACKED["deflate"][2:-4]),
    ],
    ids=["two streams", "padded", "without its header"],
)
def test_every_way_of_packing_that_servers_have_is_understood(serve, tmp_path, coding, body):
    said = answer("200 OK", f"Content-Encoding: {coding}", body=body)
    assert get(tmp_path, serve(said)) == CONTENT


@pytest.mark.parametrize("header", [length(1 << 40), "Transfer-Encoding: chunked", "X: none"])
def test_nothing_of_a_redirects_body_is_read(serve, tmp_path, header):
    server = serve(answer("302 Found", "Location: /b", header), WHOLE, endless=True)
    assert get(tmp_path, server) == CONTENT
    assert server.sent < 100 << 20


@pytest.mark.parametrize(
    ("place", "asked"), [("/a", 11), ("file:///etc/hostname", 1), ("ftp://127.0.0.1/a", 1)]
)
def test_a_redirect_that_leads_nowhere_is_not_tried_again(serve, tmp_path, place, asked):
    server = serve(answer("302 Found", f"Location: {place}", length(0)))
    with pytest.raises(DownloadError, match=r"Exceeded 10 redirects|No connection adapters"):
        get(tmp_path, server)
    assert server.asked == asked


@pytest.mark.parametrize("taken", [".file.bin.part", ".file.bin.part.json", "file.bin"])
def test_a_place_that_cannot_be_written_is_named(serve, tmp_path, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(DownloadError, match=f"Cannot write .*/{taken}: Is a directory"):
        get(tmp_path, serve(WHOLE))


@pytest.mark.parametrize("end", [9, 13, 17, 30, 60])
def test_headers_that_are_cut_are_asked_for_again(serve, tmp_path, end):
    assert get(tmp_path, serve(WHOLE[:end], WHOLE)) == CONTENT


@pytest.mark.parametrize("name", [".a.part", ".a.part.json"])
def test_nothing_is_written_through_a_link(tmp_path, serve, name):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name.replace(".a", ".file.bin")).symlink_to(precious)
    half_first = serve(HALF, rest(100_000, 199_999, 200_000, TAG, body=CONTENT[100_000:]))
    assert get(folder, half_first) == CONTENT
    assert precious.read_text() == "mine"


PAGES = [
    b"<html>Log in</html>",
    b"\n<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'><html></html>",
    b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- proxy -->\n<!doctype html>',
]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "kind", [[], ["Content-Type: application/octet-stream"], ["Content-Type: application/x-zip"]]
)
def test_a_web_page_under_another_name_is_no_file(serve, tmp_path, kind, page):
    # Its hash was recorded as the file's, so that the file itself was refused from then on.
    server = serve(answer("200 OK", *kind, length(len(page)), body=page))
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        get(tmp_path, server)
    assert list(tmp_path.iterdir()) == []


NO_PAGES = [
    b"<htmlish>",
    b"<?xml version='1.0'?><svg/>",
    b"a\n<html>",
    b"<!---->" * 280 + b"x",  # which could be divided in 2**279 ways, all of them tried in vain
]


@pytest.mark.parametrize("content", NO_PAGES)
def test_what_only_looks_like_a_page_is_a_file(serve, tmp_path, content):
    server = serve(answer("200 OK", length(len(content)), body=content))
    assert get(tmp_path, server) == content


def test_a_page_that_calls_itself_xml_is_no_file(serve, tmp_path):
    kind = "Content-Type: application/xhtml+xml; charset=utf-8"
    server = serve(answer("200 OK", kind, length(5), body=b"hello"))
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        get(tmp_path, server)


class Drips:
    """Gives a little of a large file, closes the connection, and goes on from there when asked."""

    def __init__(self, step, silent=0):
        self.asked, self._step, self._silent = 0, step, silent
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.asked += 1
                with connection, suppress(OSError):
                    if 1 < self.asked <= 1 + self._silent:
                        connection.recv(1 << 16)
                        connection.recv(1)  # until the other has waited for long enough
                        continue
                    asked = connection.recv(1 << 16).decode("latin-1").lower()
                    at = int(asked.partition("range: bytes=")[2].partition("-")[0] or 0)
                    piece, size = CONTENT[at : at + self._step], len(CONTENT)
                    told = (TAG, length(size - at))
                    ranged = f"Content-Range: bytes {at}-{size - 1}/{size}"
                    whole = answer("200 OK", *told, body=piece)
                    part = answer("206 Partial Content", ranged, *told, body=piece)
                    connection.sendall(part if at else whole)

    def close(self):
        self._socket.close()


def test_a_server_that_gives_a_byte_for_each_connection_is_given_up(tmp_path):
    server = Drips(1)
    with pytest.raises(DownloadError, match="Cannot fetch"):
        get(tmp_path, server, policy=Policy(3, 0.001, 5, slowest_bytes_s=1e9))
    assert server.asked == 3
    server.close()


def test_a_server_that_drops_again_and_again_and_gives_much_each_time_is_not(tmp_path):
    server = Drips(10_000)
    assert get(tmp_path, server, policy=Policy(3, 0.001, 5, slowest_bytes_s=0.001)) == CONTENT
    assert server.asked == 20
    server.close()


def test_a_server_that_was_silent_for_a_while_and_then_gives_much_each_time_is_not(tmp_path):
    server = Drips(10_000, silent=3)
    policy = Policy(5, 0.001, 0.8, slowest_bytes_s=5_000)
    assert get(tmp_path, server, policy=policy) == CONTENT
    server.close()
