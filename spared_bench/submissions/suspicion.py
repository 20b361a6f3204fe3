"""From the numbers of ``forensics`` to flags: one place for every threshold, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError
from spared_bench.leaderboard.entries import EntryResult
from spared_bench.specs import DatasetSpec, MetricSpec
from spared_bench.submissions.ceiling import SCALES, ceiling, limits
from spared_bench.submissions.evidence import Evidence, label_of
from spared_bench.submissions.forensics import (
    equal_pairs,
    library_following,
    mask_following,
    same_scores,
    slide_means_known,
    thinned_rows,
    values_held,
)
from spared_bench.submissions.leads import look_at_lead
from spared_bench.submissions.names import plain_name
from spared_bench.submissions.patchworks import Patchwork, patchwork
from spared_bench.submissions.schema import Description
from spared_bench.submissions.sketches import (
    Likeness,
    Trace,
    likeness,
    neighbours,
    trace,
    traces_of_others,
)
from spared_bench.submissions.truth import UNREADABLE, Truth, own_prediction
from spared_bench.trials.cells import FinishedCell

#: From which two predictions count as copies (``sketches.Likeness``): *smooth*, on every dataset
#: that both have, at least two; the others, on any. By docs/submissions.md, methods that learned
#: apart stay below, and copies with 30 % noise mostly above.
SMOOTH, SHAPE, NEAREST, SPREAD, COPIED = 0.90, 0.95, 0.95, 0.8, 0.05
#: Likewise from which each gene (*smooth*), or each slide (*shape*), is one of some entry, on every
#: dataset that others have, at least two. Of many entries, one is near to an honest method by
#: chance, so genes ask for more than one entry does.
GENES_DEALT, SLIDES_DEALT = 0.97, 0.90
#: And from which it is nearly a sum of a few. Methods that learned apart come near to one of them
#: (0.97 of *smooth*, where spots are few; 0.82 of *shape*), none to both.
SUM_SMOOTH, SUM_SHAPE = 0.98, 0.80
#: Of what test slides' means differ from training slides', an image hardly shows more than this.
MEANS_KNOWN = 0.5
#: A mean over genes and slides may pass the estimated ceiling by chance, and by the estimate's own
#: error; by less than this, and than so many standard errors.
PCC_MARGIN, PCC_ERRORS = 0.03, 2.0
MSE_SHARE = 0.85
#: Of one gene on one slide: who knows every rate passes the estimate by less (up to 9 standard
#: errors in 11,000 made genes), five methods of the demo stay 4 and more below it, and the truth of
#: a gene, to one decimal, passes it by 24 and more.
GENE_ERRORS = 12.0
MASK, LIBRARY = 0.95, 0.95
HELD = 0.01
_FEW_GENES = 5


def look_at_prediction(
    evidence: Evidence, result: EntryResult, prediction: np.ndarray, truth: Truth, target: str
) -> None:
    """Take evidence from one prediction.

    Parameters
    ----------
    evidence : Evidence
        What is found is added to it.
    result : EntryResult
    prediction : ndarray of shape (n_spots, n_genes)
    truth : Truth
    target : str
        The protocol's: ``"log2_tpm"``.
    """
    label = label_of(result)
    where = f"{result.completer}, {result.predictor}, seed {result.seed}"
    evidence.traces[label] = trace(prediction, truth)
    few = thinned_rows(truth.slides)
    follows = mask_following(prediction, truth.mask, few)
    if follows >= MASK:
        evidence.add(
            "follows-mask",
            f"{where}: predictions tell measured from unmeasured entries with an area under the"
            f" curve of {follows:.3f} (median over genes). Which entries are measured is hidden"
            " from methods.",
            result.dataset,
        )
    follows = library_following(prediction, truth.counts, few)
    if follows >= LIBRARY:
        evidence.add(
            "follows-library-size",
            f"{where}: the mean prediction of a spot has a rank correlation of {follows:.3f} with"
            " its number of counts, which is hidden from methods.",
            result.dataset,
        )
    known = slide_means_known(
        prediction, truth.target, truth.mask, truth.slides, truth.training_means
    )
    if known >= MEANS_KNOWN:
        evidence.add(
            "knows-slide-means",
            f"{where}: {known:.0%} of how the tested slides' means differ from those of training"
            " slides is in the predictions. Preparation and depth decide most of it, and an image"
            " hardly tells.",
            result.dataset,
        )
    held = values_held(prediction, truth.target, truth.mask)
    if held >= HELD:
        evidence.add(
            "holds-answers",
            f"{where}: {held:.1%} of the measured values are predicted as they are, to"
            " 1/200 of a gene's deviation, beside what comes so by chance.",
            result.dataset,
        )
    if target in SCALES:
        _look_at_ceiling(evidence, result, prediction, truth, target, few)


def _look_at_ceiling(
    evidence: Evidence,
    result: EntryResult,
    prediction: np.ndarray,
    truth: Truth,
    target: str,
    few: list[np.ndarray],
) -> None:
    if result.dataset not in evidence.limits:
        of_truth = truth.target, truth.expression, truth.counts, truth.mask
        # One dataset at a time: results are looked at dataset by dataset.
        evidence.limits = {result.dataset: limits(*of_truth, few, SCALES[target])}
    best = ceiling(prediction, truth.target, truth.mask, evidence.limits[result.dataset])
    evidence.ceilings[label_of(result)] = best
    where = f"{result.completer}, {result.predictor}, seed {result.seed}"
    if best.gene_errors >= GENE_ERRORS:
        evidence.add(
            "noise-ceiling",
            f"{where}: a gene has a correlation of {best.gene_reached_pcc:.3f} on a slide, where"
            f" the noise of its counts leaves {best.gene_pcc:.3f} to a method that knows every"
            f" rate: {best.gene_errors:.0f} standard errors beyond.",
            result.dataset,
        )
    if best.n < _FEW_GENES:
        return
    genes = f"on the {best.n} pairs of gene and slide with enough counts"
    if best.reached_pcc > best.pcc + max(PCC_MARGIN, PCC_ERRORS * best.pcc_error):
        evidence.add(
            "noise-ceiling",
            f"{where}: a mean correlation of {best.reached_pcc:.3f} {genes}, where the noise of the"
            f" counts leaves {best.pcc:.3f} to a method that knows every rate.",
            result.dataset,
        )
    if best.reached_mse < best.mse * MSE_SHARE:
        evidence.add(
            "noise-ceiling",
            f"{where}: a squared error of {best.reached_mse:.4g} {genes}, where the noise of the"
            f" counts alone is {best.mse:.4g}.",
            result.dataset,
        )


def look_at_own_runs(evidence: Evidence, cells: Iterable[FinishedCell], truth: Truth) -> None:
    """Take traces and scores of what this workspace has run on a dataset, to compare with.

    What cannot be read, or is of other spots, is left out. Controls set no record.
    """
    near = neighbours(truth)
    for cell in cells:
        run = cell.final
        if not run.ok or run.dataset != truth.dataset:
            continue
        try:
            prediction = own_prediction(cell, truth)
        except (SparedBenchError, *UNREADABLE):
            continue
        found = evidence.rivals.setdefault(run.predictor, {}).setdefault(truth.dataset, [])
        found.append(trace(prediction, truth, near))
        if not run.facts.get("control"):
            scores = run.scores.get(truth.split, {})
            evidence.rival_scores.setdefault(truth.dataset, []).append((run.predictor, scores))


def look_across(
    evidence: Evidence,
    results: Sequence[EntryResult],
    leaderboards: Path,
    protocol: str,
    own: str,
    metrics: Sequence[MetricSpec],
) -> None:
    """Compare the predictions of a submission with each other, and with other entries and runs."""
    _look_for_copies(evidence, leaderboards, protocol, own)
    look_at_lead(evidence, results, leaderboards, protocol, own, metrics)
    _look_at_seeds(evidence, results)
    for others in _by(results, ("completer", "predictor", "seed")).values():
        scores = {each.dataset: next(iter(each.split_scores.values())) for each in others}
        for first, second in same_scores(scores):
            evidence.add(
                "same-across-datasets",
                f"All scores on {second} are those on {first}, to six digits"
                f" ({others[0].completer}, {others[0].predictor}, seed {others[0].seed}).",
                second,
            )


def _look_for_copies(evidence: Evidence, leaderboards: Path, protocol: str, own: str) -> None:
    method = plain_name(own.partition("@")[0])
    mine = _by_dataset(evidence.traces)
    others = {
        f"{name} ({column})": _by_dataset(part)
        for name, traces in traces_of_others(leaderboards, protocol, own)
        # Another version of the same method may well predict the same.
        if plain_name(name.partition("@")[0]) != method
        for column, part in _by_column(traces).items()
    } | {
        f"the run of {predictor} here": traces
        for predictor, traces in evidence.rivals.items()
        # A run of that very predictor; no one owns the name of one that is on no board.
        if predictor != own.partition("@")[0]
    }
    found = {
        name: {
            each: [likeness(a, b) for a in mine[each] for b in theirs[each]]
            for each in sorted(set(mine) & set(theirs))
        }
        for name, theirs in others.items()
    }
    for name, each in found.items():
        _look_at_likeness(evidence, name, each)
    if not evidence.has("copy"):
        _look_for_patchwork(evidence, mine, others.values())
    if not evidence.has("copy"):
        _look_for_copied_genes(evidence, found)


def _look_for_copied_genes(
    evidence: Evidence, found: Mapping[str, Mapping[str, Sequence[Likeness]]]
) -> None:
    """Flag some genes of another method among ones of its own."""
    for name, datasets in found.items():
        for dataset, pairs in datasets.items():
            if (most := _largest(each.copied for each in pairs)) >= COPIED:
                evidence.add(
                    "copy",
                    f"Of {most:.0%} of the genes, the ranks, averaged over near spots, are those of"
                    f" {name}.",
                    dataset,
                )


def _look_for_patchwork(
    evidence: Evidence,
    mine: Mapping[str, Sequence[Trace]],
    others: Iterable[Mapping[str, Sequence[Trace]]],
) -> None:
    """Flag what is put together from several entries: by genes, by slides, or as a mean."""
    theirs: dict[str, list[Trace]] = {}
    for traces in others:
        for dataset, several in traces.items():
            theirs.setdefault(dataset, []).extend(several)
    dealt, summed = [], []
    for dataset in sorted(set(mine) & set(theirs)):
        found = [patchwork(each, theirs[dataset]) for each in mine[dataset]]
        most = {
            each.name: _largest(getattr(one, each.name) for one in found)
            for each in fields(Patchwork)
        }
        if most["spread"] >= SPREAD:
            evidence.add(
                "copy",
                f"Of {most['spread']:.0%} of the genes, the values, in any order, are spread as"
                " those of one or another entry or run here.",
                dataset,
            )
        if np.isfinite(most["genes"]):
            dealt.append(most["genes"] >= GENES_DEALT or most["slides"] >= SLIDES_DEALT)
            summed.append(most["sum_smooth"] >= SUM_SMOOTH and most["sum_shape"] >= SUM_SHAPE)
    if len(dealt) > 1 and all(dealt):
        evidence.add(
            "copy",
            f"On all {len(dealt)} datasets, each gene, or each slide, is like that of one or"
            " another entry or run here: predictions of several are put together.",
        )
    elif len(summed) > 1 and all(summed):
        evidence.add(
            "copy",
            f"On all {len(summed)} datasets, it is nearly a sum of a few entries or runs here, in"
            f" what the truth does not explain (a multiple correlation of {SUM_SMOOTH} and more,"
            " averaged over near spots): predictions of several are averaged.",
        )


def _look_at_likeness(
    evidence: Evidence, name: str, found: Mapping[str, Sequence[Likeness]]
) -> None:
    for dataset, pairs in found.items():
        measures = [
            ("shape", SHAPE, "gene by gene, the ranks of spots have a correlation of {:.3f} with"),
            (
                "nearest",
                NEAREST,
                "the genes, in another order, have ranks that correlate {:.3f} with",
            ),
            ("spread", SPREAD, "of {:.0%} of the genes, the values, in any order, are spread as"),
        ]
        for measure, least, words in measures:
            most = _largest(getattr(each, measure) for each in pairs)
            if most >= least:
                evidence.add("copy", f"{words.format(most)} those of {name}.".capitalize(), dataset)
                break
    smooth = [_largest(each.smooth for each in pairs) for pairs in found.values()]
    smooth = [value for value in smooth if np.isfinite(value)]
    if len(smooth) > 1 and min(smooth) >= SMOOTH:
        evidence.add(
            "copy",
            f"On all {len(smooth)} datasets, at least {min(smooth):.3f} is the correlation with"
            f" {name} in what the truth does not explain, averaged over near spots.",
        )


def _largest(values: Iterable[float]) -> float:
    return max((value for value in values if np.isfinite(value)), default=float("nan"))


def _by_dataset(traces: Mapping[str, Trace]) -> dict[str, list[Trace]]:
    found: dict[str, list[Trace]] = {}
    for label, each in traces.items():
        found.setdefault(label.split("/")[0], []).append(each)
    return found


def _by_column(traces: Mapping[str, Trace]) -> dict[str, dict[str, Trace]]:
    found: dict[str, dict[str, Trace]] = {}
    for label, each in traces.items():
        column = ", ".join(label.split("/")[1:3])
        found.setdefault(column, {})[label] = each
    return found


def _look_at_seeds(evidence: Evidence, results: Sequence[EntryResult]) -> None:
    for place, seeds in _by(results, ("dataset", "completer", "predictor")).items():
        hashes = {str(each.seed): evidence.hashes.get(label_of(each), "") for each in seeds}
        pairs = equal_pairs({seed: each for seed, each in hashes.items() if each})
        if pairs:
            evidence.add(
                "constant-seeds",
                f"{' / '.join(place)}: the predictions of seeds {pairs[0][0]} and {pairs[0][1]} are"
                " the same to the last bit. Either the method is deterministic, or one run was"
                " handed in for several.",
                place[0],
            )


def look_at_donors(
    evidence: Evidence, description: Description, bench: Bench, datasets: Iterable[str]
) -> None:
    """Flag datasets whose test donors, or test slides, were seen before."""
    seen = set(description.pretrained_on)
    for name in sorted(set(datasets)):
        try:
            spec = bench.dataset(name)
        except SparedBenchError:
            continue
        if spec.shared_donors:
            evidence.add(
                "donor-overlap",
                f"Donors {', '.join(spec.shared_donors[:5])} have slides to learn from and slides"
                f" that are tested (tier {spec.tier}).",
                name,
            )
        related = seen & _related(spec)
        if related:
            evidence.add(
                "pretrained-on-test",
                f"The method was pretrained on {', '.join(sorted(related))}, which holds slides of"
                f" {name}.",
                name,
            )


def _related(spec: DatasetSpec) -> set[str]:
    return {spec.name, spec.fold_of, *spec.conflicts_with} - {""}


def _by(
    results: Sequence[EntryResult], names: tuple[str, ...]
) -> Mapping[tuple[str, ...], list[EntryResult]]:
    groups: dict[tuple[str, ...], list[EntryResult]] = {}
    for each in results:
        groups.setdefault(tuple(str(getattr(each, name)) for name in names), []).append(each)
    return groups
