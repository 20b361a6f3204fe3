"""Products that trials share: prepared datasets, patches, completed layers, features.

Each is made once, by whoever needs it first, and kept in the store under the hash of its inputs.
"""

from __future__ import annotations

import inspect
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.apart import do_apart
from spared_bench.bench import Bench
from spared_bench.contracts import checked_completion
from spared_bench.data import DEPTH, LABEL, MASK, TARGET, Patches, Slides
from spared_bench.data.views import TARGET as TARGET_VIEW
from spared_bench.data.views import View, checked_views, declared_by
from spared_bench.errors import PluginError, ViewError
from spared_bench.interfaces import Budget, Completer, Context
from spared_bench.keys.hashing import digest
from spared_bench.store.entries import Entry
from spared_bench.trials.guests import confined, import_reader, is_strict
from spared_bench.trials.raw_slides import no_images, read_raw_slides, without_image
from spared_bench.trials.saving import save_apart
from spared_bench.trials.seeding import seed_everything
from spared_bench.trials.views import cut_together, features_of, make_view, places_of, spot_view

if TYPE_CHECKING:
    from anndata import AnnData

_DATASET = "dataset.h5ad"
_COMPLETED = "completed.npy"
_MODEL = "model"
_FIT = "fit.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset with its patches and views, which are cut when they are looked at."""

    bench: Bench
    name: str
    adata: AnnData
    patches: Patches
    missing_fraction: float
    views: Mapping[str, View] = field(default_factory=dict)

    def seen_by(self, kind: str, name: str, parameters: Mapping[str, Any]) -> Prepared:
        """Return the same dataset with the views that a completer or predictor declares.

        They are cut now, where the store does not have them.

        Raises
        ------
        ViewError
            If one cannot be cut, naming the method, the view and the slide.
        """
        views = self.bench.views_of(kind, name, parameters)
        slides = cache(partial(read_raw_slides, self.bench, self.name))
        for at, view in views.items():
            try:
                make_view(self.bench, self.name, view, slides)
            except ViewError as error:
                told = f"{kind.capitalize()} {name!r}, view {at!r}, dataset {self.name!r}"
                raise ViewError(f"{told}, {error}.") from error
        return replace(self, views=views)

    def slides(self, *splits: str) -> Slides:
        """Return the slides of a split, or of several together."""
        bench, names = self.bench, self.adata.obs_names
        seen = {at: spot_view(bench, self.name, names, each) for at, each in self.views.items()}
        patches = seen[TARGET_VIEW].patches if TARGET_VIEW in seen else self.patches
        patch_view = self.views.get(TARGET_VIEW, bench.patch_view)
        features = features_of(bench, self.name, patch_view)
        everything = Slides(self.adata, patches, features, seen)
        return everything.subset(self.adata.obs["split"].isin(splits).to_numpy())

    def completed(self, completer: str, *splits: str) -> Slides:
        """Return the slides of a split, or of several together, with their completed target."""
        slides = self.slides(*splits)
        entry = make_completed(self.bench, self.name, completer, replace(self, views={}))
        layer = np.load(entry.folder / _COMPLETED, mmap_mode="r")
        return slides.with_target(layer[self.adata.obs["split"].isin(splits).to_numpy()])


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

    if bench.confined:
        return Prepared(bench, name, *_last_read[_known(bench, name)])
    prepared = _make_prepared(bench, name, slides)
    known = _known(bench, name)
    if known not in _last_read:
        adata = _read_table(prepared.folder / _DATASET)
        missing = 1 - float(np.asarray(adata.layers[MASK]).mean())
        if bench.guests:
            adata = _without_test_expression(adata)
            _read_table.cache_clear()
        seen = spot_view(bench, name, adata.obs_names, bench.patch_view, slides)
        _last_read.clear()
        _last_read[known] = adata, seen.patches, missing
    return Prepared(bench, name, *_last_read[known])


def _known(bench: Bench, name: str) -> tuple[Path, str, tuple[str, ...]]:
    prepared = bench.workspace.store.folder("prepared", digest(bench.prepared_inputs(name)))
    return prepared, digest(bench.patches_inputs(name)), bench.guests


#: The dataset that this process read last. Methods get views of it, which copy when written to.
_last_read: dict[tuple[Path, str, tuple[str, ...]], tuple[AnnData, Patches, float]] = {}


def write_blind(bench: Bench, name: str, path: Path, views: Iterable[View]) -> dict[str, Any]:
    """Write a prepared dataset without the expression of test slides, for a process shut in.

    Returns
    -------
    dict
        ``missing``, the share of entries without a measurement, of all slides; ``needed``, the
        folders of patches and views, and the images that these are windows of; ``without``, the
        slides that have no image, for which there are none.
    """
    prepared = prepare(bench, name)
    prepared.adata.write_h5ad(path)
    without = cut_all_patches(bench, name, views)
    places = [] if without else places_of(bench, name, [bench.patch_view, *views])
    return {"missing": prepared.missing_fraction, "needed": places, "without": without}


