from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench import ordinary
from spared_bench.cli.common import fail as tell_failure
from spared_bench.errors import ContractError, CorruptEntryError, PluginError, WorkspaceError
from spared_bench.files import write_text
from spared_bench.keys.hashing import digest
from spared_bench.store.disk import why_lost, why_not_written
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.maintenance import verify

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def writes(text):
    def make(folder: Path) -> None:
        (folder / "value.txt").write_text(text)

    return make


@given(st.dictionaries(st.text(max_size=4), plain, max_size=4))
def test_a_key_does_not_depend_on_the_order_of_fields(values):
    turned = dict(reversed(values.items()))
    assert digest(values) == digest(turned)
    assert digest({**values, "another": 1}) != digest({**values, "another": 2})


def test_an_entry_is_made_once_and_found_after(store):
    first = store.obtain("kind", {"a": 1}, writes("one"))
    second = store.obtain("kind", {"a": 1}, writes("two"))
    assert first.folder == second.folder
    assert (second.folder / "value.txt").read_text() == "one"
    assert store.find("kind", {"a": 2}) is None


def test_what_fails_while_it_is_made_leaves_nothing(store):
    def make(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        store.obtain("kind", {"a": 1}, make)

    assert store.find("kind", {"a": 1}) is None
    assert list((store.root / "tmp").iterdir()) == []


def test_what_a_method_saves_very_deep_is_refused_and_removed(store):
    def make(folder):
        below = os.open(folder, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("d", dir_fd=below)
            inner = os.open("d", os.O_RDONLY, dir_fd=below)
            os.close(below)
            below = inner
        os.close(below)

    with pytest.raises((PluginError, RecursionError)):
        store.obtain("kind", {"a": 1}, make)
    assert list((store.root / "tmp").iterdir()) == []
    with pytest.raises(PluginError, match="more than 64 deep"):
        store.obtain("kind", {"a": 1}, lambda to: (to / "/".join("d" * 65)).mkdir(parents=True))


def test_what_a_method_saved_for_nobody_is_an_entry_like_others(store):
    def make(folder):
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("text")
        (folder / "inner" / "file").chmod(0)
        (folder / "inner").chmod(0)

    entry = store.obtain("kind", {"a": 1}, make)
    assert (entry.folder / "inner" / "file").stat().st_mode & 0o400
    assert (entry.folder / "inner").stat().st_mode & 0o500
    assert store.verify(entry) == []


def test_an_entry_made_from_other_inputs_than_its_key_says_is_refused(store):
    entry = store.obtain("kind", {"a": 1, "b": 2}, writes("x"))
    manifest = json.loads((entry.folder / MANIFEST).read_text())
    manifest["inputs"]["b"] = 3
    (entry.folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorruptEntryError, match=r"other inputs than its key says \(b differ"):
        store.find("kind", {"a": 1, "b": 2})


@pytest.mark.parametrize("damage", ["truncate", "delete", "manifest", "no manifest"])
def test_a_damaged_entry_is_made_again(store, damage):
    entry = store.obtain("kind", {"a": 1}, writes("long enough"))
    victim = entry.folder / ("value.txt" if damage in ("truncate", "delete") else MANIFEST)
    if damage in ("delete", "no manifest"):
        victim.unlink()
    else:
        victim.write_text("{")
    with pytest.raises(CorruptEntryError):
        store.find("kind", {"a": 1})

    again = store.obtain("kind", {"a": 1}, writes("new"))

    assert (again.folder / "value.txt").read_text() == "new"


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_circle(path):
    path.unlink()
    path.symlink_to(path)


def replace_folder_by_file(path):
    shutil.rmtree(path.parent)
    path.parent.write_text("no folder")


@pytest.mark.parametrize("replace", [replace_by_folder, replace_by_circle, replace_folder_by_file])
@pytest.mark.parametrize("name", [MANIFEST, "value.txt"])
def test_what_lies_where_an_entry_should_be_is_replaced_by_it(store, replace, name):
    replace(store.obtain("trials", {"a": 1}, writes("old")).folder / name)
    assert len(verify(store).damaged) == 1
    again = store.obtain("trials", {"a": 1}, writes("new"))
    assert (again.folder / "value.txt").read_text() == "new"
    assert list((store.root / "tmp").iterdir()) == []


def test_keys_are_those_of_entries_whatever_else_lies_there(store, monkeypatch):
    """Files and empty folders of somebody else, and a folder that may not be looked into."""
    made = [store.write("trials", {"n": n}, writes("x")) for n in range(30)]
    keys = sorted(digest(entry.inputs) for entry in made)
    assert store.keys("trials") == keys
    assert store.keys("scores") == []
    root = store.root / "trials"
    (root / "notes.txt").write_text("mine")
    (root / keys[0][:2] / "notes.txt").write_text("mine")
    (root / keys[0][:2] / f"{keys[0][:2]}empty").mkdir()
    assert store.keys("trials") == keys
    listed, closed = os.listdir, str(root / keys[0][:2])

    def refusing(folder):
        if folder == closed:
            raise PermissionError(13, "Permission denied", folder)
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refusing)
    assert store.keys("trials") == [key for key in keys if key[:2] != keys[0][:2]]


def test_verify_finds_a_flipped_byte_that_the_size_does_not_show(store):
    entry = store.obtain("kind", {"a": 1}, writes("abc"))
    assert store.verify(entry) == []
    (entry.folder / "value.txt").write_text("abd")
    assert store.find("kind", {"a": 1}) is not None
    assert store.verify(entry) == ["value.txt has changed"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_rights_of_files_takes_entries(store, monkeypatch, number):
    def refuse(path, *arguments, **options):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    monkeypatch.setattr("os.link", lambda source, target: refuse(target))
    entry = store.obtain("things", {"a": 1}, lambda folder: write_text(folder / "file", "text"))
    assert (entry.folder / "file").read_text() == "text"
    store.remove("things", entry.key)
    assert store.find("things", {"a": 1}) is None


@pytest.mark.parametrize("umask", [0o777, 0o077, 0o022])
def test_no_umask_of_a_method_shuts_the_folders_that_others_share(store, umask):
    store.root.mkdir(parents=True)
    store.root.chmod(0o2775)
    before = os.umask(umask)
    try:
        store.obtain("things", {"a": 1}, writes("x"))
        store.remove("things", digest({"a": 1}))
    finally:
        os.umask(before)
    shared = [store.root / "tmp", *(store.root / "things").rglob("*"), store.root / "things"]
    assert len(shared) == 3
    assert {oct(path.stat().st_mode & 0o7777) for path in shared} == {"0o2775"}


@pytest.mark.parametrize(("root", "file"), [(0o2775, 0o664), (0o755, 0o644), (0o700, 0o600)])
@pytest.mark.parametrize("umask", [0o777, 0o077, 0o002])
def test_who_may_read_the_store_may_read_what_a_library_wrote_for_us_alone(
    store, root, file, umask
):
    from safetensors.numpy import save_file

    def make(folder):
        (folder / "model").mkdir(mode=0o700)
        (folder / "model").chmod(0o700)
        save_file({"weight": np.zeros(3)}, folder / "model" / "learned.safetensors")
        (folder / "model" / "read-only.txt").write_text("x")
        (folder / "model" / "read-only.txt").chmod(0o400)

    store.root.mkdir(parents=True)
    store.root.chmod(root)
    before = os.umask(umask)
    try:
        entry = store.obtain("things", {"a": 1}, make)
    finally:
        os.umask(before)
    made = [entry.folder, *entry.folder.rglob("*")]
    assert len(made) == 5
    for path in made:
        assert oct(path.stat().st_mode & 0o7777) == oct(root if path.is_dir() else file), path


@pytest.mark.parametrize("name", [MANIFEST, "note.txt"])
def test_an_entry_that_may_not_be_read_is_a_message_and_no_damage(store, monkeypatch, name):
    entry = store.obtain("things", {"a": 1}, writes("{}"))
    opened = ordinary.open_ordinary

    def forbidden(path):
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path)

    monkeypatch.setattr(ordinary, "open_ordinary", forbidden)
    with pytest.raises(WorkspaceError, match=r"cannot be read: Permission denied\. If somebody"):
        store.obtain("things", {"a": 1}, writes("other")).read_json("note.txt")
    assert entry.folder.is_dir()


def test_where_two_processes_make_the_same_entry_the_first_one_stays(store):
    def make(folder):
        (folder / "value.txt").write_text("second")
        store.write("kind", {"a": 1}, writes("first"))

    entry = store.write("kind", {"a": 1}, make)

    assert (entry.folder / "value.txt").read_text() == "first"


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(store):
    script = (
        "import os, sys; from pathlib import Path; from spared_bench.store.entries import Store\n"
        f"store = Store(Path({str(store.root)!r}))\n"
        "def make(folder):\n    (folder / 'half').write_text('x'); os.kill(os.getpid(), 9)\n"
        "store.write('kind', {'a': 1}, make)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list((store.root / "tmp").iterdir())) == 1

    def make(folder):
        assert store.sweep() == 1
        (folder / "value.txt").write_text("safe")

    entry = store.write("kind", {"a": 1}, make)
    assert (entry.folder / "value.txt").read_text() == "safe"


def test_what_another_machine_trains_for_days_is_not_swept_while_it_shows_that_it_lives(store):
    """A folder's time is that of the last file in it, and a training writes at its end."""
    folder = store.root / "tmp" / "trials-abc.elsewhere-1.77-5.00000000"
    folder.mkdir(parents=True)
    os.utime(folder, (1, 1))
    card = store.root / "leases" / "owners" / "elsewhere-1.70.11111111"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    assert store.sweep() == 0
    assert folder.is_dir()
    os.utime(card, (1, 1))
    assert store.sweep() == 1
    assert not folder.exists()


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr("spared_bench.store.disk.takes_no_more", lambda folder: True)


@pytest.mark.usefixtures("full")
def test_a_full_disk_says_so_and_leaves_nothing(store):
    def make(folder):
        raise OSError(28, os.strerror(28))

    with pytest.raises(WorkspaceError, match=r"No space left on device.*Finished results are safe"):
        store.obtain("kind", {"a": 1}, make)
    assert store.find("kind", {"a": 1}) is None


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("flush failed (errno = 28, error message = 'No space left on device')"),
        OSError("800 requested and 0 written"),
    ],
)
def test_a_full_disk_is_known_from_what_libraries_make_of_it(store, error):
    def make(folder):
        raise error

    with pytest.raises(WorkspaceError, match=r"No space left on device. Finished results are"):
        store.obtain("kind", {"a": 1}, make, once=True)


