"""A method saves itself into its own folder, and changes nothing else of its entry."""

from __future__ import annotations

import shutil

import pytest

from spared_bench.errors import PluginError
from spared_bench.store.entries import Store
from spared_bench.store.processes import place
from spared_bench.store.trials import MODEL
from spared_bench.trials.saving import save_apart


class Saves:
    """A method whose ``save`` does what it is told."""

    def __init__(self, does):
        self.save = does


@pytest.fixture
def entry(tmp_path):
    folder = tmp_path / "tmp" / "trials-abc.host.1-2.3"
    folder.mkdir(parents=True)
    (folder / "predictions.npz").write_bytes(b"predictions")
    return folder


def test_what_is_saved_is_in_the_folder_of_the_model(entry):
    def does(folder):
        (folder / "parts").mkdir()
        (folder / "parts" / "weights").write_text("w")

    save_apart(Saves(does), entry / MODEL)
    assert (entry / MODEL / "parts" / "weights").read_text() == "w"
    assert {path.name for path in entry.iterdir()} == {MODEL, "predictions.npz"}
    assert list(entry.parent.iterdir()) == [entry]


def beside_it(folder):
    (folder.parent / "predictions.npz").write_bytes(b"better ones")


def a_new_file_in_the_entry(folder):
    (entry,) = folder.parent.parent.glob("trials-*")
    (entry / "genes.csv").write_text("better ones")


def over_the_predictions(folder):
    (entry,) = folder.parent.parent.glob("trials-*")
    (entry / "predictions.npz").write_bytes(b"better ones")


def without_the_predictions(folder):
    (entry,) = folder.parent.parent.glob("trials-*")
    (entry / "predictions.npz").unlink()


def a_model_of_its_own(folder):
    (entry,) = folder.parent.parent.glob("trials-*")
    (entry / MODEL).mkdir()


def away(folder):
    shutil.rmtree(folder)


def a_link_to_the_entry(folder):
    (entry,) = folder.parent.parent.glob("trials-*")
    folder.rmdir()
    folder.symlink_to(entry)


@pytest.mark.parametrize(
    ("does", "what"),
    [
        (beside_it, r"wrote 'predictions\.npz' outside of the folder"),
        (a_new_file_in_the_entry, r"wrote 'genes\.csv' outside"),
        (over_the_predictions, r"wrote 'predictions\.npz' outside"),
        (without_the_predictions, r"wrote 'predictions\.npz' outside"),
        (a_model_of_its_own, "wrote 'model' outside"),
        (away, "took away the folder"),
        (a_link_to_the_entry, "took away the folder"),
    ],
)
def test_a_method_that_writes_elsewhere_fails_and_leaves_nothing_behind(entry, does, what):
    with pytest.raises(PluginError, match=rf"Saves\.save {what}"):
        save_apart(Saves(does), entry / MODEL)
    assert list(entry.parent.iterdir()) == [entry]


def test_what_a_killed_save_left_is_swept_away(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    folder = store.root / "tmp" / "trials-abc"
    folder.mkdir(parents=True)
    monkeypatch.setattr("spared_bench.trials.saving.remove_folder", lambda _: None)
    monkeypatch.setattr("spared_bench.trials.saving.stamp", lambda: f"{place()}.1-1.abc")
    with pytest.raises(KeyboardInterrupt):
        save_apart(Saves(lambda _: (_ for _ in ()).throw(KeyboardInterrupt)), folder / MODEL)
    monkeypatch.undo()
    assert store.sweep() == 1
    assert list((store.root / "tmp").iterdir()) == [folder]
