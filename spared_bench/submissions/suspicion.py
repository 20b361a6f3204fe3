"""From the numbers of ``forensics`` to flags: one place for every threshold, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError
from spared_bench.leaderboard.entries import EntryResult, Flag
from spared_bench.specs import DatasetSpec
from spared_bench.submissions.ceiling import SCALES, Ceiling, Limit, ceiling, limits
from spared_bench.submissions.forensics import (
    equal_pairs,
    library_following,
    mask_following,
    same_scores,
    thinned_rows,
)
from spared_bench.submissions.schema import Description
from spared_bench.submissions.sketches import likeness, trace, traces_of_others
from spared_bench.submissions.truth import Truth

#: Estimated correlation from which two entries count as copies. Trainings of one network from two
#: seeds stay well below.
COPY = 0.995
#: A mean over genes and slides may pass the estimated ceiling by chance, and by the estimate's own
#: error; by less than this, and than so many standard errors.
PCC_MARGIN, PCC_ERRORS = 0.03, 2.0
MSE_SHARE = 0.85
MASK, LIBRARY = 0.95, 0.95
_FEW_GENES = 5


@dataclass
class Evidence:
    """What is kept of each prediction once it has been read.

    Parameters
    ----------
    flags : list of Flag
    hashes : dict of str to str
        SHA-256 of each prediction file by ``dataset/completer/predictor/seed``.
    traces : dict of str to ndarray
        Likewise.
    ceilings : dict of str to Ceiling
        Likewise.
    limits : dict of str to list of Limit
        Of the dataset that was last looked at.
    """

    flags: list[Flag] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    traces: dict[str, np.ndarray] = field(default_factory=dict)
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    limits: dict[str, list[Limit]] = field(default_factory=dict)

    def add(self, kind: str, reason: str, dataset: str = "") -> None:
        """Note a flag, once."""
        flag = Flag(kind=kind, reason=reason, dataset=dataset)
        if flag not in self.flags:
            self.flags.append(flag)


def label_of(result: EntryResult) -> str:
    """``dataset/completer/predictor/seed``."""
    return "/".join(map(str, result.place))


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
    evidence.traces[label] = trace(prediction, truth.hash)
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
    if best.n < _FEW_GENES:
        return
    where = f"{result.completer}, {result.predictor}, seed {result.seed}"
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


def look_across(
    evidence: Evidence, results: Sequence[EntryResult], leaderboards: Path, protocol: str, own: str
) -> None:
    """Compare the predictions of a submission with each other, and with other entries."""
    _look_for_copies(evidence, leaderboards, protocol, own)
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
    for name, traces in traces_of_others(leaderboards, protocol, own):
        if name.partition("@")[0] == own.partition("@")[0]:
            continue  # another version of the same method may well predict the same
        places = {key.split("/")[0]: key for key in traces}
        for label, mine in evidence.traces.items():
            dataset = label.split("/")[0]
            if dataset not in places:
                continue
            rivals = {key: each for key, each in traces.items() if key.split("/")[0] == dataset}
            closest = max(rivals, key=lambda key: likeness(mine, rivals[key]))
            found = likeness(mine, rivals[closest])
            if found >= COPY:
                evidence.add(
                    "copy",
                    f"The predictions of {label} have an estimated correlation of {found:.4f} with"
                    f" those of {name} ({closest}).",
                    dataset,
                )


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
