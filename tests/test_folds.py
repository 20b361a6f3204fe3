"""Folds of a dataset, found by name, and donors that stand on both sides of a split."""

from __future__ import annotations

import pytest

import spared_bench
from spared_bench.api import make_bench, select
from spared_bench.errors import PluginError, SplitError, UnknownNameError, UsageError
from spared_bench.registry import discover
from spared_bench.specs import DatasetSpec, SlideInfo
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

SLIDES = (SlideInfo("a1", "anna"), SlideInfo("a2", "anna"), SlideInfo("b1", "bea"))


def spec(split, **more) -> DatasetSpec:
    return DatasetSpec("made_up", factory="no:where", slides=SLIDES, split=split, **more)


def test_a_donor_in_training_and_test_is_refused_unless_it_is_said():
    split = {"train": ("a1", "b1"), "test": ("a2",)}
    with pytest.raises(SplitError, match=r"donors \['anna'\].*allow_shared_donors=True"):
        spec(split)
    allowed = spec(split, allow_shared_donors=True)
    assert allowed.shared_donors == ("anna",)
    assert allowed.tier == "B"


def test_a_donor_in_validation_and_test_is_shared_too():
    with pytest.raises(SplitError, match="anna"):
        spec({"train": ("b1",), "val": ("a1",), "test": ("a2",)})


def test_a_donor_within_one_split_or_without_a_test_is_not_shared():
    assert spec({"train": ("a1", "a2"), "test": ("b1",)}).tier == "A"
    assert spec({"train": ("a1", "b1"), "val": ("a2",)}).tier == "C"


def test_a_fold_trains_on_all_that_it_does_not_test():
    folds = {"donor": {"Anna": ("a1", "a2"), "Bea": ("b1",)}}
    anna, bea = spec({"train": ("a1",)}, folds=folds).fold_specs("donor")
    assert (anna.name, anna.fold_of) == ("made_up.donor-anna", "made_up")
    assert anna.split == {"train": ("b1",), "test": ("a1", "a2")}
    assert bea.split == {"train": ("a1", "a2"), "test": ("b1",)}
    assert (anna.tier, bea.tier) == ("A", "A")
    assert not anna.folds


@pytest.mark.parametrize("tested", [("c9",), ()])
def test_a_fold_of_unknown_slides_or_of_none_is_refused(tested):
    with pytest.raises(SplitError, match=r"fold 'x' of 'loso' tests slides .*expected at least"):
        spec({"train": ("a1",)}, folds={"loso": {"x": tested}})


@pytest.fixture(scope="module")
def registry():
    return discover()


def test_folds_are_found_by_name_and_left_out_of_lists(registry):
    fold = registry.get("dataset", "her2st.loso-A1").spec
    assert fold.split["test"] == ("A1",)
    assert registry.get("dataset", "spared-bench:her2st.loso-a1").spec == fold
    assert fold.tier == "B"
    patient = registry.get("dataset", "her2st.patient-h").spec
    assert patient.split["test"] == ("H1", "H2", "H3")
    assert patient.tier == "A"
    assert not [name for name in registry.names("dataset") if "." in name]


def test_a_scheme_stands_for_all_its_folds_in_a_selection_only(registry):
    assert registry.expand("her2st.patient") == [f"her2st.patient-{p}" for p in "abcdefgh"]
    assert registry.expand("planted") == ["planted"]
    with pytest.raises(UsageError, match=r"stands for 8 folds.*her2st\.patient-a"):
        registry.get("dataset", "her2st.patient")
    with pytest.raises(UnknownNameError, match=r"No dataset is named 'her2st\.patient-z'"):
        registry.get("dataset", "her2st.patient-z")


def test_all_folds_share_the_patches_of_their_dataset(tmp_path):
    plugin = tmp_path / "folded.py"
    text = TOY_PLUGIN.read_text().replace(
        '"synthetic": True,', '"synthetic": True, "folds": {"loso": {s: (s,) for s in SLIDES}},'
    )
    plugin.write_text(text)
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=tmp_path / "w", plugin_files=[plugin], device="cpu"
    )
    plan = select(bench, ["toy.loso"], [], ["toy-mean"])
    names = [cell.dataset for cell in plan.cells]
    assert names == ["toy.loso-one", "toy.loso-two", "toy.loso-three"]
    patches = [bench.patches_inputs(name) for name in ["toy", *names]]
    assert all(each == patches[0] for each in patches)
    prepared = [str(bench.prepared_inputs(name)) for name in ["toy", *names]]
    assert len(set(prepared)) == 4
    with pytest.raises(UsageError, match=r"stands for 3 folds, and `fit` trains on one.*loso-two"):
        spared_bench.fit(
            "toy-mean",
            "toy.loso",
            protocol=TOY_PROTOCOL,
            workspace=tmp_path / "w",
            plugin_files=[plugin],
        )


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"x": ("a1",), "X": ("b1",)}, r"two folds are called .made_up\.loso-x."),
        ({"x": ("a1", "a2", "b1")}, "split has no training slides"),
        ({"a/b": ("a1",)}, "the name must be"),
        ({}, "the scheme of folds 'loso' has no fold. Give it at least one"),
        ({"train": ("a1",), "test": ("b1",)}, "fold 'train', which is called as a part of a split"),
    ],
)
def test_a_fold_that_cannot_be_a_dataset_is_refused_with_its_scheme(folds, message):
    with pytest.raises((PluginError, SplitError), match=message):
        spec({"train": ("a1",)}, folds={"loso": folds})
