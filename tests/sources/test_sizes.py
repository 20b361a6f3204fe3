"""How large files are, as servers say it: what can be is taken, and nobody holds a plan up."""

from __future__ import annotations

import pytest
import requests

from spared_bench.sources.answers import check_file
from spared_bench.sources.archives import MAX_BYTES
from spared_bench.sources.patience import Expected, HopelessError
from spared_bench.sources.sizes import Asking, told_sizes
from spared_bench.specs import RemoteFile
from tests.servers import serving

CONTENT = bytes(1_234)


@pytest.fixture
def server():
    with serving() as server:
        yield server


def told(*urls, mirrors=(), each_s=5.0, all_s=10.0):
    found = told_sizes([RemoteFile(url) for url in urls], mirrors, Asking(each_s, all_s))
    assert list(found) == list(urls)
    return list(found.values())


def test_sizes_are_asked_for_by_heads_alone(server):
    urls = [server.serve(f"/{number}", bytes(number)) for number in range(1, 30)]
    assert told(*urls) == list(range(1, 30))
    assert sorted(server.heads) == sorted(server.paths()) == sorted(f"/{n}" for n in range(1, 30))


def test_a_redirect_is_followed_to_the_size_at_its_end(server):
    server.serve("/there", CONTENT)
    assert told(server.serve("/here", b"", "-> /there")) == [1_234]
    assert server.heads == ["/here", "/there"]
    (reason,) = told(server.serve("/round", b"", "-> /round"))
    assert "redirects" in reason


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("no length", "the server does not say"),
        ("length -5", "the server says '-5' for its length"),
        ("length 1e9", "the server says '1e9' for its length"),
        ("length 12, 12", "the server says '12, 12' for its length"),
        ("length \xb2", "the server says '\xb2' for its length"),
        ("length 0", "the server says 0 bytes"),
        (
            f"length {MAX_BYTES + 1}",
            f"the server says {MAX_BYTES + 1:,} bytes, more than is ever fetched",
        ),
        ("length " + "9" * 40, f"the server says '{'9' * 40}' for its length"),
        ("404", "the server answered 404 Not Found"),
        ("405", "the server answered 405 Method Not Allowed"),
        ("503", "the server answered 503"),
        ("html", "the server answered with a web page instead of the file"),
        ("packed", "the server would pack the file for its way"),
        ("part", "the server speaks of a part of the file"),
    ],
)
def test_no_size_is_told_where_the_server_does_not_say_one_that_can_be(server, mood, reason):
    assert told(server.serve("/a", CONTENT, mood)) == [reason]


def test_the_largest_file_that_is_fetched_has_a_size(server):
    assert told(server.serve("/a", CONTENT, f"length {MAX_BYTES}")) == [MAX_BYTES]


@pytest.mark.parametrize("mood", ["silent", "trickle headers", "trickle status", "trickle interim"])
def test_a_server_that_says_nothing_whole_is_left_and_the_others_are_heard(server, mood):
    found = told(server.serve("/a", CONTENT, mood), server.serve("/b", CONTENT), each_s=1.5)
    assert found == ["the server has not said anything whole in 1.5 s", 1_234]


def test_all_servers_together_have_a_limit(server):
    urls = [server.serve(f"/{number}", CONTENT, "silent") for number in range(40)]
    found = told(*urls, each_s=0.5, all_s=1.2)
    assert not any(isinstance(each, int) for each in found)
    assert found[-1] == "there was no answer in time"
    assert len(server.heads) <= 3 * Asking().at_once


def test_few_are_asked_at_a_time(server):
    urls = [server.serve(f"/{number}", CONTENT, "silent") for number in range(20)]
    told(*urls, each_s=5.0, all_s=1.5)
    assert len(server.heads) == Asking().at_once


def test_nobody_there_is_a_reason(server):
    (reason,) = told("http://127.0.0.1:9/a")
    assert reason == "127.0.0.1 cannot be reached ([Errno 111] Connection refused)"
    assert told("hf://datasets/a/b/c") == ["the hub is not asked"]
    assert isinstance(told("nonsense")[0], str) and isinstance(told("http://[::1/a")[0], str)


def test_a_mirror_is_asked_instead_and_another_place_after_the_first(server):
    server.serve("/kept/a", CONTENT)
    away = "https://example.invalid/a"
    assert told(away, mirrors=((away[:-1], f"{server.url}/kept/"),)) == [1_234]
    first = server.serve("/first", CONTENT, "404")
    assert told(first) == ["the server answered 404 Not Found"]
    file = RemoteFile(first, mirrors=(server.serve("/second", CONTENT),))
    assert told_sizes([file]) == {first: 1_234}


def test_what_leads_from_https_to_http_tells_nothing_unless_a_hash_holds_it():
    response = requests.Response()
    response.status_code, response.url = 200, "http://example.org/a"
    with pytest.raises(HopelessError, match="which anyone on the way can change"):
        check_file(response, "https://example.org/a", "a", Expected())
    check_file(response, "https://example.org/a", "a", Expected("0" * 64))


def test_what_a_server_says_cannot_steer_a_terminal(server):
    (reason,) = told(server.serve("/a", CONTENT, "length \x1b[2J7"))
    assert reason.isprintable()