@pytest.mark.parametrize("remade", [False, True])
def test_a_workspace_that_is_moved_meanwhile_is_no_failure_of_what_was_made(store, remade):
    def move(folder: Path) -> None:
        store.root.rename(store.root.with_name("moved"))
        if remade:  # by another process of the same run
            (store.root / "tmp").mkdir(parents=True)
        (folder / "value").write_text("1")

    with pytest.raises(WorkspaceError, match="was moved or removed while it was written to"):
        store.write("trials", {"a": 1}, move)


def test_a_method_that_removes_its_own_folder_fails_alone(store):
    def remove(folder: Path) -> None:
        shutil.rmtree(folder)
        (folder / "value").write_text("1")

    with pytest.raises(FileNotFoundError):
        store.write("trials", {"a": 1}, remove)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_elsewhere_that_takes_no_more_is_not_the_workspace(store, number):
    def make(folder):
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        store.obtain("kind", {"a": 1}, make)
    assert not any((store.root / "tmp").iterdir())


def test_a_command_tells_of_what_it_could_not_write_and_of_nothing_else():
    read_only = OSError(errno.EROFS, "x", "/data/mine")
    assert why_not_written(read_only).startswith("/data/mine cannot be written: Read-only")
    lost = RuntimeError("can't flush: errno = 28, No space left on device")
    assert why_not_written(lost).startswith("A file cannot be written: No space left")
    for other in (OSError(errno.EIO, "x"), RuntimeError("no space is left on this page")):
        assert why_not_written(other) == ""
    lost = OSError(errno.EIO, "x", "/data/mine")
    assert why_lost(lost).startswith("/data/mine cannot be read or written: Input/output error.")
    assert why_lost(read_only) == ""


