"""A trained method on the tested slides of its own dataset, with their images changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import SPATIAL, Slides
from spared_bench.errors import MissingFileError, UsageError
from spared_bench.inference.seen import Change, seen
from spared_bench.inference.trained import APPLICATION, Trained, read_application
from spared_bench.processing.given import GIVEN_ROWS, has_given
from spared_bench.results import TrialResult
from spared_bench.store.processes import scratch_folder
from spared_bench.store.trials import MODEL, TRIALS
from spared_bench.trials.predicted import predicted
from spared_bench.trials.products import prepare
from spared_bench.trials.raw_slides import read_raw_slides

if TYPE_CHECKING:
    from anndata import AnnData

#: Why a method that needs known spots has no score on changed images.
KNOWN_ONLY = "predicts partially measured samples"


def trained_of(bench: Bench, result: TrialResult) -> Trained:
    """Return the model that a trial left.

    Raises
    ------
    MissingFileError
        If it left none.
    """
    entry = bench.workspace.store.open(TRIALS, result.key)
    path = None if entry is None else entry.folder / APPLICATION
    if entry is None or path is None or not (path.is_file() and (entry.folder / MODEL).is_dir()):
        raise MissingFileError(
            f"Trial {result.key[:12]} of {result.predictor!r} left no model: its method does not"
            " save itself (`save` and `load`), or the entry was taken away."
        )
    return Trained(result, entry.folder, read_application(entry.folder))


def refuse_known(bench: Bench, predictor: str) -> None:
    """Refuse a method that is given known spots.

    Raises
    ------
    UsageError
    """
    if bench.predictor(predictor).needs_known:
        raise UsageError(
            f"Method {predictor!r} {KNOWN_ONLY}: it is given known spots and predicts all"
            " sections of a sample at once, and here the images of one tested section change at a"
            " time. Leave it out; methods of images alone can be studied."
        )


def predict_shifted(
    bench: Bench, result: TrialResult, shift: Callable[[str], Change | None]
) -> np.ndarray:
    """Predict the tested spots from changed images; nothing is trained.

    Parameters
    ----------
    bench : Bench
        Of the trial's protocol.
    result : TrialResult
    shift : callable
        Slide id to the change of its windows; ``None``: as they are.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        In the order of the prepared dataset's tested spots; on the scale of its target.

    Raises
    ------
    MissingFileError
        If the trial left no model.
    UsageError
        If the method needs known spots.
    """
    refuse_known(bench, result.predictor)
    trained = trained_of(bench, result)
    split = bench.dataset(result.dataset).evaluation_split
    tested = prepare(bench, result.dataset).slides(split)
    method = trained.load(bench.registry)
    found = np.empty((tested.n_spots, tested.n_genes))
    offset = np.asarray(trained.application["offset"])
    for slide_id in dict.fromkeys(tested.slide_ids):
        here = np.flatnonzero(tested.slide_ids == slide_id)
        with scratch_folder() as folder:
            slides = _seen(bench, trained, tested.subset(here), str(slide_id), shift, folder)
            seed = bench.trial_seed(result.dataset, result.predictor, result.seed)
            output = predicted(method, slides, result.predictor, seed)
            found[here] = output.mean + offset
    return found


def _seen(
    bench: Bench,
    trained: Trained,
    tested: Slides,
    slide_id: str,
    shift: Callable[[str], Change | None],
    folder: Path,
) -> Slides:
    dataset = trained.result.dataset
    raw = _without_counts(read_raw_slides(bench, dataset, [slide_id])[slide_id])
    prefix = f"{slide_id}_"
    names = [str(name).removeprefix(prefix) for name in tested.adata.obs_names]
    slide = raw[names].copy()
    slide.obs["slide_id"] = slide_id
    facts = slide.uns["slide"]
    if has_given(facts):
        rows = np.asarray(facts[GIVEN_ROWS])[raw.obs_names.get_indexer(names)]
        slide.uns["slide"] = {**facts, GIVEN_ROWS: rows}
    bare = tested.without_expression().adata
    assert np.allclose(bare.obsm[SPATIAL], slide.obsm[SPATIAL])
    method, change = trained.result.predictor, shift(slide_id)
    return seen(slide, bare, trained.application, method, folder, change, whole=raw)


def _without_counts(slide: AnnData) -> AnnData:
    """Return what of a raw slide its images are cut by: the method that is asked is beside it."""
    from anndata import AnnData

    places = {SPATIAL: np.array(slide.obsm[SPATIAL])}
    return AnnData(obs=slide.obs[[]].copy(), obsm=places, uns={"slide": slide.uns["slide"]})
