"""The files of a trial beside its record: predictions, and the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.prediction import Prediction
from spared_bench.store.trials import APPLICATION, MODEL, PREDICTIONS
from spared_bench.trials.application import describe_application
from spared_bench.trials.products import Prepared
from spared_bench.trials.saving import save_apart
from spared_bench.trials.stains import target_of


def write_artifacts(
    folder: Path,
    bench: Bench,
    prepared: Prepared,
    predictor: Any,
    predictions: dict[str, Prediction],
    offset: np.ndarray,
) -> None:
    """Write them into a folder.

    Parameters
    ----------
    folder : Path
    bench : Bench
    prepared : Prepared
    predictor : object
        Fitted; its ``save``, if it has one, writes into ``model/``.
    predictions : dict of split to Prediction
    offset : ndarray of shape (n_genes,)
        What was subtracted from the target, and is in the predictions again.
    """
    arrays: dict[str, np.ndarray] = {"genes": prepared.adata.var_names.to_numpy(dtype=str)}
    for split, prediction in predictions.items():
        slides = prepared.shared(split)
        arrays |= {
            f"{split}_prediction": prediction.mean.astype(np.float32),
            f"{split}_spots": slides.adata.obs_names.to_numpy(dtype=str),
        }
        if prediction.variance is not None:
            arrays[f"{split}_variance"] = prediction.variance
        if prediction.classes is not None:
            arrays[f"{split}_classes"] = prediction.classes
            arrays["classes"] = np.array(slides.classes, dtype=str)
    np.savez_compressed(folder / PREDICTIONS, allow_pickle=False, **arrays)
    if hasattr(predictor, "save"):
        save_apart(predictor, folder / MODEL)
        cutting = bench.protocol.patches.model_dump(mode="json")
        text = describe_application(
            prepared.adata, cutting, offset, prepared.views, _stain(bench, prepared)
        )
        (folder / APPLICATION).write_text(text, encoding="utf-8")


def _stain(bench: Bench, prepared: Prepared) -> dict[str, Any]:
    """Return the colours that the training saw, if the protocol changes them."""
    if bench.protocol.patches.stain == "none":
        return {}
    for view in (bench.patch_view, *prepared.views.values()):
        inputs = bench.view_inputs(prepared.name, view)
        entry = bench.workspace.store.find("stained", inputs)
        if entry is not None:
            return target_of(entry)
    return {}
