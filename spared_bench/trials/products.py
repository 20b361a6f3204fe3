"""Products that trials share: prepared datasets, patches, completed layers, features.

Each is made once, by whoever needs it first, and kept in the store under the hash of its inputs.
"""

from __future__ import annotations

import inspect
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.contracts import checked_completion
from spared_bench.data import (
    DEPTH,
    LABEL,
    MASK,
    TARGET,
    DeferredPatches,
    Encoder,
    Patches,
    Slides,
    open_patches,
    validate_raw_slide,
)
from spared_bench.errors import ImageError, PluginError
from spared_bench.interfaces import Budget, Completer, Context
from spared_bench.keys.hashing import digest
from spared_bench.store.entries import Entry
from spared_bench.trials.saving import save_apart
from spared_bench.trials.seeding import seed_everything

if TYPE_CHECKING:
    from anndata import AnnData

_DATASET = "dataset.h5ad"
_SPOTS = "spots.json"
_COMPLETED = "completed.npy"
_FEATURES = "features.npy"
_MODEL = "model"
_FIT = "fit.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset with its patches, which are cut when they are looked at."""

    bench: Bench
    name: str
    adata: AnnData
    patches: Patches
    missing_fraction: float

    def slides(self, split: str) -> Slides:
        """Return the slides of a split."""
        everything = Slides(self.adata, self.patches, _features_of(self.bench, self.name))
        return everything.subset(self.adata.obs["split"].to_numpy() == split)

    def completed(self, completer: str, split: str) -> Slides:
        """Return the slides of a split with their completed target."""
        slides = self.slides(split)
        entry = make_completed(self.bench, self.name, completer, self)
        layer = np.load(entry.folder / _COMPLETED, mmap_mode="r")
        return slides.with_target(layer[self.adata.obs["split"].to_numpy() == split])


def _features_of(bench: Bench, name: str) -> Callable[[Encoder, Slides], np.ndarray]:
    """Return what makes or loads the features of a dataset's patches.

    It is handed to methods with their slides, and so holds nothing from which the dataset's
    expression could be reached.
    """
    store, guests = bench.workspace.store, bench.guests

    def features(encoder: Encoder, slides: Slides) -> np.ndarray:
        inputs = bench.features_inputs(name, encoder)
        if guests and not store.has("features", digest(inputs)):
            inputs |= {"made_by": list(guests)}  # what a stranger makes is for nobody else

        def make(folder: Path) -> None:
            np.save(folder / _FEATURES, encoder.encode(slides.patches.whole))

        entry = store.obtain("features", inputs, make, once=True)
        found: np.ndarray = np.load(entry.folder / _FEATURES, mmap_mode="r")
        return np.array(found[slides.patches.rows])

    return features


def read_raw_slides(bench: Bench, name: str, only: Sequence[str] = ()) -> dict[str, AnnData]:
    """Read and check the raw slides of a dataset, in the order of its spec; all by default."""
    read = bench.registry.get("dataset", name).load()
    folder, spec = bench.folder(name), bench.dataset(name)
    folder.mkdir(parents=True, exist_ok=True)  # where slides are generated, they are kept there
    slides = {}
    for info in spec.slides:
        if only and info.slide_id not in only:
            continue
        slide = read(folder, info.slide_id)
        validate_raw_slide(slide, info.slide_id, spec.raw_counts, spec.classes)
        slide.uns["slide"]["modality"] = spec.image
        slides[info.slide_id] = slide
    return slides


def prepare(bench: Bench, name: str) -> Prepared:
    """Return a prepared dataset, making what the store does not have.

    Patches are cut when the first is looked at; ``cut_all_patches`` does it before. A dataset
    without images is prepared and completed as any other.
    """
    raw: dict[str, AnnData] = {}

    def slides() -> dict[str, AnnData]:
        if not raw:
            raw.update(read_raw_slides(bench, name))
        return raw

    prepared = _make_prepared(bench, name, slides)
    known = prepared.folder, digest(bench.patches_inputs(name)), bench.guests
    if known not in _last_read:
        adata = _read_table(prepared.folder / _DATASET)
        missing = 1 - float(np.asarray(adata.layers[MASK]).mean())
        if bench.guests:
            adata = _without_test_expression(adata)
            _read_table.cache_clear()
        names = adata.obs_names

        @cache
        def found() -> Patches:
            return _patches_of(names, _make_patches(bench, name, slides))

        _last_read.clear()
        _last_read[known] = adata, DeferredPatches(found, np.arange(adata.n_obs)), missing
    return Prepared(bench, name, *_last_read[known])


