"""What a trial's record says beside its scores: settings, facts for the board, environment."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.models.encoder_facts import encoder_facts
from spared_bench.models.encoder_table import is_colour, known_encoder
from spared_bench.models.hub import own_file
from spared_bench.models.weights_folder import file_for
from spared_bench.results import TrialResult
from spared_bench.sources.same_spots import PRINTS, sharing
from spared_bench.trials.checks import slide_checks_fact
from spared_bench.trials.environment import environment, plugins_of
from spared_bench.trials.features import encoding_told
from spared_bench.trials.products import Prepared

#: Facts of a trial that decide how it counts; protocols of the same settings agree on them.
_NOT_A_METHODS = ("evaluation_split", "tier", "shared_donors", "fold_of", "synthetic",
                  "conflicts_with", "comparable", "target", "control", "needs_known",
                  "distribution")  # fmt: skip


def blank_record(bench: Bench, job: Job) -> TrialResult:
    """Return the record of a trial that has not been run: all that is known before."""
    return TrialResult(
        key=job.key,
        status="error",
        protocol=bench.protocol.id,
        dataset=job.dataset,
        completer=job.completer,
        predictor=job.predictor,
        parameters=dict(job.parameters),
        seed=job.seed,
        facts=_planned_facts(bench, job),
        environment=environment(bench, job),
    )


def _planned_facts(bench: Bench, job: Job) -> dict[str, Any]:
    predictor = bench.predictor(job.predictor)
    return (
        dataset_facts(bench, job.dataset)
        | {
            "control": predictor.control,
            "scope": predictor.scope,
            "summary": predictor.summary,
            "distribution": bench.registry.get("predictor", job.predictor).plugin.distribution,
            "searched": sorted(predictor.search),
            "configuration": bench.chosen("predictor", job.predictor).configuration,
            "patch_px": bench.protocol.patches.size,
            "batch_size": bench.protocol.training.batch_size,
            "steps": job.iterations or bench.protocol.training.iterations,
        }
        | ({"needs_known": predictor.needs_known} if bench.protocol.known else {})
    )


def told_otherwise(bench: Bench, job: Job, result: TrialResult, strict: bool) -> list[str]:
    """Return what a record says otherwise than is known: a stranger's method has changed it.

    Which split counts, how a method was kept apart and whose code it is are not a method's to say.
    """
    planned = _planned_facts(bench, job)
    names = ("key", "dataset", "completer", "predictor", "seed")
    wrong = [name for name in names if getattr(result, name) != getattr(job, name)]
    wrong += [
        name
        for name in _NOT_A_METHODS
        if json.dumps(result.facts.get(name)) != json.dumps(planned.get(name))
    ]
    if "conflicts_with" in wrong and _may_conflict(bench, job.dataset, result.facts):
        wrong.remove("conflicts_with")
    # Slides may have been checked since; what they failed then, they fail now.
    if _failed_slides(result.facts).items() - _failed_slides(planned).items():
        wrong.append("slide_checks")
    if result.environment.get("isolation") == "strict" and not strict:
        wrong.append("isolation")
    if result.environment.get("plugins") != plugins_of(bench, job):
        wrong.append("plugins")
    return wrong


def _may_conflict(bench: Bench, name: str, facts: Mapping[str, Any]) -> bool:
    """Return whether datasets that were added, or replaced, since a run began explain a record.

    Which datasets of one's own share slides is found where a process looks at them.
    """
    spec, root = bench.dataset(name), bench.folder(name).parent
    known = sharing(sorted(path.parent for path in root.glob(f"*/{PRINTS}")))
    then, now = set(spec.conflicts_with), set(known.get(spec.fold_of or spec.name, ()))
    told = facts.get("conflicts_with")
    return isinstance(told, list) and then & now <= set(map(str, told)) <= then | now


def _failed_slides(facts: Mapping[str, Any]) -> dict[str, str]:
    failed = facts.get("slide_checks", {}).get("failed", {})
    return {slide_id: json.dumps(told) for slide_id, told in failed.items()}


def dataset_facts(bench: Bench, name: str) -> dict[str, Any]:
    """Return what the record of any trial on a dataset says of it."""
    dataset = bench.dataset(name)
    return {
        "evaluation_split": dataset.evaluation_split,
        "tier": dataset.tier,
        "shared_donors": list(dataset.shared_donors),
        "fold_of": dataset.fold_of,
        "synthetic": dataset.synthetic,
        "conflicts_with": list(dataset.conflicts_with),
        "comparable": bench.protocol.comparable,
        "target": _target(bench),
    } | slide_checks_fact(bench, name)


def _target(bench: Bench) -> str:
    settings = bench.protocol.processing
    smoothed = ", smoothed over neighbours" if settings.smoothing != "none" else ""
    return f"{settings.target}{smoothed}"


def parameters_of(predictor: Any, fallback: dict[str, Any]) -> dict[str, Any]:
    """Return every field of a dataclass that JSON can hold; else what was set."""
    if is_dataclass(predictor) and not isinstance(predictor, type):
        return {key: value for key, value in asdict(predictor).items() if _is_plain(value)}
    return dict(fallback)


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def count_parameters(predictor: Any) -> int | None:
    """Return the trainable parameters that a predictor counts, if it does."""
    number = getattr(predictor, "n_parameters", None)
    return None if number is None else int(number)


def weights_fact(bench: Bench, job: Job, predictor: Any) -> dict[str, Any]:
    """Return which weights were used.

    A predictor whose ``weights_used`` is ``None`` used none, nor did one on features of colour.
    """
    asked = bench.predictor(job.predictor).encoder
    if asked and is_colour(str(getattr(predictor, asked, ""))):
        return {}
    weights = getattr(predictor, "weights_used", getattr(predictor, "weights", None))
    if not isinstance(weights, str):
        return {}
    encoder = known_encoder(str(getattr(predictor, asked, ""))) if asked else None
    file = own_file(encoder.spec) if encoder is not None else file_for(predictor)
    if weights == "pretrained" and file is not None:
        return {"weights": file.name}
    return {"weights": weights if weights in {"pretrained", "random"} else Path(weights).name}


def precision_fact(predictor: Any) -> dict[str, Any]:
    """Return in which precision a network was computed, where the predictor tells."""
    precision = getattr(predictor, "precision_used", None)
    return {} if precision is None else {"precision": str(precision)}


def encoder_fact(bench: Bench, job: Job, predictor: Any) -> dict[str, Any]:
    """Return what is known of the frozen encoder of a trial, and how it was shown the patches."""
    asked = bench.predictor(job.predictor).encoder
    spec = bench.dataset(job.dataset)
    tested = [spec.name, spec.fold_of, *spec.aliases, *spec.split.get(spec.evaluation_split, ())]
    found = encoder_facts(getattr(predictor, asked, None) if asked else None, tested)
    if not found:
        return {}
    told = encoding_told(job.dataset, found["name"])
    return {"encoder": found} | ({"encoding": told} if told else {})


def view_fact(bench: Bench, job: Job, prepared: Prepared) -> dict[str, Any]:
    """Return how far a method sees from end to end, in µm, where it is not the protocol's patch.

    The largest over its views, those of networks under it, and slides; absent where a method asks
    for nothing but the protocol's patches, or where no pixel has a known size.
    """
    views = list(bench.views_of("predictor", job.predictor, job.parameters).values())
    for stage in bench.stages(job.predictor, job.parameters).values():
        views += bench.views_of("predictor", stage.predictor, stage.parameters).values()
    others = [view for view in views if view != bench.patch_view]
    facts = prepared.adata.uns["spared_bench"].get("slide_facts", {})
    slides = [dict(zip(facts, values, strict=True)) for values in zip(*facts.values(), strict=True)]
    reached = [view.reach_um(slide) for view in others for slide in slides]
    known = [um for um in reached if math.isfinite(um)]
    return {"field_of_view_um": round(max(known), 1)} if known else {}


def sizes(prepared: Prepared) -> dict[str, Any]:
    """Return numbers of genes and spots, and the share of entries without a measurement."""
    splits = prepared.adata.obs["split"].value_counts()
    return {
        "n_genes": int(prepared.adata.n_vars),
        "n_spots": {str(split): int(number) for split, number in splits.items()},
        "missing_fraction": round(prepared.missing_fraction, 4),
    }
