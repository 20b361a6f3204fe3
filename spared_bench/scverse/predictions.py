"""The predictions of a finished trial as an AnnData, beside what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import LABEL, MASK, SPATIAL, TARGET
from spared_bench.errors import MissingFileError, UnknownNameError, UsageError
from spared_bench.results import TrialResult
from spared_bench.scverse.images import with_images
from spared_bench.store.predictions import opened_predictions
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.trials.products import prepared_table

if TYPE_CHECKING:
    from anndata import AnnData

PREDICTED, MEASURED, VARIANCE = "predicted", "measured", "variance"


def predictions_of(
    bench: Bench, result: TrialResult, split: str = "", *, images: bool = True
) -> AnnData:
    """Return what a trial predicted, and what was measured there.

    Parameters
    ----------
    bench : Bench
        The protocol and the workspace of the trial.
    result : TrialResult
    split : str
        ``"val"`` or ``"test"``; the evaluated one by default.
    images : bool
        With ``uns["spatial"]``, for scanpy and squidpy.

    Returns
    -------
    AnnData
        ``X`` and ``layers["predicted"]``: the prediction; ``layers["measured"]``: the target, 0
        where unmeasured; ``layers["mask"]``; ``layers["variance"]`` where it was predicted. All of
        shape (n_spots, n_genes), in the unit of the protocol's target. ``obs``: slide, donor,
        position, label; ``obsm["spatial"]``; ``var`` with the gene's scores.

    Raises
    ------
    UsageError
        If the trial failed.
    UnknownNameError
        If it predicted no such split.
    MissingFileError
        If its predictions are gone, or are of other spots than are prepared now.
    CorruptEntryError
        If they are damaged.
    """
    if not result.ok:
        raise UsageError(
            f"{result.dataset} / {result.completer} / {result.predictor} ended as"
            f" {result.status!r} and predicted nothing: {result.message}"
        )
    entry = bench.workspace.store.open(TRIALS, result.key)
    path = None if entry is None else entry.folder / PREDICTIONS
    if path is None or not path.is_file():
        raise MissingFileError(
            f"The predictions of trial {result.key[:12]} are not in the workspace. Run it again."
        )
    split = split or str(result.facts.get("evaluation_split", "test"))
    table = prepared_table(bench, result.dataset)
    arrays = _read(path.parent, split)
    rows = table.obs["split"].to_numpy(dtype=str) == split
    same = list(arrays["spots"]) == list(table.obs_names[rows])
    if not same or list(arrays["genes"]) != list(table.var_names):
        raise MissingFileError(
            f"Trial {result.key[:12]} predicted other spots or genes than are prepared now. Run it"
            " again."
        )
    made = _beside(table[rows], arrays, result)
    return with_images(bench, result.dataset, made) if images else made


def _read(folder: Path, split: str) -> dict[str, np.ndarray]:
    with opened_predictions(folder) as held:
        known = [name.removesuffix("_prediction") for name in held if name.endswith("_prediction")]
        if split not in known:
            raise UnknownNameError("predicted split", split, known)
        found = {"genes": held["genes"], "spots": held[f"{split}_spots"]}
        found |= {
            part: held[f"{split}_{part}"]
            for part in ("prediction", "variance")
            if f"{split}_{part}" in held
        }
        return found


def _beside(part: AnnData, arrays: dict[str, np.ndarray], result: TrialResult) -> AnnData:
    from anndata import AnnData

    kept = ["slide_id", "patient_id", "split", "array_row", "array_col"]
    obs = part.obs[[*kept, *([LABEL] if LABEL in part.obs else [])]].copy()
    var = part.var[["gene_name"]].copy()
    for name, values in result.gene_scores.items():
        if len(values) == part.n_vars:
            var[name] = values
    predicted = np.asarray(arrays["prediction"], dtype=np.float32)
    layers: dict[str, Any] = {
        PREDICTED: predicted,
        MEASURED: np.array(part.layers[TARGET], dtype=np.float32),
        MASK: np.array(part.layers[MASK], dtype=bool),
    }
    if "variance" in arrays:
        layers[VARIANCE] = np.asarray(arrays["variance"], dtype=np.float32)
    names = ("protocol", "dataset", "completer", "predictor", "seed", "key")
    told = {name: getattr(result, name) for name in names}
    told["target"] = str(result.facts.get("target", ""))
    return AnnData(
        predicted.copy(),
        obs=obs,
        var=var,
        layers=layers,
        obsm={SPATIAL: np.array(part.obsm[SPATIAL], dtype=np.float64)},
        uns={"spared_bench": told},
    )