#: The dataset that this process read last. Methods get views of it, which copy when written to.
_last_read: dict[tuple[Path, str, tuple[str, ...]], tuple[AnnData, Patches, float]] = {}


def cut_all_patches(bench: Bench, name: str) -> list[str]:
    """Cut the patches of a dataset; return its slides without an image, for which none is cut."""
    if bench.workspace.store.has("patches", digest(bench.patches_inputs(name))):
        return []
    slides = read_raw_slides(bench, name)
    without = without_image(slides)
    if not without:
        _make_patches(bench, name, lambda: slides)
    return without


def without_image(slides: Mapping[str, AnnData]) -> list[str]:
    """Return the ids of slides that have no image."""
    return [slide_id for slide_id, slide in slides.items() if not slide.uns["slide"]["image_path"]]


@lru_cache(maxsize=1)
def _read_table(path: Path) -> AnnData:
    """Read a prepared dataset, of which this process keeps the last; nobody writes to it."""
    from anndata import read_h5ad

    adata = read_h5ad(path)
    for values in (adata.X, *adata.layers.values(), *adata.obsm.values()):
        for array in _arrays_of(values):
            array.flags.writeable = False
    return adata


def _arrays_of(values: Any) -> list[np.ndarray]:
    """Return the arrays that hold a matrix, dense or sparse."""
    if values is None:
        return []
    if hasattr(values, "tocsr"):
        return [values.data, values.indices, values.indptr]
    return [values]


def _without_test_expression(adata: AnnData) -> AnnData:
    """Return a copy in which nothing of a test slide is measured: all is 0, no spot labelled."""
    from scipy import sparse

    hidden = ~adata.obs["split"].isin(["train", "val"]).to_numpy()
    seen = adata.copy()

    def hide(values: Any) -> Any:
        if values is None:
            return None
        if not hasattr(values, "tocsr"):
            values[hidden] = 0
            return values
        kept = sparse.diags(1 - hidden.astype(values.dtype)) @ values
        kept = kept.asformat(values.format).astype(values.dtype)
        kept.eliminate_zeros()
        return kept

    if LABEL in seen.obs:
        seen.obs[LABEL] = seen.obs[LABEL].astype(object).where(~hidden, "")
    if DEPTH in seen.obsm:
        seen.obsm[DEPTH] = np.where(hidden[:, None], 0.0, seen.obsm[DEPTH])
    seen.X = hide(seen.X)
    for name in list(seen.layers):
        seen.layers[name] = hide(seen.layers[name])
    return seen


def prepared_table(bench: Bench, name: str) -> AnnData:
    """Return a prepared dataset without its patches: no image is opened.

    What is scored against needs no more.
    """
    entry = _make_prepared(bench, name, lambda: read_raw_slides(bench, name))
    return _read_table(entry.folder / _DATASET)


def _make_prepared(bench: Bench, name: str, slides: Callable[[], dict[str, AnnData]]) -> Entry:
    def make(folder: Path) -> None:
        from spared_bench.processing.pipeline import prepare as process

        adata = process(slides(), bench.dataset(name), bench.protocol)
        adata.write_h5ad(folder / _DATASET, compression="lzf")

    return bench.workspace.store.obtain("prepared", bench.prepared_inputs(name), make, once=True)


def _make_patches(bench: Bench, name: str, slides: Callable[[], dict[str, AnnData]]) -> Entry:
    def make(folder: Path) -> None:
        from spared_bench.processing.patches import cut_patches

        if without := without_image(slides()):
            raise ImageError(
                f"Slides {', '.join(without[:5])} of dataset {name!r} have no image"
                f" ({len(without)} of {len(slides())}), so no patches can be cut, which predictors"
                " look at. Add the images to their folder; without them the dataset can be prepared"
                " and completed (`spared-bench complete`)."
            )
        spots = {}
        for slide_id, slide in slides().items():
            cut_patches(slide, bench.protocol.patches, folder / f"{slide_id}.npy")
            spots[slide_id] = list(map(str, slide.obs_names))
        (folder / _SPOTS).write_text(json.dumps(spots), encoding="utf-8")

    return bench.workspace.store.obtain("patches", bench.patches_inputs(name), make, once=True)


def _patches_of(spot_names: Iterable[str], cut: Entry) -> Patches:
    """Find the patch of every prepared spot among those cut, by slide and spot name."""
    spots: dict[str, list[str]] = cut.read_json(_SPOTS)
    names = [f"{slide_id}_{spot}" for slide_id, each in spots.items() for spot in each]
    position = {name: row for row, name in enumerate(names)}
    rows = np.array([position[name] for name in spot_names], dtype=np.int64)
    return open_patches(cut.folder, list(spots)).subset(rows)


