from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from contextlib import suppress

import psutil
import pytest
from typer.testing import CliRunner

from spared_bench import ordinary
from spared_bench.cli import app
from spared_bench.errors import UsageError, WorkspaceError
from spared_bench.files import write_text
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.store import entries
from spared_bench.store.archives import export, import_archive
from spared_bench.store.entries import Store
from spared_bench.store.imports import MARK, read_mark
from spared_bench.store.leases import Leases
from spared_bench.store.maintenance import unneeded, verify
from spared_bench.trials.cells import finished_cells

NAMES = ["toy@1", "toy", "none", "mean", 0]
CELL = f"{digest(NAMES)}.json"


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
            record = {"cell": NAMES, "final": trial.key, "search": []}
            record |= {"scores": "", "figures": ""}
            write_text(store.root / "cells" / CELL, json.dumps(record))
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


def test_verify_finds_files_that_no_manifest_names_and_links(store, tmp_path):
    kept, left, linked = (store.obtain("trials", {"a": n}, writes("abc")) for n in range(3))
    (kept.folder / ".DS_Store").write_text("left by a file system")
    (left.folder / "model").mkdir()
    (left.folder / "model" / "more.txt").write_text("x")
    value = linked.folder / "value.txt"
    value.rename(tmp_path / "elsewhere.txt")
    value.symlink_to(tmp_path / "elsewhere.txt")  # of the same content

    assert verify(store).damaged == {
        str(left.folder): ["model/more.txt does not belong to it"],
        str(linked.folder): ["value.txt is a link"],
    }


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


def test_what_lies_in_a_store_and_is_no_entry_is_neither_checked_nor_collected(store, tmp_path):
    entries = verify(store).checked
    needless = unneeded(store, days=0)
    (tmp_path / "mine/photos").mkdir(parents=True)
    trials = store.root / "trials"
    (trials / "link").symlink_to(tmp_path / "mine")
    (trials / "ab").mkdir(exist_ok=True)
    (trials / "ab/notes").mkdir()
    (trials / "stray.txt").write_text("x")
    assert verify(store).checked == entries
    assert unneeded(store, days=0) == needless


@pytest.mark.parametrize("damage", ["", "[1]", "\0" * 300, '{"cell": 3}'])
def test_a_damaged_record_of_a_cell_is_found_and_its_results_are_not_collected(store, damage):
    found = unneeded(store, days=0)
    path = store.root / "cells" / CELL
    record = path.read_text()
    path.write_text(damage)
    assert verify(store).damaged == {str(path): ["it is no record of a cell"]}
    with pytest.raises(UsageError, match=r"no record of a cell.*\(1 such file\).*writes it anew"):
        unneeded(store, days=0)
    assert verify(store, sample=0.5).damaged == {}  # of entries
    assert verify(store, repair=True).unread == []
    assert not path.exists()
    assert verify(store).damaged == {}
    path.write_text(record)
    assert unneeded(store, days=0) == found


def test_a_manifest_that_names_what_no_file_can_be_called_is_damaged(store):
    entry = store.obtain("trials", {"a": 1}, writes("abc"))
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    manifest["files"]["a" * 300] = {"bytes": 1, "sha256": "x"}
    (entry.folder / "manifest.json").write_text(json.dumps(manifest))
    found = verify(store, repair=True)
    assert (list(found.damaged), found.unread) == ([str(entry.folder)], [])
    assert not entry.folder.exists()


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
    assert (other.root / "cells" / CELL).is_file()


def test_a_damaged_entry_is_not_exported(store, tmp_path):
    damaged = next(store.entries("trials"))
    (damaged.folder / "value.txt").write_text("xxxx")
    left_out = []
    assert export(store, tmp_path / "results.tar", left_out=left_out) == 3
    assert left_out == [f"trials/{damaged.key}"]


