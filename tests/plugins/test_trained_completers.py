"""SpaCKLE, SpaCKLE as released, and the graph auto-encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spared_bench.completion.masking import draw_hidden, hide
from spared_bench.completion.spots import Neighbourhoods, SpotUnits
from spared_bench.errors import CorruptEntryError, ShapeMismatchError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import precision
from spared_bench_plugins.completers.spackle import SpaCKLE
from tests.completion.making import changed, create, slides_of

TRAINED = ("spackle", "spackle-released", "graph-mae")


@pytest.fixture
def slides():
    return slides_of([60], n_genes=6, seed=1, columns=8)


def batch_of(slides, completer, rows, **options) -> Neighbourhoods:
    units = SpotUnits(slides.prefilled, slides.mask, completer.table(slides), "cpu", **options)
    return units.batch(torch.tensor(rows))


def influence(completer, slides, rows):
    """How the first spot's prediction depends on every slot of the batch, (n_spots, n_slots)."""
    torch.manual_seed(0)
    network = completer.build(slides.n_genes).eval()
    batch = batch_of(slides, completer, rows)
    values = batch.values.clone().requires_grad_()
    everything = torch.ones_like(batch.measured)
    seen = Neighbourhoods(values, everything, ~everything, batch.present, batch.distance)
    completer.predict_batch(network, seen)[0].square().sum().backward()
    return values.grad.abs().sum(2), batch.present


@pytest.mark.parametrize("name", ["spackle", "graph-mae"])
def test_the_centre_depends_on_its_own_neighbours_and_on_no_other_spot_of_the_batch(name, slides):
    depends, present = influence(create(name), slides, [0, 20, 21, 40])
    own = depends[0]
    assert (own[present[0]] > 0).all()
    assert (own[~present[0]] == 0).all()
    assert present[0].sum() < present.shape[1]  # it is at the border, so that some are absent
    assert (depends[1:] == 0).all()


def test_as_released_the_centre_depends_on_the_batch_and_not_on_its_neighbours(slides):
    depends, _ = influence(create("spackle-released"), slides, [0, 20, 21, 40])
    assert (depends[:, 0] > 0).all()  # the centres of all spots of the batch
    assert (depends[0, 1:] == 0).all()  # its own neighbours


def test_as_released_neighbours_are_the_nearest_pixels_of_any_slide_in_row_order():
    slides = slides_of([20, 20], seed=2)  # both at the same pixels
    table = create("spackle-released", n_neighbours=6).table(slides)
    assert table.index.shape == (40, 7)
    assert table.present.all()
    assert (np.diff(table.index[:, 1:], axis=1) > 0).all()
    other = slides.slide_ids[table.index[:, 1:]] != slides.slide_ids[:, None]
    assert other.mean() > 0.4
    gap = np.linalg.norm(slides.coordinates[table.index] - slides.coordinates[:, None], axis=2)
    everyone = np.linalg.norm(slides.coordinates[:, None] - slides.coordinates, axis=2)
    np.testing.assert_allclose(np.sort(gap), np.sort(everyone)[:, :7], atol=1e-6)


def visible_of(completer, batch):
    return completer._visible(batch)


@pytest.mark.parametrize(
    ("name", "parameters", "medians"),
    [
        ("spackle", {}, True),  # E_x is median-completed, and M leaves those entries alone
        ("spackle", SpaCKLE.configurations["hidden-medians"], False),
        ("spackle-released", {}, True),
    ],
)
def test_in_training_medians_are_seen_and_the_mask_never_falls_on_them(
    slides, name, parameters, medians
):
    completer = create(name, **parameters)
    batch = batch_of(slides, completer, range(60), probabilities=np.full(6, 0.5))
    shown = visible_of(completer, batch)
    there = batch.present[..., None]
    assert (batch.hidden & batch.measured & there == batch.hidden).all()
    assert 0.4 < float(batch.hidden.sum() / (batch.measured & there).sum()) < 0.6
    assert not shown[batch.hidden].any()
    unmeasured = ~batch.measured & there
    wanted = batch.values[unmeasured] if medians else torch.zeros(int(unmeasured.sum()))
    assert torch.equal(shown[unmeasured], wanted)
    assert wanted.numel()
    plain = batch.measured & ~batch.hidden
    assert torch.equal(shown[plain], batch.values[plain])


@pytest.mark.parametrize("name", ["spackle", "spackle-released"])
def test_in_use_every_gap_is_a_zero_whatever_the_median_filter_says(slides, name):
    completer = create(name)
    completer.fit(slides, slides, Context(1, Budget(2, 16, 2, False)))
    wild = changed(slides, prefilled=slides.prefilled + 100 * ~slides.mask)
    np.testing.assert_array_equal(completer.complete(wild), completer.complete(slides))


def test_as_released_mask_rates_are_of_all_spots_that_chose_the_genes(slides):
    slides.adata.var["expressed_fraction"] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.9]  # of all splits
    rates = {
        "fitted": [1, 1, 0.75, 0.6, 0.5, 1 / 3],  # 0.3 over the shares, at most 1
        "train": np.minimum(1, 0.3 / slides.mask.mean(axis=0)),
    }
    for choice, expected in rates.items():
        completer = create("spackle-released", rates_from=choice)
        batch = completer.training_units(slides, "cpu").batch(torch.arange(60).repeat(20))
        hidden = batch.hidden.sum(dim=(0, 1)) / batch.measured.sum(dim=(0, 1))
        np.testing.assert_allclose(hidden.numpy(), expected, atol=0.02)
    with pytest.raises(UsageError, match="rates_from must be one of fitted, train; found 'test'"):
        create("spackle-released", rates_from="test").expressed(slides)


