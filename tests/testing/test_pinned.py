"""A download without a hash is told of, and no failure: many sources publish none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spared_bench.specs import RemoteFile
from spared_bench.testing.checks import CheckSkipped
from spared_bench.testing.datasets import _pinned

HASHED = RemoteFile("https://example.org/a.zip", sha256="0" * 64)
LOOSE = [RemoteFile(f"https://example.org/{name}.zip") for name in "bcd"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "nothing is downloaded"),
        ((HASHED, LOOSE[0]), r"^https://example.org/b.zip has no sha256.*make none up"),
        (tuple(LOOSE), r"b.zip \(and 2 more\) has no sha256, so the first download is believed"),
    ],
)
def test_what_has_no_hash_is_named(files, told):
    with pytest.raises(CheckSkipped, match=told):
        _pinned(SimpleNamespace(spec=SimpleNamespace(files=files)))


def test_what_has_hashes_passes():
    assert _pinned(SimpleNamespace(spec=SimpleNamespace(files=(HASHED,)))) is None