def test_a_command_tells_of_a_disk_that_fails_whatever_a_reader_takes_it_for(capsys):
    error = ContractError("The table cannot be read. It is damaged.")
    error.__cause__ = OSError(errno.ESTALE, "Stale file handle")
    tell_failure(error)
    told = capsys.readouterr().err
    assert told.startswith("ContractError: Its disk fails, or the server that has it is away.")
    assert told.endswith("What was found: The table cannot be read. It is damaged.\n")
    error.__cause__ = error
    tell_failure(error)
    assert "Its disk" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_wait_for_its_disk_is_not_waited_for(store, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", lambda _: fail(number))
    entry = store.write(
        "kind", {"a": 1}, lambda folder: (folder / "value").write_text("1") and None
    )
    assert store.verify(entry) == []


def test_a_disk_that_fails_is_told_as_the_workspace_s(store, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: fail(errno.EIO))
    with pytest.raises(WorkspaceError, match=r"Input/output error\. Finished results are safe"):
        store.write("kind", {"a": 1}, make_one)


def make_one(folder):
    (folder / "value").write_text("1")


def fail(number):
    raise OSError(number, os.strerror(number))


def test_an_error_that_is_not_about_writing_keeps_its_own_name(store):
    def make(folder):
        (folder / "absent").read_text()

    with pytest.raises(FileNotFoundError):
        store.obtain("kind", {"a": 1}, make)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert [child.name for child in tmp_path.iterdir()] == ["file.txt"]