def test_who_exports_is_told_of_what_is_not_in_the_archive(store, tmp_path):
    command = ["store", "export", str(tmp_path / "x.tar"), "-w", str(store.root.parent)]
    assert CliRunner().invoke(app, command).stderr == ""
    (next(store.entries("trials")).folder / "value.txt").write_text("xxxx")
    told = "Not in it, as damaged or not to be read: 1 entry. `spared-bench store verify` says why."
    assert CliRunner().invoke(app, command).stderr.strip() == told


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


def is_marked(entry):
    return read_mark(entry.folder) is not None


def test_what_was_imported_is_marked_through_any_chain_of_stores(store, tmp_path):
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    export(store, tmp_path / "a.tar")
    import_archive(first, tmp_path / "a.tar")
    export(first, tmp_path / "b.tar")
    import_archive(second, tmp_path / "b.tar")

    assert not any(map(is_marked, store.entries("trials")))
    assert all(map(is_marked, first.entries("trials")))
    stations = [read_mark(entry.folder)["stations"] for entry in second.entries("trials")]
    assert [[each["archive"] for each in found] for found in stations] == [["b.tar", "a.tar"]] * 2
    digest = hashlib.sha256((tmp_path / "b.tar").read_bytes()).hexdigest()
    assert stations[0][0]["sha256"] == digest


@pytest.mark.parametrize("mark", [None, b"{}", b"[", b'{"stations": 5}', b"[]", b"x" * 200_000])
def test_no_editing_of_an_archive_takes_the_mark_away(store, tmp_path, mark):
    export(store, tmp_path / "a.tar")
    import_archive(first := Store(tmp_path / "first"), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "edited.tar", "w") as tar:
        for entry in first.entries("trials"):
            for path in sorted(entry.folder.iterdir()):
                if path.name != MARK:
                    add(tar, f"trials/{entry.key}/{path.name}", path.read_bytes())
            if mark is not None:
                add(tar, f"trials/{entry.key}/{MARK}", mark)
    import_archive(second := Store(tmp_path / "second"), tmp_path / "edited.tar")
    assert len(list(second.entries("trials"))) == 2
    assert all(map(is_marked, second.entries("trials")))


def test_a_manifest_that_names_the_mark_its_own_is_refused(store, tmp_path):
    entry = next(store.entries("trials"))
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    manifest["files"][MARK] = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add(tar, f"trials/{entry.key}/manifest.json", json.dumps(manifest).encode())
        add(tar, f"trials/{entry.key}/value.txt", (entry.folder / "value.txt").read_bytes())
        add(tar, f"trials/{entry.key}/{MARK}", b"x")
    with pytest.raises(UsageError, match="its files are not those of its manifest"):
        import_archive(Store(tmp_path / "other"), tmp_path / "bad.tar")


def test_what_is_made_of_an_imported_dataset_is_marked_and_what_is_made_again_is_not(
    store, tmp_path
):
    export(store, tmp_path / "all.tar", products=True)
    other = Store(tmp_path / "other")
    own = other.obtain("trials", {"of": "nothing imported"}, writes("t"))
    import_archive(other, tmp_path / "all.tar")
    prepared = next(other.entries("prepared"))
    layer = other.obtain("completed", {"prepared": prepared.key, "by": "me"}, writes("l"))
    trial = other.obtain("trials", {"completed": layer.key, "of": "me"}, writes("t"))
    apart = other.obtain("trials", {"of": "nothing imported either"}, writes("t"))
    assert [is_marked(each) for each in (layer, trial, own, apart)] == [True, True, False, False]

    for kind, entry in (("trials", trial), ("completed", layer), ("prepared", prepared)):
        other.remove(kind, entry.key)
    other.remove("patches", prepared.key)  # of the same inputs in this made-up store
    for entry in list(other.entries("features")):
        other.remove("features", entry.key)
    again = other.obtain("prepared", prepared.inputs, writes("p"))
    layer = other.obtain("completed", layer.inputs, writes("l"))
    assert not is_marked(again)
    assert not is_marked(layer)


