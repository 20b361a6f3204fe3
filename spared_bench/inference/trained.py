"""A trained predictor on a new slide: an image and positions in, predicted expression out.

The model comes from a finished trial of the store, with what it needs besides its weights: how
patches are cut, how wide a spot was, the genes, and what is to be added to its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import CLASSES, SPATIAL
from spared_bench.errors import (
    CorruptEntryError,
    MissingFileError,
    UnknownNameError,
    UsageError,
)
from spared_bench.files import replacing
from spared_bench.inference.seen import seen
from spared_bench.keys.seeds import seed_of
from spared_bench.ordinary import read_json
from spared_bench.processing.kept_code import room_for_others
from spared_bench.readers.few_bits import refuse_few_bits
from spared_bench.results import IMPORTED, TrialResult
from spared_bench.sources.pictures import check_picture
from spared_bench.store.processes import scratch_folder, sweep_beside
from spared_bench.store.trials import trials_beginning
from spared_bench.trials.environment import code_of
from spared_bench.trials.predicted import predicted

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.registry import Registry
    from spared_bench.store.entries import Store
    from spared_bench.trials.outdated import Other

#: Of an entry of a trial: what a model needs to be applied.
APPLICATION = "application.json"
_MODEL = "model"
_ANEW = "The same run trains it anew."
_IMPORTED = (
    "It came with `store import`, or was made of what did: nothing here shows how it was trained."
)
_NEEDED = {"patches", "spot_um", "offset"}


@dataclass(frozen=True)
class Trained:
    """A finished trial that left a model.

    Parameters
    ----------
    result : TrialResult
    folder : Path
        Of its entry in the store.
    application : dict
        ``patches`` (the protocol's cutting), ``views`` (the method's), ``spot_um`` (width of a
        training spot, 0 where unknown), ``offset`` (added to each gene's output).
    remarks : tuple of str
        Sentences on what it is not, though its name may say so: of the data that its dataset has
        now, under the settings that its protocol has now, or with the parameters of these; nor
        trained here.
    """

    result: TrialResult
    folder: Path
    application: dict[str, Any]
    remarks: tuple[str, ...] = ()

    def remarks_with(self, registry: Registry) -> list[str]:
        """Return the remarks, and one if the code that is to apply it is not that of its training.

        Parameters
        ----------
        registry : Registry
        """
        name = self.result.predictor
        code = str(self.result.environment.get("plugins", {}).get("predictor", ""))
        if not code or code.endswith(code_of(registry.get("predictor", name))):
            return list(self.remarks)
        return [
            *self.remarks,
            f"The code of {name!r} is not what it was when this was trained, so what it predicts"
            f" may differ from the run. {_ANEW}",
        ]

    def load(self, registry: Registry) -> Any:
        """Return the predictor as it was after its training.

        Raises
        ------
        UsageError
            If the method cannot be loaded.
        """
        factory = registry.get("predictor", self.result.predictor).load()
        predictor = factory(**self.result.parameters)
        if not hasattr(predictor, "load"):
            raise UsageError(
                f"Predictor {self.result.predictor!r} has no `load`, so a trained one cannot be"
                " used again. Add `save(folder)` and `load(folder)` to it and run the trial again."
            )
        predictor.load(self.folder / _MODEL)
        return predictor


def find_trained(store: Store, run: str) -> Trained:
    """Return the trial that a user means.

    Parameters
    ----------
    store : Store
    run : str
        ``dataset/completer/predictor``, or the start of a trial's key, which may be one of a
        search, a study or earlier code.

    Raises
    ------
    UnknownNameError
        If there is none.
    UsageError
        If there are several, or the trial failed.
    MissingFileError
        If the trial left no model.
    """
    from spared_bench.store.records import Records
    from spared_bench.trials.cells import cells_in
    from spared_bench.trials.outdated import outdated_cells

    with Records(store) as records:
        cells = list(cells_in(records))
        outdated = outdated_cells(records, {})
    named = {_name(cell.final): cell.final for cell in cells}
    found = [(cell.final, cell.folder) for cell in cells if _name(cell.final) == run]
    scored = {cell.final.key: cell.final for cell in cells}
    found = found or [
        (scored.get(result.key, result), entry.folder)
        for result, entry in trials_beginning(store, run)
    ]
    if not found:
        hint = (
            f"They are looked for in {store.root.parent}; another workspace is named with `-w`."
            " `spared-bench status` shows the keys of what has been run."
        )
        raise UnknownNameError("finished trial", run, named, hint)
    if len(found) > 1:
        told = ", ".join(f"{r.key[:10]} ({r.protocol}, seed {r.seed})" for r, _ in found)
        raise UsageError(f"{run!r} means {len(found)} trials: {told}. Name one by its key.")
    result, folder = found[0]
    if not result.ok:
        raise UsageError(f"Trial {run!r} ended as {result.status!r} and has no model.")
    path = folder / APPLICATION
    if not (path.is_file() and (folder / _MODEL).is_dir()):
        raise MissingFileError(
            f"Trial {run!r} left no model in {folder}: its method does not save itself, or it was"
            " run by an earlier version. Remove that folder and run the trial again."
        )
    remarks = _remarks(result, outdated.get(result.cell)) if _name(result) == run else ()
    if IMPORTED in result.facts:
        remarks = (*remarks, _IMPORTED)
    return Trained(result, folder, read_application(folder), remarks)


def _remarks(result: TrialResult, other: Other | None) -> tuple[str, ...]:
    """Return what the name of a result does not say of it."""
    said = []
    if result.by_hand:
        said.append(f"It was trained with {' '.join(result.by_hand)}, set by hand.")
    if other == "data":
        said.append(f"It was trained on other data than {result.dataset} has now. {_ANEW}")
    elif other == "settings":
        said.append(f"It was trained under other settings than {result.protocol} has now. {_ANEW}")
    return tuple(said)


def read_application(folder: Path) -> dict[str, Any]:
    """Return what an entry of a trial says of how its model is applied.

    Raises
    ------
    CorruptEntryError
    """
    try:
        found = read_json(folder / APPLICATION)
        if not isinstance(found, dict) or not set(found) >= _NEEDED:
            raise ValueError(f"it lacks one of {', '.join(sorted(_NEEDED))}")
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptEntryError(
            f"{folder} is damaged ({APPLICATION}: {error}). Remove that folder and run the trial"
            " again."
        ) from error
    return found


def _name(result: TrialResult) -> str:
    return f"{result.dataset}/{result.completer}/{result.predictor}"


def spot_diameter_px(trained: Trained, um_per_px: float) -> float:
    """Return how wide a spot of the training data is on the new image, in pixels.

    Raises
    ------
    UsageError
        If the scale of either is unknown.
    """
    spot_um = float(trained.application["spot_um"])
    if um_per_px > 0 and spot_um > 0:
        return spot_um / um_per_px
    missing = "the image's scale" if spot_um > 0 else "the width of a training spot in µm"
    remedy = "`--um-per-px`, or " if spot_um > 0 else ""
    raise UsageError(
        f"How wide a spot is on this image cannot be told: {missing} is unknown. Give {remedy}"
        "`--spot-diameter-px` with the width in pixels of what a training spot covers."
    )


def apply(trained: Trained, registry: Registry, slide: AnnData) -> AnnData:
    """Predict the expression of a slide that ``make_slide`` made.

    Parameters
    ----------
    trained : Trained
    registry : Registry
    slide : AnnData

    Returns
    -------
    AnnData
        ``X``: the prediction, (n_spots, n_genes), float32, on the scale of the training target;
        ``var["gene_name"]``; ``obsm["spatial"]``; ``uns["spared_bench"]``: which trial it is from.
        Where the method predicts them, ``layers["variance"]``, and ``obsm["classes"]``, a table of
        probabilities with a column for each class.

    Raises
    ------
    UsageError
        If the method needs known spots, which a new slide has none of.
    ImageError, CoordinateError
    ViewError
        If a window that the method looks at cannot be cut from this image.
    """
    import pandas as pd
    from anndata import AnnData

    result, facts = trained.result, slide.uns["slide"]
    if getattr(registry.get("predictor", result.predictor).spec, "needs_known", False):
        raise UsageError(
            f"Predictor {result.predictor!r} predicts from measured spots of the same sample,"
            " and a new slide has none: it cannot be applied. Take a method of images alone."
        )
    centres = np.asarray(slide.obsm[SPATIAL]) * float(facts["image_scale"])
    check_picture(Path(facts["image_path"]))
    refuse_few_bits(Path(facts["image_path"]), centres)
    bare = AnnData(
        obs=slide.obs,
        var=pd.DataFrame({"gene_name": result.gene_symbols}, index=pd.Index(result.genes)),
        obsm={SPATIAL: slide.obsm[SPATIAL]},
        uns={
            "spared_bench": {
                "dataset": result.dataset,
                "protocol": result.protocol,
                CLASSES: list(trained.application.get(CLASSES, ())),
            }
        },
    )
    room_for_others()
    with scratch_folder() as folder:
        slides = seen(slide, bare, trained.application, result.predictor, folder)
        method = trained.load(registry)
        seed = seed_of(result.protocol, result.dataset, result.predictor, result.seed)
        found = predicted(method, slides, result.predictor, seed)
    bare.X = (found.mean + np.asarray(trained.application["offset"])).astype(np.float32)
    if found.variance is not None:
        bare.layers["variance"] = found.variance
    if found.classes is not None:
        bare.obsm["classes"] = pd.DataFrame(
            found.classes, index=bare.obs_names, columns=list(slides.classes)
        )
    bare.uns["spared_bench"] |= {
        "trial": result.key,
        "completer": result.completer,
        "predictor": result.predictor,
        "target": str(result.facts.get("target", "")),
        "image": Path(facts["image_path"]).name,
        "spot_diameter_px": float(facts["spot_diameter_px"]),
    }
    return bare


def write_whole(predicted: AnnData, path: Path) -> None:
    """Write a prediction as ``.h5ad``; an earlier file stays until the new one is whole."""
    sweep_beside(path.parent)
    with replacing(path) as beside:
        predicted.write_h5ad(beside)


def choose_genes(result: TrialResult, wanted: Sequence[str], number: int = 4) -> list[int]:
    """Return the columns of these genes, by symbol or id; by default those predicted best.

    Raises
    ------
    UnknownNameError
        If the model does not predict one of them.
    """
    if wanted:
        column = {name: i for i, name in enumerate(result.gene_symbols)}
        column |= {name: i for i, name in enumerate(result.genes)}
        for name in wanted:
            if name not in column:
                raise UnknownNameError("predicted gene", name, result.gene_symbols)
        return [column[name] for name in wanted]
    # By the first metric of the protocol that has a value per gene.
    scores = np.asarray(next(iter(result.gene_scores.values()), np.zeros(len(result.genes))), float)
    return list(np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[:number])
