"""What methods are handed: no way to the truth of test slides, and nothing of it to write to."""

from __future__ import annotations

from types import FunctionType

import numpy as np
import pytest
from anndata import read_h5ad

from spared_bench.api import select
from spared_bench.bench import Bench
from spared_bench.errors import CorruptEntryError
from spared_bench.models.encoders import ColorEncoder
from spared_bench.store.reading import read_product
from spared_bench.trials import products
from spared_bench.trials.completed import completed, completed_target, make_completed
from spared_bench.trials.products import make_dataset, prepare, prepared_table
from spared_bench.trials.runner import run_trial

pytestmark = pytest.mark.usefixtures("prepared_alone")


@pytest.fixture(autouse=True)
def nothing_read():
    """Begin, and end, as a process that has read no dataset."""
    products._last_read.clear()
    products.read_table.cache_clear()
    yield
    products._last_read.clear()
    products.read_table.cache_clear()


@pytest.fixture
def for_a_stranger(bench):
    """The bench of a process that does the job of a stranger's method."""
    return Bench(bench.settings, bench.registry, ("someone",))


def on_disk(bench):
    (path,) = bench.workspace.store.root.glob("prepared/*/*/dataset.h5ad")
    return read_h5ad(path)


def test_a_strangers_process_holds_no_measured_entry_of_a_test_slide(bench, for_a_stranger):
    truth, prepared = on_disk(bench), prepare(for_a_stranger, "toy")
    test = (truth.obs["split"] == "test").to_numpy()
    assert test.any()
    assert truth.layers["mask"][test].any()
    for name in [None, *truth.layers]:
        whole = truth.X if name is None else truth.layers[name]
        seen = prepared.adata.X if name is None else prepared.adata.layers[name]
        whole, seen = (
            each.toarray() if hasattr(each, "tocsr") else np.asarray(each) for each in (whole, seen)
        )
        assert not seen[test].any()
        assert seen.dtype == whole.dtype
        np.testing.assert_array_equal(seen[~test], whole[~test])
    assert truth.obsm["depth"][test].all()
    assert not prepared.adata.obsm["depth"][test].any()
    np.testing.assert_array_equal(prepared.adata.obsm["depth"][~test], truth.obsm["depth"][~test])
    assert prepared.missing_fraction == 1 - np.mean(truth.layers["mask"])
    assert products.read_table.cache_info().currsize == 0


def test_slides_to_be_predicted_lead_to_no_table_of_the_dataset(bench):
    blind = prepare(bench, "toy").slides("test").without_expression()
    assert isinstance(blind.features_of, FunctionType)  # a method would have __self__
    behind = [cell.cell_contents for cell in blind.features_of.__closure__]
    assert not [each for each in behind if hasattr(each, "adata") or hasattr(each, "layers")]
    assert not blind.adata.is_view
    parts = [blind.adata.obs, blind.adata.var, blind.adata.obsm["spatial"], blind.adata.uns]
    parts += [blind.adata.uns["spared_bench"], *blind.adata.uns["spared_bench"].values()]
    assert not [part for part in parts if getattr(part, "_view_args", None) is not None]


def test_what_a_method_writes_into_its_slides_does_not_reach_the_dataset(bench):
    before, prepared = on_disk(bench), prepare(bench, "toy")
    blind = prepared.slides("test").without_expression()
    blind.adata.obsm["spatial"][:] = -1
    blind.adata.uns["spared_bench"].clear()
    blind.adata.obs["slide_id"] = "x"
    np.testing.assert_array_equal(prepared.adata.obsm["spatial"], before.obsm["spatial"])
    assert set(prepared.adata.uns["spared_bench"]) == set(before.uns["spared_bench"])
    assert list(prepared.adata.obs["slide_id"]) == list(before.obs["slide_id"])


def test_the_prepared_data_in_memory_are_read_only(bench):
    table = prepared_table(bench, "toy")
    for name, layer in table.layers.items():
        values = layer.data if hasattr(layer, "tocsr") else layer
        with pytest.raises(ValueError, match="read-only"):
            values[:] = 0
        assert name
    with pytest.raises(ValueError, match="read-only"):
        table.obsm["spatial"][:] = 0


def test_features_that_a_strangers_process_makes_are_for_nobody_else(bench, for_a_stranger):
    class False_(ColorEncoder):
        def encode(self, patches):
            return np.zeros((len(patches), 24), np.float32)

    False_.__module__ = ColorEncoder.__module__
    false = prepare(for_a_stranger, "toy").slides("val").features(False_())
    products._last_read.clear()
    slides = prepare(bench, "toy").slides("val")
    true = slides.features(ColorEncoder())
    assert not false.any()
    np.testing.assert_array_equal(true, ColorEncoder().encode(slides.patches))
    products._last_read.clear()
    shared = prepare(for_a_stranger, "toy").slides("val").features(ColorEncoder())
    np.testing.assert_array_equal(shared, true)  # ours are there, and are read


