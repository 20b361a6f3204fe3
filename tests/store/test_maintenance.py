from __future__ import annotations

import errno
import io
import json
import os
import tarfile

import pytest

from spared_bench.errors import UsageError, WorkspaceError
from spared_bench.files import write_text
from spared_bench.store.entries import Store
from spared_bench.store.leases import Leases
from spared_bench.store.maintenance import export, import_archive, unneeded, verify
from spared_bench.trials.cells import finished_cells


def writes(text):
    def make(folder):
        (folder / "value.txt").write_text(text)

    return make


@pytest.fixture
def store(tmp_path):
    """Two trials, of which a cell names one, the products of both, and one trial's figure."""
    store = Store(tmp_path / "store")
    for name in ("kept", "left"):
        prepared = store.obtain("prepared", {"of": name}, writes("p"))
        patches = store.obtain("patches", {"of": name}, writes("c"))
        store.obtain("features", {"patches": patches.key, "of": name}, writes("f"))
        layer = {"prepared": prepared.key, "patches": patches.key}
        completed = store.obtain("completed", layer, writes("l"))
        trial = store.obtain("trials", {"completed": completed.key, "of": name}, writes(name))
        store.obtain("figures", {"trial": trial.key}, writes("d"))
        if name == "kept":
            record = {"cell": ["toy@1", "toy", "none", "mean", 0], "final": trial.key, "search": []}
            record |= {"scores": "", "figures": ""}
            write_text(store.root / "cells" / "one.json", json.dumps(record))
    return store


def names(store, kind):
    return [(entry.folder / "value.txt").read_text() for entry in store.entries(kind)]


def test_verify_finds_a_flipped_byte_and_repair_lets_it_be_made_again(store):
    assert verify(store).damaged == {}
    entry = store.obtain("trials", {"a": 1}, writes("abc"))
    (entry.folder / "value.txt").write_text("abd")

    assert list(verify(store).damaged.items()) == [(str(entry.folder), ["value.txt has changed"])]
    assert verify(store, repair=True).checked == 13
    assert verify(store).damaged == {}
    again = store.obtain("trials", {"a": 1}, writes("abc"))
    assert (again.folder / "value.txt").read_text() == "abc"


def test_gc_removes_what_no_cell_needs_and_keeps_all_that_the_others_consumed(store):
    found = unneeded(store, days=0)
    assert sorted(kind for kind, _, _ in found) == [
        "completed", "features", "figures", "patches", "prepared", "trials",
    ]  # fmt: skip
    for kind, key, _ in found:
        store.remove(kind, key)
    assert names(store, "trials") == ["kept"]
    assert [len(names(store, kind)) for kind in ("prepared", "features", "figures")] == [1, 1, 1]
    assert unneeded(store, days=0) == []


def test_gc_keeps_what_is_young_and_waits_while_a_run_uses_the_store(store):
    assert unneeded(store, days=1) == []
    leases = Leases(store.root / "leases")
    leases.take("trial-x")
    with pytest.raises(UsageError, match=r"uses this store. Wait until it has ended"):
        unneeded(store, days=0)
    leases.close()


def test_what_is_exported_is_imported_elsewhere_and_is_the_same(store, tmp_path):
    assert export(store, tmp_path / "all.tar", products=True) == 12
    assert export(store, tmp_path / "results.tar") == 4
    other = Store(tmp_path / "other")
    assert import_archive(other, tmp_path / "results.tar") == (4, 0)
    assert import_archive(other, tmp_path / "all.tar") == (8, 4)
    assert names(other, "trials") == names(store, "trials")
    assert verify(other).checked == 12
    assert verify(other).damaged == {}
    assert (other.root / "cells" / "one.json").is_file()


def test_a_damaged_entry_is_not_exported(store, tmp_path):
    (next(store.entries("trials")).folder / "value.txt").write_text("xxxx")
    assert export(store, tmp_path / "results.tar") == 3