def test_what_may_have_used_imported_features_is_marked_and_what_cannot_is_not(store, tmp_path):
    """The patches were cut here; the features of them came, and no key of a trial names them."""
    with tarfile.open(tmp_path / "features.tar", "w") as tar:
        made = Store(tmp_path / "made")
        patches = {"of": "kept"}
        entry = made.obtain("features", {"patches": digest(patches), "net": "x"}, writes("truth"))
        tar.add(entry.folder, f"features/{entry.key}")
    assert import_archive(store, tmp_path / "features.tar") == (1, 0)
    layers = {(e.folder / "value.txt").parent: e for e in store.entries("completed")}
    of = {e.inputs["patches"] == digest(patches): e for e in layers.values()}
    trial = store.obtain("trials", {"completed": of[True].key, "by": "me"}, writes("t"))
    other = store.obtain("trials", {"completed": of[False].key, "by": "me"}, writes("t"))
    stained = store.obtain("stained", {"patches": digest(patches)}, writes("s"))
    network = store.obtain("networks", {"views": {"patch": stained.key}}, writes("n"))
    scores = store.obtain("scores", {"trial": other.key}, writes("t"))
    found = [is_marked(each) for each in (trial, network, other, scores, stained)]
    assert found == [True, True, False, False, False]
    assert read_mark(trial.folder)["stations"] == [{"made_from": entry.key}]


def test_figures_of_a_trial_that_was_made_here_are_drawn_here(store, tmp_path):
    trial = next(store.entries("trials"))
    for name, inputs in (
        ("own", {"trial": trial.key, "as": "forged"}),
        ("none", {"trial": "0" * 64}),
    ):
        made = Store(tmp_path / name)
        entry = made.obtain("figures", inputs, writes("forged"))
        export(made, tmp_path / f"{name}.tar")
        assert import_archive(store, tmp_path / f"{name}.tar") == (0, 0)
        assert not store.has("figures", entry.key)


def test_what_was_there_before_an_import_is_not_marked(store, tmp_path):
    export(store, tmp_path / "all.tar")
    assert import_archive(store, tmp_path / "all.tar") == (0, 4)
    assert not any(map(is_marked, store.entries("trials")))


def test_a_result_that_is_no_record_of_a_trial_is_not_taken_over(store, tmp_path):
    def odd(folder):
        (folder / "result.json").write_text('{"key": "k", "status": "ok", "n_parameters": "<b>"}')

    store.obtain("trials", {"odd": 1}, odd)
    export(store, tmp_path / "odd.tar")
    with pytest.raises(UsageError, match="this is no record of a trial"):
        import_archive(Store(tmp_path / "other"), tmp_path / "odd.tar")


