"""Traces of predictions: copies, and what hides them."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from spared_bench.errors import SparedBenchError
from spared_bench.submissions.evidence import Evidence
from spared_bench.submissions.patchworks import patchwork
from spared_bench.submissions.sketches import (
    MOST_GENES,
    likeness,
    neighbours,
    read_traces,
    trace,
    write_traces,
)
from spared_bench.submissions.suspicion import look_across
from spared_bench.submissions.truth import Truth


def made(rng, side=14, n_genes=12, slides=1, dataset_hash="ab" * 32) -> Truth:
    """A dataset on square lattices, whose target is noise."""
    n = side * side * slides
    grid = np.stack(np.divmod(np.arange(side * side), side), axis=1).astype(float)
    values = rng.normal(size=(n, n_genes))
    return Truth(
        dataset="made",
        split="test",
        hash=dataset_hash,
        spots=tuple(map(str, range(n))),
        genes=tuple(map(str, range(n_genes))),
        target=values,
        expression=values,
        mask=np.ones(values.shape, bool),
        slide_ids=np.repeat([f"s{i}" for i in range(slides)], side * side),
        counts=np.ones(values.shape),
        places=np.tile(grid, (slides, 1)),
        training_means=np.zeros((1, n_genes)),
    )


@pytest.fixture
def truth(rng):
    return made(rng)


def predicted(truth, rng, n_factors=6):
    """What a method might predict: smooth factors over the slide, mixed for each gene."""
    waves = rng.normal(size=(2, n_factors))
    factors = np.sin(truth.places @ waves * 0.5 + rng.uniform(0, 6, n_factors))
    return factors @ rng.normal(size=(n_factors, truth.shape[1]))


CHANGES = {
    "other levels and scales": lambda p, rng: p * rng.uniform(0.5, 2, p.shape[1]) + 3,
    "exp": lambda p, rng: np.exp(p),
    "ranks": lambda p, rng: p.argsort(axis=0).argsort(axis=0),
    "one gene random": lambda p, rng: np.column_stack([rng.normal(size=len(p)), p[:, 1:]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_like_its_source_however_its_values_are_changed(truth, rng, change):
    source = predicted(truth, rng)
    found = likeness(trace(CHANGES[change](source, rng), truth), trace(source, truth))
    assert found.smooth > 0.9
    assert found.shape > 0.95


def test_methods_that_learned_apart_are_not_alike(truth, rng):
    found = [
        likeness(trace(predicted(truth, rng), truth), trace(predicted(truth, rng), truth))
        for _ in range(10)
    ]
    assert max(abs(each.smooth) for each in found) < 0.7
    assert max(abs(each.shape) for each in found) < 0.7
    assert max(each.nearest for each in found) < 0.95
    assert max(each.spread for each in found) < 0.3


def test_noise_of_single_spots_is_averaged_out(truth, rng):
    source = predicted(truth, rng)
    noise = 0.3 * source.std(axis=0) * rng.normal(size=source.shape)
    found = likeness(trace(source + noise, truth), trace(source, truth))
    assert found.smooth > 0.95 > found.shape


def test_genes_in_another_order_are_found_by_their_nearest(truth, rng):
    source = predicted(truth, rng)
    order = np.roll(np.arange(truth.shape[1]), 3)
    found = likeness(trace(source[:, order], truth), trace(source, truth))
    assert found.shape < 0.8
    assert found.nearest == pytest.approx(1, abs=1e-5)


def test_spots_in_another_order_are_found_by_their_spread(truth, rng):
    source = predicted(truth, rng)
    found = likeness(trace(source[rng.permutation(len(source))], truth), trace(source, truth))
    assert found.shape < 0.5
    assert found.spread == 1


def test_what_both_have_of_the_truth_makes_them_no_copies(truth, rng):
    """Two methods that are right are alike; what counts is how they err."""
    smooth_truth = replace(truth, target=predicted(truth, rng))
    first, second = (smooth_truth.target + 0.5 * predicted(truth, rng) for _ in range(2))
    assert spearmanr(first.ravel(), second.ravel()).statistic > 0.6
    found = likeness(trace(first, smooth_truth), trace(second, smooth_truth))
    assert found.smooth < 0.7


def dealt(first, second, truth, by):
    """Half of one prediction and half of the other."""
    found = first.copy()
    if by == "genes":
        found[:, ::2] = second[:, ::2]
    for rows in truth.slides[::2] if by == "slides" else ():
        found[rows] = second[rows]
    return np.exp(found)


@pytest.mark.parametrize("by", ["genes", "slides"])
@pytest.mark.parametrize("side", [7, 14])  # of which the second leaves the exact range
def test_what_is_dealt_from_several_is_like_each_in_its_part(rng, by, side, tmp_path):
    truth = made(rng, slides=4, side=side)
    several = [predicted(truth, rng) for _ in range(3)]
    kept = {str(i): trace(each, truth) for i, each in enumerate(several)}
    write_traces(tmp_path / "traces.json", kept)
    others = list(read_traces(tmp_path / "traces.json").values())

    mine = trace(dealt(several[0], several[1], truth, by), truth)
    assert max(likeness(mine, each).shape for each in others) < 0.95
    assert getattr(patchwork(mine, others), by) > {"genes": 0.97, "slides": 0.90}[by]

    honest = patchwork(trace(predicted(truth, rng), truth), others)
    assert max(honest.genes, honest.slides) < 0.8
    assert honest.spread < 0.3


def mean(first, second):
    """Average predictions that count alike, and bend the mean."""
    total = sum(each / each.std(axis=0) for each in (first, second))
    return np.exp(total / total.std(axis=0))


@pytest.mark.parametrize("by", ["genes", "slides", "mean"])
def test_a_submission_that_is_put_together_from_two_entries_is_flagged_as_a_copy(rng, by, tmp_path):
    truths = {name: made(rng, slides=2, dataset_hash=name * 32) for name in ("ab", "cd")}
    sources = {m: {d: predicted(t, rng) for d, t in truths.items()} for m in ("x", "y", "z")}
    for method, predictions in sources.items():
        (tmp_path / "demo@1" / f"{method}@1").mkdir(parents=True)
        traces = {f"{d}/none/{method}/0": trace(p, truths[d]) for d, p in predictions.items()}
        write_traces(tmp_path / "demo@1" / f"{method}@1" / "traces.json", traces)

    def flags_of(predictions):
        traces = {f"{d}/none/mine/0": trace(p, truths[d]) for d, p in predictions.items()}
        evidence = Evidence(traces=traces)
        look_across(evidence, [], tmp_path, "demo@1", "mine@1", [])
        return [(flag.kind, flag.reason) for flag in evidence.flags]

    x, y = sources["x"], sources["y"]
    put = {
        d: mean(x[d], y[d]) if by == "mean" else dealt(x[d], y[d], t, by) for d, t in truths.items()
    }
    ((kind, reason),) = flags_of(put)
    assert kind == "copy"
    assert "predictions of several are" in reason
    assert flags_of({d: predicted(t, rng) for d, t in truths.items()}) == []


@pytest.mark.parametrize("side", [10, 14, 30])  # of which the last leaves the exact range
def test_a_few_genes_of_an_entry_among_ones_own_are_flagged_as_a_copy(rng, side, tmp_path):
    truth = made(rng, side=side, n_genes=40)
    theirs = predicted(truth, rng)
    (tmp_path / "demo@1" / "theirs@1").mkdir(parents=True)
    traces = {"made/none/theirs/0": trace(theirs, truth)}
    write_traces(tmp_path / "demo@1" / "theirs@1" / "traces.json", traces)

    def flags_of(prediction):
        evidence = Evidence(traces={"made/none/mine/0": trace(prediction, truth)})
        look_across(evidence, [], tmp_path, "demo@1", "mine@1", [])
        return [(flag.kind, flag.reason) for flag in evidence.flags]

    mine = predicted(truth, rng)
    assert flags_of(mine) == []
    mine[:, 10:16] = np.exp(theirs[:, 10:16])
    ((kind, reason),) = flags_of(mine)
    assert kind == "copy"
    assert reason.startswith("Of 15% of the genes, the ranks, averaged over near spots, are those")


def test_what_others_explain_together_is_what_least_squares_say(rng, truth):
    several = [predicted(truth, rng) for _ in range(3)]
    mine = trace(several[0] + 0.3 * several[1] + predicted(truth, rng), truth)
    others = [trace(each, truth) for each in several]
    for name in ("smooth", "shape"):
        own, theirs = getattr(mine, name), np.stack([getattr(each, name) for each in others])
        shares = [
            1
            - np.linalg.lstsq(theirs[:, gene].T, own[gene], rcond=None)[1][0]
            / (own[gene] ** 2).sum()
            for gene in range(len(own))
        ]
        assert getattr(patchwork(mine, others), f"sum_{name}") == pytest.approx(
            np.sqrt(np.median(shares)), abs=1e-3
        )


def test_on_few_spots_honest_methods_are_no_sums_of_many_entries(rng, tmp_path):
    truths = {name: made(rng, side=6, dataset_hash=name * 32) for name in ("ab", "cd")}

    def honest():
        return {d: trace(predicted(t, rng, n_factors=12), t) for d, t in truths.items()}

    rivals = {f"m{i}": {d: [each] for d, each in honest().items()} for i in range(100)}
    flagged = 0
    for _ in range(20):
        mine = {f"{d}/none/mine/0": each for d, each in honest().items()}
        evidence = Evidence(traces=mine, rivals=rivals)
        look_across(evidence, [], tmp_path, "demo@1", "mine@1", [])
        flagged += bool(evidence.flags)
    assert flagged == 0


def test_the_memory_that_a_sum_takes_grows_no_faster_than_the_number_of_others(rng):
    truth = made(rng, n_genes=4)
    near = neighbours(truth)
    mine, *others = (trace(predicted(truth, rng), truth, near) for _ in range(101))
    peaks = []
    for times in (1, 8):
        tracemalloc.start()
        patchwork(mine, others * times)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 10 * peaks[0]


@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.98])
def test_a_sketch_gives_the_correlation_of_ranks_that_all_spots_give(rng, correlation):
    truth = made(rng, side=40, n_genes=40, slides=2)  # 3,200 spots in 256 places
    first = rng.normal(size=truth.shape)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.normal(size=truth.shape)
    exact = np.median([spearmanr(a, b).statistic for a, b in zip(first.T, second.T, strict=True)])
    near = neighbours(truth)
    found = likeness(trace(first, truth, near), trace(second, truth, near))
    assert found.shape == pytest.approx(exact, abs=0.04)


def test_traces_of_different_datasets_do_not_compare(rng):
    first, second = (made(rng, side=20, dataset_hash=each * 32) for each in ("ab", "cd"))
    source = predicted(first, rng)
    assert abs(likeness(trace(source, first), trace(source, second)).shape) < 0.3


def test_a_constant_prediction_is_like_nothing(truth, rng):
    constant = trace(np.ones(truth.shape) * np.pi, truth)
    for other in (constant, trace(predicted(truth, rng), truth)):
        found = likeness(constant, other)
        assert np.isnan([found.smooth, found.shape, found.nearest, found.spread]).all()


def test_traces_survive_a_file_with_few_genes_and_small_steps(rng, tmp_path):
    truth = made(rng, n_genes=150)
    source = predicted(truth, rng)
    write_traces(tmp_path / "traces.json", {"a/b/c/0": trace(source, truth)})
    kept = read_traces(tmp_path / "traces.json")["a/b/c/0"]
    assert 0 < len(kept.genes) <= MOST_GENES
    found = likeness(trace(source, truth), kept)
    assert min(found.smooth, found.shape, found.nearest) > 0.999
    assert found.spread == 1


@pytest.mark.parametrize(
    "change",
    [
        {"genes": [3, 2, 1]}, {"genes": []}, {"genes": "x"}, {"genes": list(range(1_000))},
        {"smooth": "AAAA"}, {"smooth": "not base64!"}, {"shape": 5}, {"quantiles": ""},
    ],
)  # fmt: skip
def test_a_trace_that_does_not_fit_together_is_refused(truth, rng, tmp_path, change):
    path = tmp_path / "bad.json"
    write_traces(path, {"a": trace(predicted(truth, rng), truth)})
    values = json.loads(path.read_text())
    values["traces"]["a"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(SparedBenchError, match=r"bad\.json cannot be read"):
        read_traces(path)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"traces": {"a": "AAAA"}}', '{"traces": {"a": 3}}', "[" * 100_000]
)
def test_what_holds_no_traces_is_refused(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(SparedBenchError, match=r"bad\.json cannot be read"):
        read_traces(tmp_path / "bad.json")
