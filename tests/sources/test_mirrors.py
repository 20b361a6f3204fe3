"""Mirrors: from the command line and from a file, the longest beginning wins."""

import pytest

from spared_bench.errors import UsageError
from spared_bench.sources.mirrors import read_mirrors, rewritten


def test_the_longest_beginning_wins():
    given = ["https://a.org=http://m.org/a", "https://a.org/deep=https://m.org/b"]
    mirrors = read_mirrors(given)
    assert rewritten("https://a.org/x?y=1", mirrors) == "http://m.org/a/x?y=1"
    assert rewritten("https://a.org/deep/x", mirrors) == "https://m.org/b/x"
    assert rewritten("https://b.org/a.org", mirrors) == "https://b.org/a.org"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_mirrors_is_read(tmp_path, monkeypatch, encoding):
    text = "https://a.org=https://m.org \n # ours\n\n"
    (tmp_path / "mirrors").write_text(text, encoding=encoding)
    monkeypatch.setenv("SPARED_BENCH_MIRRORS", str(tmp_path / "mirrors"))
    assert read_mirrors(["http://b.org=http://m.org"]) == (
        ("http://b.org", "http://m.org"),
        ("https://a.org", "https://m.org"),
    )


@pytest.mark.parametrize("text", ["https://a.org", "a.org=https://m.org", "https://a.org=m.org"])
def test_what_is_no_mirror_is_refused(text):
    with pytest.raises(UsageError, match="must read OLD=NEW"):
        read_mirrors([text])


def test_a_missing_file_of_mirrors_is_named(monkeypatch):
    monkeypatch.setenv("SPARED_BENCH_MIRRORS", "/no/such/file")
    with pytest.raises(UsageError, match=r"SPARED_BENCH_MIRRORS`\) /no/such/file\. / has no 'no'"):
        read_mirrors()
