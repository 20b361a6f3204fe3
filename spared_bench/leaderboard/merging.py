"""Entries of others as trials, so that one arithmetic serves them and the runs of a workspace.

What a trial's facts say of its origin decides which row it belongs to. Runs of the workspace say
nothing: they were trained and scored here, and are ``reproduced``. Those that ``store import``
brought are ``imported``, and those whose predictions were made elsewhere (``spared-bench score``)
are ``brought``: neither counts as trained here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spared_bench.leaderboard.entries import EntryResult, MethodEntry
from spared_bench.leaderboard.model import Flagged, Origin
from spared_bench.models.encoder_facts import encoder_facts
from spared_bench.results import BROUGHT, BY_HAND, IMPORTED, ORIGIN, UNLISTED, Scores, TrialResult
from spared_bench.words import counted

Facts = Mapping[str, Mapping[str, Any]]

#: Of trials that are no part of an entry.
_RUN_HERE, _IMPORTED_HERE, _BROUGHT_HERE = Origin(), Origin("imported"), Origin(BROUGHT)
#: What an imported trial may say of itself.
_OWN_FACTS = (
    IMPORTED,
    "control",
    "weights",
    "precision",
    "distribution",
    "target",
    "searched",
    BY_HAND,
    "field_of_view_um",
    "encoder",
)


def entry_trials(
    entries: Iterable[MethodEntry], datasets: Facts | None = None, predictors: Facts | None = None
) -> Iterator[TrialResult]:
    """Yield one trial per result of every entry.

    Parameters
    ----------
    entries : iterable of MethodEntry
    datasets, predictors : mapping of name to mapping, optional
        What is known of them here (tier, evaluation split, scope, ...); an entry cannot say it.
    """
    for entry in entries:
        origin = origin_facts(entry)
        for result in entry.results:
            dataset = (datasets or {}).get(result.dataset, {})
            predictor = (predictors or {}).get(result.predictor, {})
            yield _trial(entry, result, {**predictor, **dataset, ORIGIN: origin})


def with_listing(
    trials: Iterable[TrialResult],
    listed: Mapping[str, Sequence[str]],
    joined: Mapping[str, Collection[str]] | None = None,
) -> Iterator[TrialResult]:
    """Mark the trials on datasets that their protocol does not list.

    Parameters
    ----------
    trials : iterable of TrialResult
    listed : mapping of protocol id to sequence of str
        The datasets of each protocol that is known here, folds by name. Of one that is listed
        whole, its folds count, too, where they were run here. Of a protocol that names none, the
        datasets of the workspace's own runs count; all where there are none.
    joined : mapping of protocol id to collection of str, optional
        Datasets of which a protocol lists folds and ranks their mean: others report that alone.
    """
    trials, joined = list(trials), joined or {}
    run_here: dict[str, set[str]] = {}
    for trial in trials:
        if origin_of(trial) in (_RUN_HERE, _BROUGHT_HERE):
            run_here.setdefault(trial.protocol, set()).add(trial.dataset)
    for trial in trials:
        known = listed.get(trial.protocol) or run_here.get(trial.protocol) or (trial.dataset,)
        is_listed = trial.dataset in known
        if not is_listed:
            # Who runs the folds of a listed dataset means them; an entry of others cannot add them.
            is_own = ORIGIN not in trial.facts
            wholes = joined.get(trial.protocol, ())
            is_listed = _is_fold_of(trial, known) if is_own else trial.dataset in wholes
        if is_listed and UNLISTED not in trial.facts:
            yield trial  # as nearly every one is
            continue
        said = {name: value for name, value in trial.facts.items() if name != UNLISTED}
        yield replace(trial, facts=said if is_listed else {**said, UNLISTED: True})


def _is_fold_of(trial: TrialResult, known: Collection[str]) -> bool:
    """Whether a trial is of a fold of what is listed whole, or by a scheme that is unknown here."""
    whole = trial.facts.get("fold_of")
    if not whole:
        return False
    schemes = [name for name in known if name.startswith(f"{whole}.")]
    by_scheme = any(trial.dataset.startswith(f"{name.lower()}-") for name in schemes)
    # Where folds of one scheme are listed, those of another are another task.
    return by_scheme or (whole in known and not schemes)


def without_foreign_facts(
    trials: Iterable[TrialResult], datasets: Facts, predictors: Facts
) -> Iterator[TrialResult]:
    """Let imported trials say nothing of datasets: what is known here is put in its place.

    A trial that says of its dataset that it is generated, or that it shares slides with all others,
    would take it out of everybody's mean.
    """
    for trial in trials:
        if trial.facts.get(IMPORTED):
            known = {**predictors.get(trial.predictor, {}), **datasets.get(trial.dataset, {})}
            facts = {name: trial.facts[name] for name in _OWN_FACTS if name in trial.facts}
            split = known.get("evaluation_split") or ("test" if "test" in trial.scores else "val")
            facts = {**facts, **known, "evaluation_split": split}
            yield replace(trial, facts=facts)
        else:
            yield trial


def without_foreign_seeds(
    trials: Iterable[TrialResult], seeds: Mapping[str, Sequence[int]], left_out: list[str]
) -> list[TrialResult]:
    """Return the trials without imported ones of seeds that their protocol does not have.

    All that was imported is of one origin, which answers for the same seeds: a further one would
    leave every other imported row incomplete.

    Parameters
    ----------
    trials : iterable of TrialResult
    seeds : mapping of protocol id to sequence of int
        Of protocols that are known here.
    left_out : list of str
        Takes a sentence for each protocol.
    """
    kept: list[TrialResult] = []
    gone: dict[str, list[int]] = {}
    for trial in trials:
        known = seeds.get(trial.protocol, (trial.seed,))
        if trial.facts.get(IMPORTED) and trial.seed not in known:
            gone.setdefault(trial.protocol, []).append(trial.seed)
        else:
            kept.append(trial)
    left_out += [
        f"{counted(len(found), 'imported result')} of {protocol}"
        f" {'is' if len(found) == 1 else 'are'} not shown: of"
        f" {'seed' if len(set(found)) == 1 else 'seeds'}"
        f" {', '.join(map(str, sorted(set(found))[:5]))}, and it has"
        f" {', '.join(map(str, seeds[protocol][:5]))}. A protocol's file with these seeds is named"
        " with `leaderboard build --protocol FILE`."
        for protocol, found in gone.items()
    ]
    return kept


def origin_facts(entry: MethodEntry) -> dict[str, Any]:
    """Return what the rows of an entry say of where they come from."""
    return {
        "trust": entry.trust,
        "method": entry.method,
        "version": entry.version,
        "source": entry.source,
        "withdrawn": entry.withdrawn,
        "flags": [flag.model_dump() for flag in entry.flags],
        "several": len({result.predictor for result in entry.results}) > 1,
    }


def origin_of(trial: TrialResult) -> Origin:
    """Return where a trial comes from."""
    facts = trial.facts.get(ORIGIN)
    if facts is None:
        if trial.facts.get(IMPORTED):
            return _IMPORTED_HERE
        return _BROUGHT_HERE if BROUGHT in trial.facts else _RUN_HERE
    flags = tuple(Flagged(**flag) for flag in facts["flags"])
    return Origin(**{**facts, "flags": flags})


def origin_order(origin: Origin) -> tuple[str, str, str]:
    """Return what rows of different origins are ordered by."""
    return origin.trust, origin.method, origin.version


def _trial(entry: MethodEntry, result: EntryResult, facts: dict[str, Any]) -> TrialResult:
    scores: dict[str, Scores] = {
        str(split): {name: math.nan if value is None else value for name, value in values.items()}
        for split, values in result.split_scores.items()
    }
    # A known dataset is read on the split on which all are compared, and on no other.
    split = facts.get("evaluation_split") or ("test" if "test" in scores else "val")
    claimed = {
        "weights": result.weights,
        "field_of_view_um": result.field_of_view_um,
        BY_HAND: result.by_hand,
        "encoder": encoder_facts(result.parameters.get("encoder"), [result.dataset]),
    }
    curve = [math.nan if value is None else value for value in result.calibration]
    return TrialResult(
        key="/".join([entry.protocol, entry.folder_name, *map(str, result.place)]),
        status="ok",
        protocol=entry.protocol,
        dataset=result.dataset,
        completer=result.completer,
        predictor=result.predictor,
        parameters=result.parameters,
        seed=result.seed,
        scores=scores,
        calibration={split: curve} if curve else {},
        confusion={split: result.confusion} if result.confusion else {},
        classes=result.classes,
        n_parameters=result.n_parameters,
        seconds={} if result.train_seconds is None else {"fit": result.train_seconds},
        facts={
            **facts,
            **{name: value for name, value in claimed.items() if value},
            "evaluation_split": split,
        },
    )