def add(tar, name, content=b"x", **changes):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in changes.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../outside", {}),
        ("/etc/outside", {}),
        ("trials/../../outside", {}),
        ("code/x/value.py", {}),
        ("trials/k/link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        (
            "trials/k/sparse",
            {
                "pax_headers": {
                    "GNU.sparse.major": "0",
                    "GNU.sparse.minor": "1",
                    "GNU.sparse.map": "0,1",
                    "GNU.sparse.size": "1000",
                }
            },
        ),
        ("trials/k/hard", {"type": tarfile.LNKTYPE, "linkname": "trials/x", "size": 0}),
    ],
)
def test_an_archive_that_reaches_out_of_the_store_is_refused(tmp_path, name, changes):
    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, name, **changes)
    store = Store(tmp_path / "store")
    with pytest.raises(
        UsageError, match=r"no plain file of a store\. Nothing of it was taken over"
    ):
        import_archive(store, archive)
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_what_is_left_of_a_damaged_entry_does_not_keep_a_sound_one_out(store, tmp_path):
    export(store, tmp_path / "all.tar")
    trials = list(store.entries("trials"))
    (trials[0].folder / "manifest.json").unlink()
    trials[1].folder.rename(tmp_path / "away")
    trials[1].folder.write_text("a file where a folder should be")
    assert import_archive(store, tmp_path / "all.tar") == (2, 2)
    assert sorted(names(store, "trials")) == ["kept", "left"]


ODD_RECORDS = [
    "[]", "5", "{}", "[" * 100_000, '{"cell": [], "final": "a", "search": []}',
    '{"cell": [1, 2, 3, 4, 5], "final": "a", "search": []}',
    '{"cell": ["p", "d", "c", "m", 0], "final": 5, "search": []}',
    '{"cell": ["p", "d", "c", "m", 0], "final": "../../etc", "search": []}',
]  # fmt: skip


def test_records_of_cells_that_are_none_are_neither_read_nor_taken_over(store, tmp_path):
    for number, text in enumerate(ODD_RECORDS):
        write_text(store.root / "cells" / f"odd{number}.json", text)
    (store.root / "cells" / "folder.json").mkdir()
    assert list(finished_cells(store)) == []  # that of the fixture holds no result
    assert len(unneeded(store, days=0)) == 6
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for number, text in enumerate(ODD_RECORDS):
            add(tar, f"cells/odd{number}.json", text.encode())
    other = Store(tmp_path / "other")
    assert import_archive(other, tmp_path / "odd.tar") == (0, 0)
    assert not (other.root / "cells").exists()


@pytest.mark.parametrize("damage", ["value", "inputs", "extra"])
def test_an_archive_whose_entries_were_altered_is_refused(store, tmp_path, damage):
    entry = next(store.entries("trials"))
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    if damage == "inputs":
        manifest["inputs"]["of"] = "another"
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add(tar, f"trials/{entry.key}/manifest.json", json.dumps(manifest).encode())
        content = b"evil" if damage == "value" else (entry.folder / "value.txt").read_bytes()
        add(tar, f"trials/{entry.key}/value.txt", content)
        if damage == "extra":
            add(tar, f"trials/{entry.key}/more.txt")
    other = Store(tmp_path / "other")
    with pytest.raises(UsageError, match="damaged or was altered"):
        import_archive(other, tmp_path / "bad.tar")
    assert list(other.entries("trials")) == []


@pytest.fixture
def read_only(monkeypatch):
    """Make every rename and every new file fail as on a file system that takes nothing."""

    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    monkeypatch.setattr("tarfile.open", refuse)


def test_a_workspace_that_takes_nothing_is_told_as_such(store, tmp_path, read_only):
    (kind, key, _), *_ = unneeded(store, days=0)
    with pytest.raises(WorkspaceError, match=r"Cannot write to the workspace .*: Read-only file"):
        store.remove(kind, key)
    with pytest.raises(UsageError, match=r"Cannot write .*all\.tar: Read-only file system"):
        export(store, tmp_path / "all.tar")


def test_what_is_no_archive_is_refused_with_a_message(tmp_path):
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(UsageError, match="cannot be read as an archive of `store export`"):
        import_archive(Store(tmp_path / "store"), tmp_path / "text.tar")
