"""What every completer promises, asked of every completer of the built-in plugin."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from spared_bench.interfaces import Budget, Completer, Context
from tests.completion.making import SPECS, changed, create, slides_of, with_noise

BUDGET = Budget(iterations=6, batch_size=16, validate_every=3, augment=False)
TRAINED = ("spackle", "spackle-released", "graph-mae")


def fitted(name, train, val, seed=1, budget=BUDGET, report=lambda step, values: None):
    completer = create(name)
    completer.fit(train, val, Context(seed, budget, report=report))
    return completer


@pytest.fixture(scope="module")
def train():
    return slides_of([40, 30], seed=1)


@pytest.fixture(scope="module")
def val():
    return slides_of([25], seed=2)


@pytest.fixture(scope="module", params=SPECS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def completer(name, train, val):
    return fitted(name, train, val)


@pytest.mark.parametrize("sizes", [[1], [2, 30], [6, 1, 20], [70]])
def test_measured_entries_stay_bit_for_bit_on_slides_of_any_size(completer, sizes):
    slides = slides_of(sizes, seed=3)
    before, mask = slides.target.copy(), slides.mask

    completed = completer.complete(slides)

    assert isinstance(completer, Completer)
    assert completed.dtype == np.float32
    assert completed.shape == before.shape
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[mask], before[mask])
    completed += 1  # what is returned belongs to the caller
    np.testing.assert_array_equal(slides.target, before)


@pytest.mark.parametrize("sizes", [[1], [1, 1], [2, 30]])
def test_it_can_be_fitted_on_slides_of_any_size(name, sizes):
    slides = slides_of(sizes, seed=4)
    completed = fitted(name, slides, slides).complete(slides)
    assert np.isfinite(completed).all()


def test_a_gene_never_measured_on_a_slide_and_a_spot_without_a_measured_gene_work(completer):
    slides = slides_of([30, 20], seed=5)
    mask = slides.mask.copy()
    mask[slides.slide_ids == "slide0", 1] = False
    mask[7] = False
    blank = changed(slides, mask=mask, target=np.where(mask, slides.target, 0))
    completed = completer.complete(blank)
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[mask], slides.target[mask])


def test_a_gene_never_measured_in_training_works(name, train, val):
    mask = train.mask.copy()
    mask[:, 2] = False
    target = np.where(mask, train.target, 0)
    prefilled = np.where(np.arange(4) == 2, 0, train.prefilled)
    blank = changed(train, mask=mask, target=target, prefilled=prefilled)
    assert np.isfinite(fitted(name, blank, val).complete(val)).all()


def test_the_same_seed_gives_the_same_completion(name, completer, train, val):
    again = fitted(name, train, val)
    np.testing.assert_array_equal(completer.complete(val), again.complete(val))
    np.testing.assert_array_equal(completer.complete(val), completer.complete(val))


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_gives_other_weights(name, train, val):
    first, second = (fitted(name, train, val, seed) for seed in (1, 2))
    assert (first.complete(val) != second.complete(val)).any()


def test_validation_slides_choose_among_weights_and_move_none(name, train, val):
    def run(chosen_by):
        losses = []
        # A single validation, at the end: there is nothing to choose among.
        completer = fitted(
            name,
            train,
            chosen_by,
            budget=Budget(6, 16, 6, False),
            report=lambda step, values: losses.append(values["train_mse"]),
        )
        return losses, completer.complete(train)

    losses, completed = run(val)
    noisy_losses, noisily_completed = run(with_noise(val))

    assert losses == noisy_losses
    np.testing.assert_array_equal(completed, noisily_completed)


def test_completing_other_slides_leaves_the_method_as_it_is(completer, train):
    before = completer.complete(train)
    completer.complete(with_noise(slides_of([33], seed=9)))
    np.testing.assert_array_equal(completer.complete(train), before)


def test_what_the_median_filter_says_of_the_slides_is_not_looked_at_in_use(completer, val):
    lie = changed(val, prefilled=np.full(val.target.shape, 99, dtype=np.float32))
    np.testing.assert_array_equal(completer.complete(lie), completer.complete(val))


def test_a_slide_is_completed_from_itself_alone(name, completer):
    slides = slides_of([30, 25], seed=6)
    if name == "spackle-released":
        pytest.skip("it mixes the slides of a split; that is what was released")
    first = slides.slide_ids == "slide0"
    alone = completer.complete(slides.subset(first))
    np.testing.assert_allclose(completer.complete(slides)[first], alone, rtol=2e-5, atol=2e-5)


def test_saved_and_loaded_it_completes_the_same_and_no_file_is_a_pickle(
    name, completer, val, tmp_path
):
    if not hasattr(completer, "save"):
        pytest.skip("it learns nothing that could be saved")
    completer.save(tmp_path)
    loaded = create(name)
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.complete(val), completer.complete(val))
    assert [path.suffix for path in tmp_path.rglob("*")] == [".safetensors"]


def test_naming_the_completers_and_metrics_imports_nothing_heavy():
    code = (
        "import sys, spared_bench_plugins.completers as c, spared_bench_plugins.metrics as m;"
        "c.spared_bench_completers(), m.spared_bench_metrics();"
        "print([n for n in ('numpy', 'numba', 'scipy', 'squidpy', 'torch') if n in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