def test_what_a_method_writes_into_its_slides_reaches_nobody_else(bench):
    prepared = prepare(bench, "toy")
    offset = np.full(prepared.adata.n_vars, 0.25)
    before = completed(prepared, "none", "train", offset=offset)
    target, mask = before.target.copy(), before.mask.copy()
    seen = prepared.transform(offset).gene_means.copy()

    taken = [completed(prepared, "none", "train", offset=offset), prepared.slides("train")]
    for slides in taken:
        slides.adata.layers["mask"][:] = False
        slides.adata.obs["mine"] = 1
        slides.adata.uns["spared_bench"]["mine"] = 1
    taken[0].target[:] = 9
    completed_target(prepared, "none", "train")[:] = 9
    prepared.transform(offset).gene_means[:] = 9
    blind = prepared.shared("test").without_expression()
    blind.adata.obsm["spatial"][:] = 9

    again = prepare(bench, "toy")
    after = completed(again, "none", "train", offset=offset)
    np.testing.assert_array_equal(after.target, target)
    np.testing.assert_array_equal(after.mask, mask)
    np.testing.assert_array_equal(again.transform(offset).gene_means, seen)
    assert (again.shared("test").adata.obsm["spatial"] != 9).any()
    for slides in (after, again.shared("train"), again.slides("train")):
        assert "mine" not in slides.adata.obs
        assert "mine" not in slides.adata.uns["spared_bench"]


def test_the_offset_is_what_is_subtracted_from_the_completed_target(bench):
    prepared = prepare(bench, "toy")
    layer = np.load(make_completed(bench, "toy", "none").folder / "completed.npy")
    rows = on_disk(bench).obs["split"].to_numpy() == "val"
    offset = np.arange(prepared.adata.n_vars, dtype=np.float32)

    found = completed(prepared, "none", "val", offset=offset)

    np.testing.assert_array_equal(found.target, layer[rows] - offset)
    np.testing.assert_array_equal(found.mask, on_disk(bench).layers["mask"][rows])


def test_two_splits_together_have_the_spots_of_both_in_the_order_of_the_dataset(bench):
    prepared, whole = prepare(bench, "toy"), on_disk(bench)
    layer = np.load(make_completed(bench, "toy", "none").folder / "completed.npy")
    rows = whole.obs["split"].isin(["train", "val"]).to_numpy()
    offset = np.arange(prepared.adata.n_vars, dtype=np.float32)

    both = completed(prepared, "none", "train", "val", offset=offset)
    alone = completed(prepared, "none", "train")

    assert len(both) > len(alone) > 0
    assert list(both.adata.obs_names) == list(whole.obs_names[rows])
    np.testing.assert_array_equal(both.target, layer[rows] - offset)
    np.testing.assert_array_equal(both.patches[:], prepared.patches[np.flatnonzero(rows)])


@pytest.fixture(params=["prepared", "patches", "completed", "features"])
def zeroed(bench, request):
    """Every array and table of one kind of product: of its size, and all zeros."""
    make_dataset(bench, "toy")
    make_completed(bench, "toy", "none")
    slides = prepare(bench, "toy").slides("train")
    features(slides)
    products._last_read.clear()
    products.read_table.cache_clear()
    files = [
        path
        for path in bench.workspace.store.root.glob(f"{request.param}/*/*/*")
        if path.suffix in (".npy", ".h5ad")
    ]
    assert files
    sound = {path: path.read_bytes() for path in files}
    for path, content in sound.items():
        path.write_bytes(bytes(len(content)))
    return request.param, sound


def read_all(bench):
    prepared = prepare(bench, "toy")
    slides = prepared.slides("train")
    return completed_target(prepared, "none", "train"), slides.patches[:], features(slides)


def features(slides):
    return slides.features(ColorEncoder())


def test_a_product_that_is_all_zeros_is_made_again(bench, zeroed):
    _, sound = zeroed
    read_all(bench)
    for path, content in sound.items():
        if path.suffix == ".npy":  # HDF5 notes times
            assert path.read_bytes() == content
        else:
            assert path.read_bytes() != bytes(len(content))


def test_a_damaged_product_is_no_failure_of_a_strangers_method(bench, for_a_stranger, zeroed):
    kind, sound = zeroed
    with pytest.raises(CorruptEntryError, match=r"has changed.*store verify --repair"):
        read_all(for_a_stranger)
    for path, content in sound.items():  # nor made where the stranger's code is
        assert path.read_bytes() == bytes(len(content)), kind


def test_what_cannot_be_read_and_is_not_damaged_stays_the_error_that_it_was(bench):
    def read(entry):
        raise OSError("too many open files")

    store = bench.workspace.store
    with pytest.raises(OSError, match="too many open files"):
        read_product(store, lambda: make_completed(bench, "toy", "none"), read)
    assert store.has("completed", bench.completed_key("toy", "none"))


def test_a_trial_whose_product_is_damaged_runs_as_if_it_were_not(bench, zeroed):
    (cell,) = select(bench, ["toy"], ["none"], ["toy-ridge"]).cells
    result = run_trial(bench, cell.finals[-1])
    assert result.ok, result.traceback


def test_a_network_that_is_all_zeros_is_trained_again(bench):
    store = bench.workspace.store
    (cell,) = select(bench, ["toy"], ["none"], ["toy-staged"]).cells
    first = run_trial(bench, cell.finals[-1])
    assert first.ok, first.traceback
    store.remove("trials", first.key)
    files = list(store.root.glob("networks/*/*/model/*"))
    assert files
    for path in files:
        path.write_bytes(bytes(path.stat().st_size))
    again = run_trial(bench, cell.finals[-1])
    assert again.ok, again.traceback
    assert again.validation_mse == first.validation_mse