def test_hidden_entries_are_drawn_anew_in_training_and_once_for_validation(slides):
    completer, expressed = create("spackle"), slides.mask.mean(axis=0)
    rows = torch.arange(10)
    training = completer.training_units(slides, "cpu")
    fixed = completer.validation_units(slides, expressed, Context(seed=3))
    assert not torch.equal(training.batch(rows).hidden, training.batch(rows).hidden)
    assert torch.equal(fixed.batch(rows).hidden, fixed.batch(rows).hidden)
    again = completer.validation_units(slides, expressed, Context(seed=3))
    assert torch.equal(fixed.batch(rows).hidden, again.batch(rows).hidden)
    assert fixed.batch(rows).mask.any()


def test_absent_neighbours_count_neither_in_spackles_loss_nor_in_its_prediction(slides):
    completer = create("spackle")
    torch.manual_seed(0)
    network = completer.build(6).eval()
    batch = batch_of(slides, completer, [0, 7])
    other = torch.where(batch.present[..., None], batch.values, 1000.0)
    wild = Neighbourhoods(other, batch.measured, batch.hidden, batch.present, batch.distance)
    assert float(completer.loss(network, wild)) == pytest.approx(
        float(completer.loss(network, batch))
    )
    torch.testing.assert_close(
        completer.predict_batch(network, wild), completer.predict_batch(network, batch)
    )


def test_the_graph_auto_encoder_averages_what_may_be_seen_of_each_ring(slides):
    completer = create("graph-mae")
    network = completer.build(6).eval()
    batch = batch_of(slides, completer, [27], probabilities=np.full(6, 0.3))
    seen = batch.measured & ~batch.hidden & batch.present[..., None]
    caught = []
    network.enter.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    completer.predict_batch(network, batch)
    means, parts = caught[0][0].view(3, 2, 6)[:, 0], caught[0][0].view(3, 2, 6)[:, 1]
    distance = batch.distance[0]
    rings = [distance == 0, (distance > 0) & (distance < 1.3), distance > 1.3]
    assert [int(ring.sum()) for ring in rings] == [1, 6, 12]
    for ring, mean, part in zip(rings, means, parts, strict=True):
        for gene in range(6):
            there = seen[0, ring, gene]
            values = batch.values[0, ring, gene][there]
            assert float(part[gene]) == pytest.approx(float(there.double().mean()))
            expected = float(values.mean()) if len(values) else 0.0
            assert float(mean[gene]) == pytest.approx(expected, abs=1e-5)


def one_program(n_spots, seed):
    """A slide whose twelve genes all follow one pattern, so that each foretells the others."""
    slides = slides_of([n_spots], n_genes=12, seed=seed, columns=12, measured=0.8)
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n_spots, 1))
    values = (6 + 2 * level + rng.normal(scale=0.3, size=(n_spots, 12))).astype(np.float32)
    return changed(slides, target=np.where(slides.mask, values, 0), prefilled=values)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_where_genes_foretell_each_other_it_beats_the_mean_of_the_gene(name):
    train, test = one_program(240, 7), one_program(120, 8)
    width = {} if name == "spackle-released" else {"width": 32}
    completer = create(name, **width)
    completer.lr = 3e-3
    completer.fit(train, test, Context(1, Budget(250, 64, 25, False)))
    hidden = draw_hidden(test.mask, np.full(12, 0.3), 5)
    error = (completer.complete(hide(test, hidden)) - test.target)[hidden]
    usual = np.array([train.target[seen, gene].mean() for gene, seen in enumerate(train.mask.T)])
    spread = (usual - test.target)[hidden]
    assert np.square(error).mean() < 0.7 * np.square(spread).mean()


@pytest.fixture
def saved(slides, tmp_path_factory):
    completer = create("graph-mae")
    completer.fit(slides, slides, Context(1, Budget(2, 16, 2, False)))
    folder = tmp_path_factory.mktemp("weights")
    completer.save(folder)
    return completer, next(folder.iterdir())


def test_a_file_of_weights_takes_the_place_of_training(saved, slides):
    completer, file = saved
    loaded = create("graph-mae", weights=str(file))
    loaded.fit(slides, slides, Context(99, Budget(10_000, 16, 2, False)))
    np.testing.assert_array_equal(loaded.complete(slides), completer.complete(slides))


def test_weights_of_another_completer_network_or_of_other_genes_are_refused(saved, slides):
    _, file = saved
    context = Context(1, Budget(2, 16, 2, False))
    with pytest.raises(CorruptEntryError, match=r"weights of 'graph-mae', not of .*'spackle'"):
        create("spackle", weights=str(file)).fit(slides, slides, context)
    with pytest.raises(CorruptEntryError, match="another network than GraphMAE"):
        create("graph-mae", weights=str(file), width=3).fit(slides, slides, context)
    with pytest.raises(ShapeMismatchError, match="are for 6 genes and these slides have 4"):
        other = slides_of([20])
        create("graph-mae", weights=str(file)).fit(other, other, context)
    with pytest.raises(UsageError, match="weights must name a file"):
        create("graph-mae", weights="nowhere.safetensors").fit(slides, slides, context)


@pytest.mark.parametrize("name", TRAINED)
def test_without_fitting_it_says_so(name, slides):
    completer = create(name)
    with pytest.raises(UsageError, match="has not been fitted"):
        completer.complete(slides)


@pytest.mark.parametrize("name", TRAINED)
def test_no_completer_is_computed_in_bfloat16_unasked(name, slides, monkeypatch):
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_LARGE", 0)
    completer, seen = create(name), []
    loss = completer.loss

    def watched(network, batch):
        seen.append(torch.is_autocast_enabled("cpu"))
        return loss(network, batch)

    completer.loss = watched
    completer.fit(slides, slides, Context(budget=Budget(2, 16, 1, augment=False)))
    assert seen == [False, False]
