"""One file from a server that misbehaves: what arrives is whole and right, or nothing arrives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from random import Random

import pytest

from spared_bench.errors import DownloadError
from spared_bench.sources.download import download
from spared_bench.sources.patience import Expected, Policy
from tests.servers import serving

CONTENT = Random(4).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = f"bytes={len(CONTENT) // 2}-"


@pytest.fixture
def server():
    with serving() as server:
        yield server


class Counter:
    """A meter that counts."""

    def __init__(self):
        self.begun, self.came = [], 0

    def begin(self, done, total):
        self.begun.append((done, total))

    def advance(self, number):
        self.came += number


def get(
    folder,
    *urls,
    name="file.bin",
    sha256="",
    size=0,
    recorded=False,
    attempts=3,
    meter=None,
    stop=None,
):
    policy = Policy(attempts, backoff_s=0.001, timeout_s=5, stop=stop or threading.Event())
    target = folder / name
    digest = download(urls, target, Expected(sha256, size, recorded), meter or Counter(), policy)
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    return target.read_bytes()


def test_a_file_comes_whole_and_alone(server, tmp_path):
    meter = Counter()
    assert get(tmp_path, server.serve("/a", CONTENT), sha256=SHA256, meter=meter) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]
    assert (meter.begun, meter.came) == ([(0, len(CONTENT))], len(CONTENT))


def test_a_connection_that_drops_is_taken_up_where_it_ended(server, tmp_path):
    meter = Counter()
    assert get(tmp_path, server.serve("/a", CONTENT, "drop", ""), meter=meter) == CONTENT
    assert server.asked == [("/a", ""), ("/a", HALF)]
    assert meter.came == len(CONTENT)  # nothing came twice


def test_every_step_forward_earns_new_attempts(server, tmp_path):
    url = server.serve("/a", CONTENT, *["drop"] * 8, "")
    assert get(tmp_path, url, attempts=2) == CONTENT
    assert len(server.asked) == 9


def test_a_download_of_another_process_is_continued(server, tmp_path):
    url = server.serve("/a", CONTENT, "drop", "404", "")
    with pytest.raises(DownloadError, match="404"):
        get(tmp_path, url)
    assert not (tmp_path / "file.bin").exists()
    assert get(tmp_path, url) == CONTENT
    assert server.asked[-1] == ("/a", HALF)


def test_what_was_whole_when_it_was_killed_is_not_asked_for_again(server, tmp_path):
    url = server.serve("/a", CONTENT)

    class Killed(Counter):
        def advance(self, number):
            super().advance(number)
            if self.came == len(CONTENT):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, url, meter=Killed())
    assert get(tmp_path, url) == CONTENT
    assert len(server.asked) == 1


def test_a_server_without_ranges_begins_again(server, tmp_path):
    url = server.serve("/a", CONTENT, "drop", "no range")
    assert get(tmp_path, url) == CONTENT
    assert server.asked == [("/a", ""), ("/a", HALF)]


def test_a_file_that_changed_meanwhile_is_not_patched_together(server, tmp_path):
    url = server.serve("/a", CONTENT, "drop", "404", "")
    with pytest.raises(DownloadError):
        get(tmp_path, url)
    changed = server.files["/a"] = Random(5).randbytes(900_000)
    assert get(tmp_path, url) == changed


def test_without_a_validator_nothing_is_continued(server, tmp_path):
    url = server.serve("/a", CONTENT, "no tag")

    class Broken(Counter):
        def advance(self, number):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, url, meter=Broken())
    assert get(tmp_path, url) == CONTENT
    assert server.asked == [("/a", ""), ("/a", "")]


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    assert get(tmp_path, server.serve("/a", CONTENT, "503", "429", "")) == CONTENT
    assert server.paths() == ["/a"] * 3


def test_patience_ends(server, tmp_path):
    with pytest.raises(DownloadError, match=r"/a: the server answered 503\. What has come is kept"):
        get(tmp_path, server.serve("/a", CONTENT, "503"))
    assert server.paths() == ["/a"] * 3


def test_a_redirect_is_followed(server, tmp_path):
    server.serve("/b", CONTENT)
    assert get(tmp_path, server.serve("/a", b"", "-> /b")) == CONTENT


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(DownloadError, match=r"Cannot fetch file\.bin.*the server answered 404"):
        get(tmp_path, f"{server.url}/gone")
    assert server.paths() == ["/gone"]


def test_mirrors_are_asked_in_order_until_one_is_good(server, tmp_path):
    gone, bad = f"{server.url}/gone", server.serve("/bad", CONTENT, "wrong")
    good, last = server.serve("/good", CONTENT), server.serve("/last", CONTENT)
    assert get(tmp_path, gone, bad, good, last, sha256=SHA256) == CONTENT
    assert server.paths() == ["/gone", "/bad", "/good"]


def test_a_failure_names_every_place_and_what_it_said(server, tmp_path):
    wrong = server.serve("/wrong", CONTENT, "wrong")
    with pytest.raises(
        DownloadError, match=r"/gone: the server answered 404.*/wrong: its SHA-256 is not the one"
    ):
        get(tmp_path, f"{server.url}/gone", wrong, sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_the_first_time_says_what_to_do(server, tmp_path):
    wrong = server.serve("/a", CONTENT, "wrong")
    with pytest.raises(
        DownloadError, match=r"recorded when it was first.*remove `\.fetched\.json`"
    ):
        get(tmp_path, wrong, sha256=SHA256, recorded=True)


def test_a_wrong_size_is_refused_before_the_file_comes(server, tmp_path):
    meter = Counter()
    with pytest.raises(DownloadError, match="has 1,000,000 bytes instead of 1,000,001"):
        get(tmp_path, server.serve("/a", CONTENT), size=1_000_001, meter=meter)
    assert meter.came == 0


def test_a_part_that_does_not_fit_is_thrown_away_once(server, tmp_path):
    url = server.serve("/a", CONTENT, "drop", "404", "")
    with pytest.raises(DownloadError):
        get(tmp_path, url)
    part = tmp_path / ".file.bin.part"
    part.write_bytes(b"x" * part.stat().st_size)
    assert get(tmp_path, url, sha256=SHA256) == CONTENT


def test_a_web_page_is_not_taken_for_a_file(server, tmp_path):
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        get(tmp_path, server.serve("/a", b"<html>Please log in</html>", "html"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slides.tar.gz", b'{"error": "quota exceeded"}'),
        ("counts.h5ad", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
        ("image.TIF", "<html>quota exceeded</html>".encode("utf-16")),
    ],
)
def test_a_message_is_not_taken_for_a_file_that_is_no_text(server, tmp_path, name, words):
    with pytest.raises(DownloadError, match=r"a message instead of the file: .*[{<]"):
        get(tmp_path, server.serve("/a", words), name=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["{a}.txt", "<b>", "[1]" * 33])
def test_a_tar_archive_begins_with_any_name(server, tmp_path, name):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(name))
    content = archive.getvalue()
    assert get(tmp_path, server.serve("/a", content), name="slides.tar") == content


@pytest.mark.parametrize("name", ["facts.json", "slide.ome.xml", "scan.bin"])
def test_a_file_of_text_is_no_message(server, tmp_path, name):
    assert get(tmp_path, server.serve("/a", b'{"a": 1}'), name=name) == b'{"a": 1}'


def test_a_host_that_is_not_there_is_named(tmp_path):
    with serving() as server:
        url = f"{server.url}/a"
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*refused"):
        get(tmp_path, url, attempts=1)


def test_a_full_disk_is_told_at_once_and_keeps_what_came(server, tmp_path):
    class Full(Counter):
        def advance(self, number):
            raise OSError(28, "No space left on device")

    with pytest.raises(DownloadError, match="the disk is full"):
        get(tmp_path, server.serve("/a", CONTENT), meter=Full())
    assert len(server.asked) == 1
    assert (tmp_path / ".file.bin.part").exists()


def test_a_stop_ends_it_at_the_next_chunk(server, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(DownloadError, match="stopped"):
        get(tmp_path, server.serve("/a", CONTENT), stop=stop)
    assert not (tmp_path / "file.bin").exists()


def test_a_part_that_nobody_asked_for_is_no_whole_file(server, tmp_path):
    assert get(tmp_path, server.serve("/a", CONTENT, "part", "")) == CONTENT
    assert server.asked == [("/a", ""), ("/a", HALF)]


def test_a_file_that_was_packed_on_its_way_is_unpacked(server, tmp_path):
    assert get(tmp_path, server.serve("/a", CONTENT, "packed"), sha256=SHA256) == CONTENT


def test_a_packed_file_comes_as_it_is_whatever_the_server_says(server, tmp_path):
    url = server.serve("/a.gz", CONTENT, "packed")
    download([url], tmp_path / "a.gz", Expected(), Counter(), Policy(1, timeout_s=5))
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == CONTENT


def test_a_range_of_a_newer_file_is_not_added_to_the_older_one(server, tmp_path):
    url = server.serve("/a", CONTENT, "drop")
    with pytest.raises(DownloadError):
        get(tmp_path, url, attempts=1)
    newer = CONTENT[::-1]
    assert get(tmp_path, server.serve("/a", newer, "any range")) == newer


def test_an_empty_answer_is_no_file(server, tmp_path):
    with pytest.raises(DownloadError, match="the file is empty"):
        get(tmp_path, server.serve("/a", b""))


def test_a_redirect_to_no_address_is_an_error_of_that_place(server, tmp_path):
    bad, good = server.serve("/a", CONTENT, "-> http://[bad"), server.serve("/b", CONTENT)
    assert get(tmp_path, bad, good) == CONTENT


def test_a_server_that_names_a_date_is_left_alone_until_then(server, tmp_path):
    waits = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    url = server.serve("/a", CONTENT, "a date", "")
    assert get(tmp_path, url, stop=Stop()) == CONTENT
    assert 0.1 < waits[0] <= 1.5


@pytest.mark.parametrize("mood", ["endless", "bomb"])
@pytest.mark.parametrize("known", ["size", "most"])
def test_a_server_that_never_ends_is_left_at_the_size_that_is_known(server, tmp_path, mood, known):
    url = server.serve("/a", CONTENT, mood)
    policy = Policy(3, 0.001, 5, most_bytes=5_000_000)
    expected = Expected(size=len(CONTENT) if known == "size" else 0)
    most = "1,000,000" if known == "size" else "5,000,000"
    with pytest.raises(DownloadError, match=f"sends more than the {most} bytes"):
        download([url], tmp_path / "file.bin", expected, Counter(), policy)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_a_server_that_crawls_is_asked_again_and_given_up(server, tmp_path):
    url = server.serve("/a", CONTENT, "crawl")
    policy = Policy(3, 0.001, timeout_s=5, slowest_bytes_s=10_000, slow_s=0.2)
    with pytest.raises(DownloadError, match="less than 10,000 a second is given up"):
        download([url], tmp_path / "file.bin", Expected(), Counter(), policy)
    assert len(server.asked) == 3  # though something new came each time

    there = server.serve("/b", CONTENT)
    assert download([url, there], tmp_path / "file.bin", Expected(), Counter(), policy) == SHA256


@pytest.mark.parametrize("what", ["headers", "status", "interim", "chunk"])
@pytest.mark.parametrize("redirected", [False, True])
def test_a_server_that_never_gets_to_the_end_of_a_line_is_given_up(
    server, tmp_path, what, redirected
):
    url = server.serve("/a", CONTENT, f"trickle {what}")
    if redirected:
        url = server.serve("/b", CONTENT, f"-> {url}")
    policy = Policy(2, 0.001, timeout_s=5, headers_s=0.3)
    with pytest.raises(DownloadError, match="has not said anything whole in"):
        download([url], tmp_path / "file.bin", Expected(), Counter(), policy)
    assert server.paths().count("/a") == 2

    there = server.serve("/c", CONTENT)
    assert download([url, there], tmp_path / "file.bin", Expected(), Counter(), policy) == SHA256


@pytest.mark.parametrize("mood", ["silent", "wait"])  # in front of the headers, within the file
@pytest.mark.parametrize("limit", ["timeout_s", "headers_s"])
def test_silence_is_called_so_whoever_notices_it_first(server, tmp_path, mood, limit):
    policy = Policy(1, **{"timeout_s": 20.0, "headers_s": 20.0, limit: 0.3})
    with pytest.raises(DownloadError, match=r"has not said anything whole in 0\.3 s"):
        download([server.serve("/a", CONTENT, mood)], tmp_path / "a", Expected(), Counter(), policy)


@pytest.mark.parametrize("told", ["abc", "\u00b2", "-5", "1e6", "0x10", "9" * 5_000, ""])
def test_a_length_that_is_no_number_is_no_length(server, tmp_path, told):
    told = told.encode().decode("latin-1")
    url = server.serve("/a", CONTENT, f"length {told}")
    assert get(tmp_path, url, sha256=SHA256) == CONTENT


@pytest.mark.parametrize("told", ["1_0", "+10"])
def test_a_length_that_some_read_as_a_number_is_refused(server, tmp_path, told):
    url = server.serve("/a", CONTENT, f"length {told}")
    with pytest.raises(DownloadError, match="for the length of the file"):
        get(tmp_path, url)


@pytest.mark.parametrize(
    "change",
    [
        {"total": "abc"}, {"total": None}, {"total": -1}, {"total": 1e300}, {"total": True},
        {"total": [1]}, {"total": 10}, {"validator": 5}, {"validator": ["x"]}, {"validator": ""},
        {"validator": "a\r\nX-Evil: 1"}, {"validator": "\u2603"}, {"validator": "x" * 10_000},
        {"url": {}},
    ],
)  # fmt: skip
def test_a_note_with_nonsense_is_as_good_as_none(server, tmp_path, change):
    url = server.serve("/a", CONTENT, "drop", "404", "")
    with pytest.raises(DownloadError):
        get(tmp_path, url)
    (note,) = tmp_path.glob("*.part.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | change))
    assert get(tmp_path, url) == CONTENT
    assert server.asked[-1] == ("/a", "")


@pytest.mark.parametrize("text", ["", "[", "5", "null", "[" * 100_000, '{"total": ' + "9" * 5_000])
def test_a_note_that_is_none_is_as_good_as_none(server, tmp_path, text):
    url = server.serve("/a", CONTENT, "drop", "404", "")
    with pytest.raises(DownloadError):
        get(tmp_path, url)
    (note,) = tmp_path.glob("*.part.json")
    note.write_text(text)
    assert get(tmp_path, url) == CONTENT


@pytest.mark.parametrize("wait", ["\u00b2", "9" * 5_000, "soon", "-3", "Mon, 99 Foo 2026"])
def test_a_time_to_wait_that_is_none_is_not_waited_for(wait):
    from spared_bench.sources.answers import _seconds

    assert _seconds(wait) == 0