def test_what_a_killed_import_left_is_swept_away_by_the_next(store, tmp_path):
    export(store, tmp_path / "all.tar")
    other = Store(tmp_path / "other")
    program = (
        "import os, sys; from pathlib import Path; from spared_bench.store import archives;"
        "from spared_bench.store.entries import Store;"
        "archives._adopt = lambda *_: os.kill(os.getpid(), 9);"
        "archives.import_archive(Store(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(other.root), str(tmp_path / "all.tar")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = (other.root / "tmp").iterdir()
    assert any(left.rglob("manifest.json"))

    assert import_archive(other, tmp_path / "all.tar") == (4, 0)
    assert list((other.root / "tmp").iterdir()) == []


def test_a_sample_is_so_many_and_over_time_everything(store):
    damaged = next(store.entries("trials"))
    (damaged.folder / "value.txt").write_text("xxxx")
    told = []
    half = verify(store, sample=0.5, told=lambda *numbers: told.append(numbers))
    assert half.checked == 6
    assert told == [(done, 6) for done in range(1, 7)]
    assert any(verify(store, sample=0.5).damaged for _ in range(40))  # missed once in 2^40
    for share in (0, -1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="a share above 0 and at most 1"):
            verify(store, sample=share)


def test_many_processes_find_what_one_finds(store, monkeypatch):
    damaged = next(store.entries("trials"))
    (damaged.folder / "value.txt").write_text("xxxx")
    (next(store.entries("prepared")).folder / "manifest.json").write_text("[" * 100_000)
    alone = verify(store)
    monkeypatch.setattr("spared_bench.store.maintenance._FEW_ENTRIES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert verify(store) == alone
    assert len(alone.damaged) == 2


KILLED = """
import sys
from pathlib import Path
from spared_bench.store import maintenance
from spared_bench.store.entries import Store

if __name__ == "__main__":
    maintenance._FEW_ENTRIES = 1
    maintenance._ENTRIES_AT_ONCE = 1
    maintenance.os.cpu_count = lambda: 2
    told = lambda done, total: print(done, flush=True) or sys.stdin.readline()
    print(maintenance.verify(Store(Path(sys.argv[1])), told=told).checked, flush=True)
"""


@pytest.fixture
def verifying(store, tmp_path):
    """A process that has begun to verify, with two more to help it, and waits to go on."""
    (tmp_path / "verifying.py").write_text(KILLED)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "verifying.py"), str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "1\n"
        helpers = [
            each
            for each in psutil.Process(process.pid).children()
            if any("spawn_main" in part for part in each.cmdline())
        ]
        assert helpers
        yield process, helpers
        process.kill()
    for each in helpers:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_processes_that_verify_end_with_the_one_that_started_them(verifying):
    process, helpers = verifying
    process.kill()
    assert psutil.wait_procs(helpers, timeout=30)[1] == []


def test_a_store_is_verified_to_its_end_when_a_process_that_helps_is_killed(verifying):
    process, helpers = verifying
    for each in helpers:
        each.kill()
    psutil.wait_procs(helpers, timeout=30)
    told, _ = process.communicate("\n" * 100)
    assert told.split()[-1] == "12"
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["value.txt", "manifest.json"])
def test_what_cannot_be_read_is_told_and_not_taken_away(store, monkeypatch, name):
    damaged, shut, *_ = store.entries("trials")
    (damaged.folder / "value.txt").write_text("xxxx")
    for read in (ordinary.open_ordinary, file_digest):

        def refuse(path, read=read):
            if path == shut.folder / name:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return read(path)

        module = ordinary if read is ordinary.open_ordinary else entries
        monkeypatch.setattr(module, read.__name__, refuse)
    verdict = verify(store, repair=True)
    assert set(verdict.damaged) == {str(damaged.folder), str(shut.folder)}
    assert verdict.unread == [str(shut.folder)]
    assert (shut.folder / "value.txt").is_file()
    assert not damaged.folder.exists()


def test_results_of_the_completion_benchmark_are_verified_and_not_collected(store):
    entry = store.obtain("completion", {"a": 1}, writes("abc"))
    assert entry.key not in {key for _, key, _ in unneeded(store, days=0)}
    (entry.folder / "value.txt").write_text("abd")
    assert verify(store, repair=True).damaged == {str(entry.folder): ["value.txt has changed"]}
    assert not entry.folder.exists()


def test_a_file_that_cannot_be_read_is_no_failure_to_write(store, tmp_path, monkeypatch):
    bad = next(store.entries("trials")).folder / "value.txt"
    opened = tarfile.bltn_open

    def refuse(path, *rest):
        if str(path) == str(bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return opened(path, *rest)

    monkeypatch.setattr("tarfile.bltn_open", refuse)
    with pytest.raises(WorkspaceError, match=r"Cannot read .*value\.txt: Input/output error"):
        export(store, tmp_path / "all.tar")
    assert not list(tmp_path.glob("*all.tar*"))


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
