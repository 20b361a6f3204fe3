"""What changes in place is noticed, whatever times and names it has."""

import os

import pytest

from spared_bench.keys.fingerprints import Fingerprints
from spared_bench.readers.stamps import stamp_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "there" / "images").mkdir(parents=True)
    (tmp_path / "there" / "images" / "0").write_bytes(b"one")
    (tmp_path / "there" / "images" / ".zattrs").write_text('{"scale": 1.0}')
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1").write_bytes(b"one")
    (tmp_path / "there" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "there")  # a circle
    return tmp_path / "there"


def replace(path, text):
    """Put other contents of equal length there, with the time of the old ones, as `cp -p` does."""
    facts = path.stat()
    path.write_text(text)
    assert path.stat().st_size == facts.st_size
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES = {"images/0": "two", "images/.zattrs": '{"scale": 2.0}', "linked/1": "two"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_place_changes_the_hash_and_the_stamp(folder, tmp_path, name):
    known = Fingerprints(tmp_path / "known.json")
    before, stamp = known.of_folder(folder, hidden=True), stamp_of(folder)
    known.save()
    replace(folder / name, CHANGES[name])
    assert Fingerprints(tmp_path / "known.json").of_folder(folder, hidden=True) != before
    assert stamp_of(folder) != stamp


def test_what_has_not_changed_is_not_read_again(folder, tmp_path, monkeypatch):
    known = Fingerprints(tmp_path / "known.json")
    before = known.of_folder(folder, hidden=True)
    known.save()
    monkeypatch.setattr("spared_bench.keys.fingerprints.file_digest", lambda path: "read again")
    assert Fingerprints(tmp_path / "known.json").of_folder(folder, hidden=True) == before


def test_notes_of_ours_are_no_raw_data(folder, tmp_path):
    known = Fingerprints(tmp_path / "known.json")
    before = known.of_folder(folder)
    (folder / ".fetched.json").write_text("{}")
    assert known.of_folder(folder) == before
