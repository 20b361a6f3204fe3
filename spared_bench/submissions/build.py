"""A bundle of the finished runs of a workspace: what was run is what is handed in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spared_bench.bench import Bench
from spared_bench.errors import SubmissionError, UnknownNameError, UsageError
from spared_bench.leaderboard.entries import EntryResult
from spared_bench.leaderboard.method_rows import n_codes
from spared_bench.results import BROUGHT, BY_HAND, IMPORTED
from spared_bench.specs import PredictorSpec
from spared_bench.store.processes import scratch_folder
from spared_bench.store.records import Records
from spared_bench.store.trials import TRIALS
from spared_bench.submissions import bundle
from spared_bench.submissions.codec import read_output, write_prediction
from spared_bench.submissions.names import public_key, sign
from spared_bench.submissions.rescoring import is_number, metrics_of, rescore, with_scores
from spared_bench.submissions.schema import Claim, ClaimedDataset, Description, read_description
from spared_bench.submissions.truth import Truth, own_output, truth_of
from spared_bench.trials.cells import FinishedCell, finished_cells
from spared_bench.trials.outdated import outdated_cells


@dataclass(frozen=True)
class Built:
    """What was built.

    Parameters
    ----------
    archive : Path
    description : Description
    n_results : int
    missing : list of str
        Datasets of the protocol without results, which are declared absent.
    n_codes : int
        Of how many versions the code was that made the results.
    n_imported : int
        Results that ``store import`` brought, or that were made of such.
    """

    archive: Path
    description: Description
    n_results: int
    missing: list[str]
    n_codes: int
    n_imported: int = 0


def build(
    bench: Bench,
    predictor: str,
    out: Path | None = None,
    *,
    method: str = "",
    version: str = "",
    details: dict[str, Any] | None = None,
    reasons: Mapping[str, str] | None = None,
    conformance: dict[str, Any] | None = None,
    key: bytes | None = None,
) -> Built:
    """Make a bundle of all finished cells of one predictor under one protocol.

    Parameters
    ----------
    bench : Bench
        The protocol, and the workspace with the runs.
    predictor : str
        Registered name.
    out : Path, optional
        ``METHOD-VERSION.PROTOCOL.zip`` here by default.
    method, version : str
        Those of the predictor's spec by default.
    details : dict, optional
        Further fields of ``submission.yaml``: title, authors, code, ...
    reasons : mapping of dataset to str, optional
        Why a dataset of the protocol has no runs; "not run" where nothing is said.
    conformance : dict, optional
        The report of the conformance kit.
    key : bytes, optional
        Private; binds the name to whoever has it (``names.load_key``).

    Raises
    ------
    UnknownNameError
        If the workspace has no finished runs of the predictor.
    SubmissionError
        If a run failed, a description is not valid, or the runs are of other data than is there,
        or of another version than the method's, and ``version`` does not say which.
    """
    cells = _listed(bench, predictor, _cells_of(bench, predictor))
    spec = _spec_of(bench, predictor, cells)
    if not version:
        _require_version(spec, cells)
    wanted = bench.listed() if bench.protocol.datasets else []
    details = {**(details or {}), **({} if key is None else {"key": public_key(key)})}
    missing = [name for name in wanted if name not in {cell.final.dataset for cell in cells}]
    absent = _absent(missing, reasons or {})
    description = _describe(bench, spec, method, version, absent, details)
    name = bundle.archive_name(description)
    archive = Path(out or name)
    if archive.is_dir():
        archive /= name
    archive.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as folder:
        claim = _write_results(folder, bench, cells)
        _write_texts(folder, bench, cells, description, claim, conformance)
        bundle.seal(folder)
        if key is not None:
            signature = sign(key, (folder / bundle.MANIFEST).read_bytes())
            (folder / bundle.SIGNATURE).write_text(f"{signature}\n", encoding="ascii")
        bundle.pack(folder, archive)
    codes = n_codes(cell.final for cell in cells)
    imported = sum(IMPORTED in cell.final.facts for cell in cells)
    return Built(archive, description, len(cells), missing, codes, imported)


def known_name(bench: Bench, predictor: str) -> str:
    """Return the registered name that is meant, or that of a method whose predictions were brought.

    Raises
    ------
    UnknownNameError
        If it is neither.
    """
    cells = finished_cells(bench.workspace.store, bench.protocol.id)
    brought = {cell.final.predictor for cell in cells if BROUGHT in cell.final.facts}
    return predictor if predictor in brought else bench.registry.canonical("predictor", predictor)


def _spec_of(bench: Bench, predictor: str, cells: Sequence[FinishedCell]) -> PredictorSpec:
    """Return what is known of a method: of one whose predictions were brought, its name."""
    if any(BROUGHT in cell.final.facts for cell in cells):
        return PredictorSpec(predictor, "elsewhere:method", summary="Predictions made elsewhere")
    return bench.predictor(predictor)


def _require_version(spec: PredictorSpec, cells: Sequence[FinishedCell]) -> None:
    """Refuse runs of another version than the method has now: the bundle would call them that."""
    versions = [_version_of(cell) or spec.version for cell in cells]
    others = [version for version in versions if version != spec.version]
    if others:
        raise SubmissionError(
            f"{len(others)} of {len(cells)} runs of {spec.name!r} are of version {others[0]}, and"
            f" {spec.version} is installed. Run them again, or say with `--version` what the"
            " bundle is to be called."
        )


def _version_of(cell: FinishedCell) -> str:
    """Return the version of the method that made a run; "" of predictions made elsewhere."""
    entry = cell.store.open(TRIALS, cell.final.key)
    made_by = entry.inputs.get("predictor") if entry else None
    return str(made_by.get("version", "")) if isinstance(made_by, Mapping) else ""


def _cells_of(bench: Bench, predictor: str) -> list[FinishedCell]:
    cells = list(finished_cells(bench.workspace.store, bench.protocol.id))
    mine = [cell for cell in cells if cell.final.predictor == predictor]
    if not mine:
        known = {cell.final.predictor for cell in cells}
        hint = (
            f"`spared-bench run --protocol {bench.protocol.name} -p {predictor}` makes runs of it;"
            " `--workspace` names the folder of earlier ones."
        )
        raise UnknownNameError("finished predictor", predictor, known, hint)
    with Records(bench.workspace.store, genes=False) as records:
        outdated = outdated_cells(records, {bench.protocol.id: bench.protocol.hash_of_a_seed})
    others = [cell.final for cell in mine if cell.final.cell in outdated]
    if others:
        first = others[0]
        raise SubmissionError(
            f"{len(others)} of {len(mine)} runs of {predictor!r} were made under other settings or"
            f" of other data than {bench.protocol.id} and its datasets have, the first on"
            f" {first.dataset} / {first.completer}, seed {first.seed}. Run them again."
        )
    failed = [cell.final for cell in mine if not cell.final.ok]
    if failed:
        first = failed[0]
        raise SubmissionError(
            f"{len(failed)} of {len(mine)} runs of {predictor!r} have no score, the first on"
            f" {first.dataset} / {first.completer}, seed {first.seed}: {first.message}"
            " `spared-bench run --retry-failed` tries them again."
        )
    return mine


def _listed(bench: Bench, predictor: str, cells: Sequence[FinishedCell]) -> list[FinishedCell]:
    """Return the runs on datasets of the protocol; others may be there, and stay out."""
    listed = bench.listed()
    kept = [cell for cell in cells if cell.final.dataset in listed]
    if not kept:
        others = ", ".join(sorted({cell.final.dataset for cell in cells}))
        raise SubmissionError(
            f"All runs of {predictor!r} are on datasets that {bench.protocol.id} does not list"
            f" ({others}). It lists {', '.join(listed)}: run it on one of these at least."
        )
    return kept


def _absent(missing: Sequence[str], reasons: Mapping[str, str]) -> list[dict[str, str]]:
    if odd := sorted(set(reasons) - set(missing)):
        raise UsageError(
            f"A reason is given for the absence of {odd[0]!r}, which is not absent. Absent are:"
            f" {', '.join(missing) or 'none'}."
        )
    return [{"dataset": name, "reason": reasons.get(name, "not run")} for name in missing]


def _describe(
    bench: Bench,
    spec: PredictorSpec,
    method: str,
    version: str,
    absent: Sequence[dict[str, str]],
    details: dict[str, Any],
) -> Description:
    values = {
        "method": method or spec.name,
        "version": version or spec.version,
        "protocol": bench.protocol.id,
        "title": spec.summary[:300],
        "citation": spec.citation[:300],
        "licence": spec.licence[:300],
        "absent": list(absent),
        **details,
    }
    return read_description(yaml.safe_dump(values), "The description")


def _write_results(folder: Path, bench: Bench, cells: Sequence[FinishedCell]) -> Claim:
    truths: dict[str, Truth] = {}
    datasets: dict[str, ClaimedDataset] = {}
    results = []
    for cell in cells:
        name = cell.final.dataset
        if name not in truths:
            truths = {name: truth_of(bench, name)}  # one at a time: cells come sorted by dataset
            datasets[name] = _write_dataset(folder, truths[name])
        truth = truths[name]
        result = _result(cell, truth.split)
        path = folder / bundle.prediction_name(result)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_prediction(path, own_output(cell, truth))
        results.append(_with_what_is_beside(bench, result, truth, path))
    return Claim(
        protocol=bench.protocol.id,
        protocol_hash=bench.protocol.hash,
        datasets=datasets,
        results=results,
    )


def _with_what_is_beside(
    bench: Bench, result: EntryResult, truth: Truth, path: Path
) -> EntryResult:
    """Return a result with what the written file gives of variances and classes.

    Shares of entries, and of spots, may differ from the run's own by the rounding of the file.
    """
    written = read_output(path, truth.shape, len(truth.classes))
    metrics = {
        name: (spec, metric)
        for name, (spec, metric) in metrics_of(bench).items()
        if spec.given != "expression" and name in result.split_scores[truth.split]
    }
    if not metrics:
        return result
    scores = {**result.split_scores[truth.split], **rescore(bench, truth, written, metrics)}
    return with_scores(result, scores, bench, truth, written)


def _write_dataset(folder: Path, truth: Truth) -> ClaimedDataset:
    bundle.write_ids(folder / bundle.ids_name(truth.dataset, "spots"), truth.spots)
    bundle.write_ids(folder / bundle.ids_name(truth.dataset, "genes"), truth.genes)
    spots, genes = truth.shape
    return ClaimedDataset(
        hash=truth.hash,
        split=truth.split,
        n_spots=spots,
        n_genes=genes,
        classes=list(truth.classes),
    )


def _result(cell: FinishedCell, split: str) -> EntryResult:
    final = cell.final
    scores = {
        name: value if is_number(value) else None
        for name, value in final.scores.get(split, {}).items()
    }
    values = {
        "dataset": final.dataset,
        "completer": final.completer,
        "predictor": final.predictor,
        "seed": final.seed,
        "split_scores": {split: scores},
        "parameters": final.parameters,
        "by_hand": final.facts.get(BY_HAND, {}),
        "n_parameters": final.n_parameters,
        "train_seconds": final.seconds.get("fit"),
        "weights": str(final.facts.get("weights") or ""),
        "field_of_view_um": final.facts.get("field_of_view_um"),
    }
    return EntryResult.model_validate_json(json.dumps(values))


def _write_texts(
    folder: Path,
    bench: Bench,
    cells: Sequence[FinishedCell],
    description: Description,
    claim: Claim,
    conformance: dict[str, Any] | None,
) -> None:
    from spared_bench import __version__

    values = description.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump({"format": 1, **values}, sort_keys=False, allow_unicode=True)
    (folder / bundle.DESCRIPTION).write_text(text, encoding="utf-8")
    _write_json(folder / bundle.CLAIM, claim.model_dump(mode="json"))
    first = cells[0].final
    provenance = {
        "spared_bench": __version__,
        "environment": first.environment,
        "distribution": str(first.facts.get("distribution", "")),
        "trials": {"/".join(map(str, _place(cell))): cell.final.key for cell in cells},
    }
    _write_json(folder / bundle.PROVENANCE, provenance)
    if conformance is not None:
        _write_json(folder / bundle.CONFORMANCE, conformance)


def _place(cell: FinishedCell) -> tuple[str, str, str, int]:
    final = cell.final
    return final.dataset, final.completer, final.predictor, final.seed


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
