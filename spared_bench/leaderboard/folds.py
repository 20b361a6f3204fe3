"""Folds of a dataset as one column: the mean over its folds, where a protocol ranks so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from spared_bench.leaderboard.datasets import joined
from spared_bench.leaderboard.merging import Facts, origin_of
from spared_bench.results import BY_HAND, ORIGIN, UNLISTED, TrialResult
from spared_bench.words import counted


def with_joined_folds(
    trials: Iterable[TrialResult], known: Facts | None = None, notes: list[str] | None = None
) -> list[TrialResult]:
    """Return trials in which those of one dataset's folds are one, its scores their means.

    A fold that other methods have and this one lacks, or on which it failed, makes the whole a
    failure. Two schemes divide a dataset into different tasks, so each has a mean of its own: that
    which the protocol lists stands under the dataset's name and others under the scheme's,
    ``her2st.loso``; where none or several are listed, all do, and one of them counts. So is the
    dataset's own split another task: what others report of a dataset stays as it is, and runs of
    ours on it are left out beside its folds.

    Parameters
    ----------
    trials : iterable of TrialResult
        Of one protocol.
    known : mapping of name to mapping, optional
        Facts of datasets, which name their schemes.
    notes : list of str, optional
        Takes a sentence on each dataset of which runs were left out.
    """
    plain: list[TrialResult] = []
    folds: list[TrialResult] = []
    for trial in trials:
        (folds if trial.facts.get("fold_of") else plain).append(trial)
    columns = fold_columns(folds, known or {})
    groups: dict[tuple[Any, ...], list[TrialResult]] = {}
    wanted: dict[str, set[str]] = {}
    for trial in folds:
        column = columns[trial.dataset]
        place = (column, trial.completer, trial.predictor, trial.seed, origin_of(trial))
        groups.setdefault(place, []).append(trial)
        wanted.setdefault(column, set()).add(trial.dataset)
    means = [_joined(place[0], mine, wanted[place[0]]) for place, mine in groups.items()]
    return [*_without_own_splits(plain, wanted, notes), *_apart(means, folds, columns)]


def fold_columns(trials: Iterable[TrialResult], known: Facts) -> dict[str, str]:
    """Return for each fold under which name the mean over the folds of its scheme stands.

    Parameters
    ----------
    trials : iterable of TrialResult
        Of one protocol; those of no fold are passed over.
    known : mapping of name to mapping
        Facts of datasets.
    """
    folds = [trial for trial in trials if trial.facts.get("fold_of")]
    scheme_of = {trial.dataset: _scheme(trial, known) for trial in folds}
    listed: dict[str, dict[_Scheme, bool]] = {}
    for trial in folds:
        scheme = scheme_of[trial.dataset]
        of_whole = listed.setdefault(scheme[0], {})
        of_whole[scheme] = of_whole.get(scheme, False) or UNLISTED not in trial.facts
    names: dict[_Scheme, str] = {}
    for whole, of_whole in listed.items():
        those = [scheme for scheme, is_listed in of_whole.items() if is_listed] or list(of_whole)
        for scheme in of_whole:
            names[scheme] = whole if those == [scheme] else ".".join(scheme)
    return {fold: names[scheme] for fold, scheme in scheme_of.items()}


_Scheme = tuple[str, str]  # a dataset, and one of the ways in which it is divided


def _apart(
    means: Iterable[TrialResult], folds: Iterable[TrialResult], columns: Mapping[str, str]
) -> Iterator[TrialResult]:
    """Let means over folds of one dataset conflict, so that its slides count once."""
    whole_of = {columns[fold.dataset]: str(fold.facts["fold_of"]) for fold in folds}
    for mean in means:
        whole = whole_of[mean.dataset]
        others = {name for name in whole_of if whole_of[name] == whole and name != mean.dataset}
        said = {*mean.facts.get("conflicts_with", ()), *others}
        yield replace(mean, facts=mean.facts | {"conflicts_with": sorted(said)}) if others else mean


def _without_own_splits(
    trials: Sequence[TrialResult], means: Collection[str], notes: list[str] | None
) -> Iterator[TrialResult]:
    """Leave out runs of ours on the split of a dataset whose name stands for a mean over folds."""
    reported = {trial.dataset for trial in trials if ORIGIN in trial.facts}
    gone: dict[str, int] = {}
    for trial in trials:
        is_mean = trial.dataset in means or (UNLISTED in trial.facts and trial.dataset in reported)
        if is_mean and ORIGIN not in trial.facts:
            gone[trial.dataset] = gone.get(trial.dataset, 0) + 1
        else:
            yield trial
    if notes is not None:
        notes += [
            f"{counted(number, 'result')} on the split of {name} itself"
            f" {'is' if number == 1 else 'are'} not shown: its scores here are means over folds."
            for name, number in gone.items()
        ]


def lacking_folds(trials: Iterable[TrialResult], known: Facts) -> list[str]:
    """Say of which datasets only some folds were tried by any method, a sentence each.

    The mean of these is another number than the score of the dataset.

    Parameters
    ----------
    trials : iterable of TrialResult
        Of one protocol that joins folds, before they are joined.
    known : mapping of name to mapping
        Facts of datasets, of which folds say ``fold_of``.
    """
    tried: dict[tuple[str, str], set[str]] = {}
    for trial in trials:
        if whole := str(trial.facts.get("fold_of", "")):
            tried.setdefault(_scheme(trial, known), set()).add(trial.dataset)
    told = []
    for (whole, scheme), here in sorted(tried.items()):
        all_folds = [n for n, facts in known.items() if facts.get("fold_of") == whole]
        lacking = [n for n in all_folds if n not in here and _scheme_of(n, whole, known) == scheme]
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            told.append(
                f"Scores on {whole} are of {len(here)} of its {len(here) + len(lacking)} folds, and"
                f" not its mean over all: no method has a result on {', '.join(lacking[:3])}{more}."
            )
    return told


def _scheme(trial: TrialResult, known: Facts) -> _Scheme:
    whole = str(trial.facts["fold_of"])
    return whole, _scheme_of(trial.dataset, whole, known)


def _scheme_of(fold: str, whole: str, known: Facts) -> str:
    """Return which way of dividing a dataset a fold belongs to: ``fold`` of ``hest_x.fold-0``."""
    label = fold[len(whole) + 1 :]
    for scheme, folds in known.get(whole, {}).get("folds", {}).items():
        if label in {f"{scheme}-{name}".lower() for name in folds}:
            return str(scheme)
    return label.partition("-")[0]  # of a dataset that is not known here


def _joined(whole: str, mine: Sequence[TrialResult], wanted: set[str]) -> TrialResult:
    ordered = sorted(mine, key=lambda trial: trial.dataset)
    first = replace(
        ordered[0],
        dataset=whole,
        facts=_facts(ordered),
        environment=_environment(ordered),
        n_parameters=max((n for t in ordered if (n := t.n_parameters) is not None), default=None),
        # Those of one fold; the page of the row has its trials.
        slide_scores={},
        gene_scores={},
        curves={},
        calibration={},
        confusion={},
    )
    lacking = sorted(wanted - {trial.dataset for trial in ordered})
    failed = [trial for trial in ordered if not trial.ok]
    if lacking or failed:
        said = f"no result on {lacking[0]}" if lacking else f"{failed[0].dataset} failed"
        status = failed[0].status if failed else "skipped"
        return replace(first, status=status, message=f"Not all folds have scores: {said}.")
    seconds = [trial.seconds["fit"] for trial in ordered if "fit" in trial.seconds]
    return replace(
        first,
        scores=_means([trial.scores for trial in ordered]),
        seconds={"fit": fmean(seconds)} if seconds else {},
    )


def _facts(folds: Sequence[TrialResult]) -> dict[str, Any]:
    """Return what folds say together: what one of them has to say holds for the whole."""
    said = [trial.facts for trial in folds]
    facts = said[0] | {"fold_of": "", "folds": len(folds)}
    for name in ("shared_donors", "conflicts_with"):
        if found := {str(each) for fact in said for each in fact.get(name, ())}:
            facts[name] = sorted(found)
    if tiers := [str(fact["tier"]) for fact in said if fact.get("tier")]:
        facts["tier"] = max(tiers)  # the worst, by its letter
    if seen := [each for fact in said if isinstance(each := fact.get("field_of_view_um"), float)]:
        facts["field_of_view_um"] = max(seen)
    if by_hand := {name: v for fact in said for name, v in fact.get(BY_HAND, {}).items()}:
        facts[BY_HAND] = by_hand
    checks = [fact["slide_checks"] for fact in said if fact.get("slide_checks")]
    if checks:
        failed = {slide: told for each in checks for slide, told in each.get("failed", {}).items()}
        facts["slide_checks"] = {
            "tested": max(c.get("tested", 0) for c in checks),
            "failed": failed,
        }
    encoders = [fact["encoder"] for fact in said if fact.get("encoder")]
    if encoders:
        names = dict.fromkeys(name for each in encoders for name in each)
        facts["encoder"] = {name: joined(encoders, name) for name in names}
    if any(not fact.get(UNLISTED) for fact in said):
        facts.pop(UNLISTED, None)
    return facts


def _environment(folds: Sequence[TrialResult]) -> dict[str, Any]:
    """Return where folds were computed: all classes of machines, and every version of the code."""
    made = [trial.environment for trial in folds]
    plugins = [dict(each.get("plugins") or {}) for each in made]
    kinds = dict.fromkeys(kind for each in plugins for kind in each)
    return made[0] | {
        "machine": joined(made, "machine"),
        "plugins": {kind: joined(plugins, kind) for kind in kinds},
    }


def _means(scores: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean of every score that all folds have."""
    found: dict[str, dict[str, float]] = {}
    for split in scores[0]:
        names = [set(each.get(split, {})) for each in scores]
        common = sorted(set.intersection(*names))
        found[split] = {name: fmean(each[split][name] for each in scores) for name in common}
    return found