def adopt_blind(bench: Bench, name: str, path: Path, told: Mapping[str, Any]) -> None:
    """Take what ``write_blind`` has written for the prepared dataset of this process."""
    adata = _read_table(path)

    def slides() -> dict[str, AnnData]:
        raise no_images(name, told["without"], len(bench.dataset(name).slides))

    seen = spot_view(bench, name, adata.obs_names, bench.patch_view, slides)
    _last_read.clear()
    _last_read[_known(bench, name)] = adata, seen.patches, float(told["missing"])


def confine(
    bench: Bench,
    dataset: str,
    key: str,
    make: Callable[[Path], Any],
    shown: Iterable[Path] = (),
    views: Iterable[View] = (),
) -> Callable[[Path], Any]:
    """Return what makes an entry; in a strict run of a stranger's method, where it reads no truth.

    Parameters
    ----------
    bench : Bench
    dataset, key : str
        Of the entry.
    make : callable
        Writes into the folder that it is given; returns what JSON can hold.
    shown : iterable of Path
        Other entries that it reads.
    views : iterable of View
        That the method declares.
    """
    if not is_strict(bench):
        return make
    wanted = list(views)

    def take_truth_out(path: Path) -> dict[str, Any]:
        import_reader(bench, dataset)
        return write_blind(bench, dataset, path, wanted)

    def adopt(path: Path, told: Mapping[str, Any]) -> None:
        adopt_blind(bench, dataset, path, told)

    return lambda folder: confined(bench, key, folder, make, take_truth_out, adopt, shown)


def prepared_here(bench: Bench, dataset: str) -> None:
    """Let a child prepare a dataset that is gone, if the reader's code is not imported here."""

    def work() -> None:
        import_reader(bench, dataset)
        prepare(bench, dataset)

    made = bench.workspace.store.has("prepared", digest(bench.prepared_inputs(dataset)))
    if not made and bench.registry.get("dataset", dataset).told is not None:
        do_apart(work)


def cut_all_patches(bench: Bench, name: str, views: Iterable[View] = ()) -> list[str]:
    """Cut the patches of a dataset, and these views with them, in one pass over each image.

    Returns
    -------
    list of str
        Slides without an image; where there is one, nothing is cut.
    """
    wanted = [bench.patch_view, *views]
    if all(bench.has_view(name, view) for view in wanted):
        return []
    slides = read_raw_slides(bench, name)
    without = without_image(slides)
    if not without:
        cut_together(bench, name, wanted, slides)
    return without


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
        source = seen_by_completer(prepared or prepare(bench, dataset), completer)
        method, told = _fit_completer(bench, dataset, completer, source, scratch)
        layer = np.full(source.adata.shape, np.nan, dtype=np.float32)
        for split in ("train", "val"):
            slides, rows = source.slides(split), source.adata.obs["split"].to_numpy() == split
            layer[rows] = checked_completion(method.complete(slides), slides, completer)
        np.save(folder / _COMPLETED, layer)
        (folder / _FIT).write_text(json.dumps(told), encoding="utf-8")
        if hasattr(method, "save") and hasattr(method, "load"):
            save_apart(method, folder / _MODEL)

    parameters = bench.chosen("completer", completer).values
    views = bench.views_of("completer", completer, parameters).values()
    making = confine(bench, dataset, digest(inputs), make, views=views)
    entry = bench.workspace.store.obtain("completed", inputs, making, once=True)
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


def seen_by_completer(prepared: Prepared, completer: str) -> Prepared:
    """Return a dataset with the views that a completer declares."""
    parameters = prepared.bench.chosen("completer", completer).values
    return prepared.seen_by("completer", completer, parameters)


def _fit_completer(
    bench: Bench, dataset: str, completer: str, prepared: Prepared, scratch: Path | None = None
) -> tuple[Completer, dict[str, Any]]:
    curves: dict[str, list[tuple[int, float | None]]] = {}

    def record(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            known = float(value) if math.isfinite(value) else None
            curves.setdefault(name, []).append((int(step), known))

    inputs, completion = bench.completed_inputs(dataset, completer), bench.protocol.completion
    prepared = seen_by_completer(prepared, completer)
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


def check_declared_views(
    bench: Bench, name: str, predictor: Any, parameters: Mapping[str, Any]
) -> None:
    """Refuse a predictor that asks for other views than were known when it was planned.

    Raises
    ------
    PluginError
    """
    label, cutting = f"Predictor {name!r}", bench.protocol.patches
    declared = checked_views(declared_by(predictor, label), label)
    settled = {at: view.settled(**cutting.open_values) for at, view in declared.items()}
    if settled != bench.views_of("predictor", name, parameters):
        raise PluginError(
            f"{label} declares views only once it is made ({', '.join(settled) or 'none'}), so they"
            " were not planned. Declare `views` as an attribute of the class, or as a property that"
            " follows from its fields."
        )


def prepared_target(prepared: Prepared, split: str) -> np.ndarray:
    """Return the uncompleted target of a split, the truth of every score."""
    rows = prepared.adata.obs["split"].to_numpy() == split
    return np.asarray(prepared.adata.layers[TARGET], dtype=np.float64)[rows]
