"""Everything that is asked of a bundle. Problems refuse it; flags are shown beside its rows.

Truth, protocol and code come from the checker's own installation and workspace. Of the bundle only
names, numbers and texts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import (
    SparedBenchError,
    SubmissionError,
    UnknownNameError,
    WorkspaceError,
)
from spared_bench.leaderboard.entries import EntryResult, impossible
from spared_bench.leaderboard.text import visible
from spared_bench.results import BROUGHT
from spared_bench.submissions import bundle
from spared_bench.submissions.bundle import Bundle
from spared_bench.submissions.codec import read_output
from spared_bench.submissions.evidence import label_of
from spared_bench.submissions.names import (
    NAME_BY_REPOSITORY,
    owners,
    who_goes_on,
    why_not_ones_own,
)
from spared_bench.submissions.opening import opened as opened_bundle
from spared_bench.submissions.report import Report
from spared_bench.submissions.rescoring import (
    disagreements,
    metrics_of,
    rescore,
    with_scores,
)
from spared_bench.submissions.suspicion import (
    look_across,
    look_at_donors,
    look_at_own_runs,
    look_at_prediction,
)
from spared_bench.submissions.truth import Truth, truth_of
from spared_bench.submissions.waiting import waiting
from spared_bench.trials.cells import finished_cells

_MOST_TOLD = 20
MOST_COMPLETERS = 12

#: Makes the bench of a protocol's id, in the checker's workspace.
BenchOf = Callable[[str], Bench]


def check(
    path: Path,
    bench_of: BenchOf,
    leaderboards: Path,
    *,
    with_data: bool = True,
    sender: str = "",
) -> Report:
    """Check a bundle.

    Parameters
    ----------
    path : Path
        Archive or folder.
    bench_of : callable
        From the id of a protocol to a bench in the checker's workspace.
    leaderboards : Path
        Accepted entries, for copies and for names that are taken.
    with_data : bool
        False: nothing is re-scored, and the entry can be no more than ``reported``.
    sender : str
        The account that hands it in; empty where that is not known.

    Returns
    -------
    Report
        Whatever is wrong with the bundle is in it; nothing is raised for that.

    Raises
    ------
    WorkspaceError
        If the checker's own files cannot be read or written, or are damaged.
    """
    report = Report(path.name)
    try:
        with opened_bundle(path) as opened:
            report.description = opened.description
            _check_place(report, opened.label, leaderboards, sender)
            _check_rows(report, opened)
            bench = bench_of(opened.description.protocol)
            _check_protocol(report, opened, bench)
            _check_grid(report, opened, bench)
            _check_seen(report, opened, bench)
            _check_bounds(report, opened, bench)
            _check_files(report, opened)
            if report.ok:
                _check_results(report, opened, bench, with_data)
            if report.ok and with_data:
                names = leaderboards, bench.protocol.id, opened.label
                metrics = [bench.metric(name) for name in bench.protocol.metrics]
                look_across(report.evidence, report.results, *names, metrics)
                look_at_donors(report.evidence, opened.description, bench, opened.claim.datasets)
    except WorkspaceError:  # no fault of the bundle
        raise
    except SparedBenchError as error:
        report.problems.append(str(error))
    more = len(report.problems) - _MOST_TOLD
    if more > 0:
        report.problems[_MOST_TOLD:] = [f"And {more} more problems."]
    return report


def _check_place(report: Report, label: str, leaderboards: Path, sender: str) -> None:
    assert report.description is not None
    folder = leaderboards / report.description.protocol
    taken = {path.name.casefold() for path in folder.glob("*@*")}
    if label.casefold() in taken:
        report.problems.append(
            f"{label} is on the board already, and entries are never replaced. Submit it with"
            " another `version`; `spared-bench submit withdraw` takes the earlier one back."
        )
    else:
        _check_name(report, leaderboards, sender)


def _check_name(report: Report, leaderboards: Path, sender: str) -> None:
    assert report.description is not None
    said = report.description
    earlier = list(owners(leaderboards, said.method)) or list(waiting(leaderboards, said))
    problem, doubt = why_not_ones_own(earlier, said, sender)
    if problem:
        report.problems.append(problem)
    report.who_goes_on = who_goes_on(said, sender)
    if doubt:
        report.evidence.add(NAME_BY_REPOSITORY, doubt)


def _check_rows(report: Report, opened: Bundle) -> None:
    """A bundle is one method: of many rows, one would be the best by chance."""
    predictors = sorted({result.predictor for result in opened.claim.results})
    completers = sorted({result.completer for result in opened.claim.results})
    if len(predictors) > 1 or len(completers) > MOST_COMPLETERS:
        report.problems.append(
            f"The bundle has {len(predictors)} predictors with {len(completers)} completers; it can"
            f" have one, with at most {MOST_COMPLETERS}. `submit build` makes one for each."
        )


def _check_protocol(report: Report, opened: Bundle, bench: Bench) -> None:
    claim, protocol = opened.claim, bench.protocol
    if not opened.description.protocol == claim.protocol == protocol.id:
        report.problems.append(
            f"submission.yaml names protocol {opened.description.protocol}, results.json"
            f" {claim.protocol}, and what is checked here is {protocol.id}. All must agree."
        )
    elif claim.protocol_hash != protocol.hash:
        report.problems.append(
            f"The settings of {claim.protocol} differ from those here: its hash is"
            f" {claim.protocol_hash[:12]}..., expected {protocol.hash[:12]}.... Run with the"
            " protocol as it is installed."
        )


def _check_grid(report: Report, opened: Bundle, bench: Bench) -> None:
    """Every dataset of the protocol, completer of the submission and seed, or a declared gap."""
    places = {result.place for result in opened.claim.results}
    absent = {each.dataset: each.reason for each in opened.description.absent}
    columns = sorted({place[1:3] for place in places})
    listed = bench.listed()
    wanted = listed if bench.protocol.datasets else list(opened.claim.datasets)
    for name in sorted({*opened.claim.datasets, *absent} - set(listed)):
        told = "is declared absent" if name in absent else "has results"
        report.problems.append(
            f"{name} {told}, and is no dataset of {bench.protocol.id}. A further dataset would"
            " leave every other entry incomplete; leave it out and build again. Its datasets are"
            f" {', '.join(listed[:30])}."
        )
    missing = [
        f"{dataset} / {completer} / {predictor}, seed {seed}"
        for dataset in wanted
        if dataset not in absent
        for completer, predictor in columns
        for seed in bench.protocol.seeds
        if (dataset, completer, predictor, seed) not in places
    ]
    if missing:
        report.problems.append(
            f"{len(missing)} results are missing, the first of {missing[0]}. Run them and"
            " build again; `submit build --absent DATASET=REASON` declares what cannot be run."
        )
    if odd := sorted({place[3] for place in places} - set(bench.protocol.seeds)):
        seeds = ", ".join(map(str, bench.protocol.seeds))
        report.problems.append(f"Seed {odd[0]} is none of {bench.protocol.id}, whose are {seeds}.")
    both = sorted(set(absent) & {place[0] for place in places})
    if both:
        report.problems.append(f"{both[0]} is declared absent and has results.")
    for dataset, reason in absent.items():
        report.evidence.add("absent", f"No result: {reason}", dataset)


def _check_seen(report: Report, opened: Bundle, bench: Bench) -> None:
    """What a method has seen before must be known here: a name that is none raises no flag."""
    for name in opened.description.pretrained_on:
        try:
            bench.dataset(name)
        except UnknownNameError as error:
            report.problems.append(f"submission.yaml, pretrained_on: {error}")


def _check_bounds(report: Report, opened: Bundle, bench: Bench) -> None:
    """Refuse scores that their metrics cannot have, which needs no data."""
    metrics = {name: bench.metric(name) for name in bench.scored_metrics}
    if reason := impossible(opened.claim.results, metrics):
        report.problems.append(f"A score is claimed that cannot be: {reason}.")


def _check_files(report: Report, opened: Bundle) -> None:
    claim = opened.claim
    wanted = {bundle.prediction_name(result) for result in claim.results}
    wanted |= {
        bundle.ids_name(name, kind) for name in claim.datasets for kind in ("spots", "genes")
    }
    present = {name for name in opened.hashes if name.startswith(("ids/", "predictions/"))}
    for name in sorted(wanted - present):
        report.problems.append(f"{name} is missing, of which results.json tells.")
    for name in sorted(present - wanted):
        report.problems.append(f"{name} belongs to no result of results.json.")


def _check_results(report: Report, opened: Bundle, bench: Bench, with_data: bool) -> None:
    if not with_data:
        report.results = list(opened.claim.results)
        return
    metrics = metrics_of(bench)
    cells = finished_cells(bench.workspace.store, bench.protocol.id)
    own = [cell for cell in cells if BROUGHT not in cell.final.facts]
    for dataset in sorted(opened.claim.datasets):
        with _telling(report, dataset):
            truth = _truth(report, bench, dataset)
            if truth is None:
                continue
            _check_dataset(opened, truth)
            look_at_own_runs(report.evidence, own, truth)
            for result in opened.claim.results:
                if result.dataset == dataset:
                    with _telling(report, label_of(result)):
                        report.results.append(
                            _check_result(report, opened, bench, truth, result, metrics)
                        )
    if report.lacking:
        report.problems.append(_told_lacking(report.lacking))
    report.rescored = report.ok


def _truth(report: Report, bench: Bench, dataset: str) -> Truth | None:
    """Return the truth; where there is none, that is the checker's lack and not the bundle's."""
    try:
        return truth_of(bench, dataset)
    except SparedBenchError as error:
        report.lacking[dataset] = str(error)
        return None


def _told_lacking(lacking: Mapping[str, str]) -> str:
    names = ", ".join(list(lacking)[:_MOST_TOLD])
    more = f" and {len(lacking) - _MOST_TOLD} more" if len(lacking) > _MOST_TOLD else ""
    return (
        f"The data of {names}{more} cannot be used where this was checked, so scores could not be"
        " compared; that is no fault of the bundle, and whoever keeps the board checks it where"
        f" they are. For one: {next(iter(lacking.values()))}"
    )


@contextmanager
def _telling(report: Report, where: str) -> Iterator[None]:
    """Turn an error into a problem, so that the others are found too."""
    try:
        yield
    except WorkspaceError:
        raise
    except SparedBenchError as error:
        report.problems.append(f"{where}: {error}")


def _check_dataset(opened: Bundle, truth: Truth) -> None:
    """Compare names before the hash: what differs there says what is wrong."""
    for kind, names in (("spots", truth.spots), ("genes", truth.genes)):
        _check_ids(bundle.read_ids(opened.folder, truth.dataset, kind), names, kind)
    claimed = opened.claim.datasets[truth.dataset]
    if claimed.hash != truth.hash:
        raise SubmissionError(
            f"the submission was made on other data: the hash of its prepared dataset is"
            f" {claimed.hash[:12]}..., and here {truth.hash[:12]}.... Prepare the dataset as it is"
            " published, and run again."
        )
    found = claimed.split, claimed.n_spots, claimed.n_genes
    if found != (truth.split, *truth.shape):
        raise SubmissionError(f"results.json says {found}, expected {(truth.split, *truth.shape)}.")
    if tuple(claimed.classes) != truth.classes:
        raise SubmissionError(
            f"results.json names the classes {claimed.classes}; those of the dataset are"
            f" {list(truth.classes)}, in this order."
        )


def _check_ids(found: list[str], wanted: tuple[str, ...], kind: str) -> None:
    if tuple(found) == wanted:
        return
    missing, odd = set(wanted) - set(found), set(found) - set(wanted)
    if len(set(found)) < len(found):
        reason = f"{len(found) - len(set(found))} stand twice"
    elif missing or odd:
        parts = [
            f"{len(names)} {what} ({visible(min(names), 60)!r}, for one)"
            for names, what in ((missing, "are missing"), (odd, "are unknown here"))
            if names
        ]
        reason = " and ".join(parts)
    else:
        row = next(
            i for i, pair in enumerate(zip(found, wanted, strict=True)) if len(set(pair)) > 1
        )
        reason = f"they are permuted: row {row} is {found[row]!r}, expected {wanted[row]!r}"
    raise SubmissionError(
        f"the {kind} are not those of the prepared dataset: {reason}. Predictions are one row per"
        " spot and one column per gene, in the dataset's own order."
    )


def _check_result(
    report: Report,
    opened: Bundle,
    bench: Bench,
    truth: Truth,
    result: EntryResult,
    metrics: Any,
) -> EntryResult:
    if set(result.split_scores) != {truth.split}:
        raise SubmissionError(
            f"scores are claimed for {sorted(result.split_scores)}; expected {truth.split} alone."
        )
    name = bundle.prediction_name(result)
    prediction = read_output(opened.folder / name, truth.shape, len(truth.classes))
    scores = rescore(bench, truth, prediction, metrics)
    wrong = disagreements(result.split_scores[truth.split], scores, metrics)
    if wrong:
        raise SubmissionError(
            f"the scores are not those of the predictions: {'; '.join(wrong)}. `spared-bench"
            " submit build` claims what a run's predictions give."
        )
    report.evidence.hashes[label_of(result)] = opened.hashes[name]
    target = bench.protocol.processing.target
    look_at_prediction(report.evidence, result, prediction.mean, truth, target)
    return with_scores(result, scores, bench, truth, prediction)