def make_completed(
    bench: Bench, dataset: str, completer: str, prepared: Prepared | None = None
) -> Entry:
    """Return the entry of a completed layer, making it if the store does not have it.

    The completer is fitted on the training slides. It completes training and validation slides,
    each split on its own; test slides are never shown to it, and their rows hold nan.
    """
    inputs = bench.completed_inputs(dataset, completer)
    scratch = bench.workspace.training / digest(inputs)

    def make(folder: Path) -> None:
        source = prepared or prepare(bench, dataset)
        method, told = _fit_completer(bench, dataset, completer, source, scratch)
        layer = np.full(source.adata.shape, np.nan, dtype=np.float32)
        for split in ("train", "val"):
            slides, rows = source.slides(split), source.adata.obs["split"].to_numpy() == split
            layer[rows] = checked_completion(method.complete(slides), slides, completer)
        np.save(folder / _COMPLETED, layer)
        (folder / _FIT).write_text(json.dumps(told), encoding="utf-8")
        if hasattr(method, "save") and hasattr(method, "load"):
            save_apart(method, folder / _MODEL)

    entry = bench.workspace.store.obtain("completed", inputs, make, once=True)
    shutil.rmtree(scratch, ignore_errors=True)
    return entry


def fitted_completer(
    bench: Bench, dataset: str, completer: str, prepared: Prepared
) -> tuple[Completer, dict[str, Any]]:
    """Return a fitted completer, from the store where it is kept there, and how its fit went.

    Returns
    -------
    Completer
    dict
        ``seconds``, and the ``curves``: name to list of (step, value).
    """
    entry = make_completed(bench, dataset, completer, prepared)
    if not (entry.folder / _MODEL).is_dir():
        return _fit_completer(bench, dataset, completer, prepared)
    parameters = bench.completed_inputs(dataset, completer)["completer"]["parameters"]
    method = build(bench, "completer", completer, parameters)
    place = {"device": bench.settings.device}
    takes_place = "device" in inspect.signature(method.load).parameters
    method.load(entry.folder / _MODEL, **(place if takes_place else {}))
    return method, entry.read_json(_FIT)


def _fit_completer(
    bench: Bench, dataset: str, completer: str, prepared: Prepared, scratch: Path | None = None
) -> tuple[Completer, dict[str, Any]]:
    curves: dict[str, list[tuple[int, float | None]]] = {}

    def record(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            known = float(value) if math.isfinite(value) else None
            curves.setdefault(name, []).append((int(step), known))

    inputs, completion = bench.completed_inputs(dataset, completer), bench.protocol.completion
    method = build(bench, "completer", completer, inputs["completer"]["parameters"])
    budget = Budget(completion.iterations, completion.batch_size, completion.validate_every, False)
    context = Context(inputs["seed"], budget, bench.settings.device, record, scratch)
    seed_everything(context.seed)
    started = time.perf_counter()
    method.fit(prepared.slides("train"), prepared.slides("val"), context)
    return method, {"seconds": round(time.perf_counter() - started, 3), "curves": curves}


def build(bench: Bench, kind: str, name: str, parameters: dict[str, Any]) -> Any:
    """Construct a completer or predictor.

    A predictor that leaves its precision open gets that of the protocol.

    Raises
    ------
    PluginError
        If it does not take these parameters, or lacks a method of its interface.
    """
    from spared_bench.interfaces import Completer, Predictor

    factory = bench.registry.get(kind, name).load()
    try:
        method = factory(**parameters)
    except TypeError as error:
        known = ", ".join(getattr(factory, "__dataclass_fields__", {})) or "those of its __init__"
        raise PluginError(
            f"{kind} {name!r} cannot be made with parameters {parameters}: {error}."
            f" Its parameters are: {known}."
        ) from error
    wanted = {"completer": Completer, "predictor": Predictor}[kind]
    if not isinstance(method, wanted):
        needed = {"completer": "fit and complete", "predictor": "fit and predict"}[kind]
        raise PluginError(f"{kind} {name!r} lacks a method; it needs {needed}.")
    precision = bench.protocol.training.precision
    if kind == "predictor" and precision != "auto" and getattr(method, "precision", "") == "auto":
        setattr(method, "precision", precision)  # noqa: B010  # a field that not every method has
    return method


def prepared_target(prepared: Prepared, split: str) -> np.ndarray:
    """Return the uncompleted target of a split, the truth of every score."""
    rows = prepared.adata.obs["split"].to_numpy() == split
    return np.asarray(prepared.adata.layers[TARGET], dtype=np.float64)[rows]
