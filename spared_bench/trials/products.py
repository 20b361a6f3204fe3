"""Prepared datasets with their patches and views, which trials share.

Each is made once, by whoever needs it first, and kept in the store under the hash of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import DEPTH, LABEL, MASK, TARGET, Patches, Slides
from spared_bench.data.transform import TargetTransform
from spared_bench.data.views import TARGET as TARGET_VIEW
from spared_bench.data.views import View
from spared_bench.errors import UnknownNameError, ViewError
from spared_bench.keys.hashing import digest
from spared_bench.pretty import facts_html
from spared_bench.specs import SPLITS
from spared_bench.store.entries import Entry
from spared_bench.store.reading import read_product
from spared_bench.trials.features import features_of
from spared_bench.trials.raw_slides import read_raw_slides, without_image
from spared_bench.trials.views import (
    RawSlides,
    cut_together,
    make_view,
    note_facts,
    spot_view,
)
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

_DATASET = "dataset.h5ad"


@dataclass
class Kept:
    """What is made of a prepared dataset for what only reads or copies it."""

    rows: dict[tuple[str, ...], AnnData] = field(default_factory=dict)
    completed: dict[tuple[str, tuple[str, ...]], np.ndarray] = field(default_factory=dict)
    transform: TargetTransform | None = None


@dataclass(frozen=True, repr=False)
class Prepared:
    """A prepared dataset with its patches and views, which are cut when they are looked at."""

    bench: Bench
    name: str
    adata: AnnData
    patches: Patches
    missing_fraction: float
    views: Mapping[str, View] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept, repr=False, compare=False)

    def __repr__(self) -> str:
        size = f"{counted(self.adata.n_obs, 'spot')} x {counted(self.adata.n_vars, 'gene')}"
        return f"Prepared({self.name} as {self.bench.protocol.id}: {size})"

    def _repr_html_(self) -> str:
        obs = self.adata.obs
        slides = obs.drop_duplicates("slide_id").set_index("slide_id")["split"].astype(str)
        facts = {split: list(slides.index[slides == split]) for split in dict.fromkeys(slides)} | {
            "missing entries": f"{self.missing_fraction:.0%}",
            "genes": list(map(str, self.adata.var["gene_name"])),
        }
        return facts_html(repr(self), facts.items())

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
        """Return the slides of a split, or of several together, which nobody else holds.

        Raises
        ------
        UnknownNameError
            If a split is called otherwise than train, val and test.
        """
        for split in splits:
            if split not in SPLITS:
                raise UnknownNameError("split", str(split), SPLITS)
        return replace(self.shared(*splits), adata=self._table(splits))

    def shared(self, *splits: str) -> Slides:
        """Return the slides of splits for what only reads or copies them: no method gets them."""
        if splits not in self.kept.rows:
            self.kept.rows[splits] = self._table(splits)
        return self._seen(np.flatnonzero(self.rows(*splits)), self.kept.rows[splits])

    def spots(self, rows: np.ndarray) -> Slides:
        """Return the spots at these positions, of whatever split; nobody else holds them."""
        return self._seen(rows, self.adata[rows])

    def _seen(self, rows: np.ndarray, table: AnnData) -> Slides:
        bench, names = self.bench, self.adata.obs_names
        seen = {at: spot_view(bench, self.name, names, each) for at, each in self.views.items()}
        patches = seen[TARGET_VIEW].patches if TARGET_VIEW in seen else self.patches
        patch_view = self.views.get(TARGET_VIEW, bench.patch_view)
        features = features_of(bench, self.name, patch_view)
        return Slides(
            table,
            patches.subset(rows),
            features,
            {at: each.subset(rows) for at, each in seen.items()},
        )

    def rows(self, *splits: str) -> np.ndarray:
        """Return where a spot is of one of these splits: (n_spots,), bool."""
        return np.isin(self.adata.obs["split"].to_numpy(dtype=str), splits)

    def _table(self, splits: tuple[str, ...]) -> AnnData:
        return self.adata[self.rows(*splits)]

    def transform(self, offset: np.ndarray) -> TargetTransform:
        """Return the way between counts and a target less an offset, the caller's own."""
        if self.kept.transform is None:
            self.kept.transform = TargetTransform.fitted(self.shared("train"))
        own = deepcopy(self.kept.transform)  # a method may write into its arrays
        return replace(own, offset=np.asarray(offset, np.float64))


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
        return _last_read[_known(bench, name)].of(bench, name)
    known = _known(bench, name)
    if known in _last_read:
        _make_prepared(bench, name, slides)
    else:
        adata = _read_prepared(bench, name, slides)
        missing = 1 - float(np.asarray(adata.layers[MASK]).mean())
        if bench.guests:
            adata = _without_test_expression(adata)
            read_table.cache_clear()
        keep(bench, name, adata, missing, slides)
    return _last_read[known].of(bench, name)


def keep(bench: Bench, name: str, adata: AnnData, missing: float, slides: RawSlides) -> None:
    """Keep what is read of a prepared dataset, as the one that this process read last.

    Parameters
    ----------
    bench : Bench
    name : str
    adata : AnnData
    missing : float
        Share of entries without a measurement, of all slides.
    slides : callable
        Returns the raw slides, of which patches are cut where the store has none.
    """
    seen = spot_view(bench, name, adata.obs_names, bench.patch_view, slides)
    _last_read.clear()
    _last_read[_known(bench, name)] = _Read(adata, seen.patches, missing)


def _known(bench: Bench, name: str) -> tuple[Path, str, tuple[str, ...]]:
    prepared = bench.workspace.store.folder("prepared", digest(bench.prepared_inputs(name)))
    return prepared, digest(bench.patches_inputs(name)), bench.guests


@dataclass(frozen=True)
class _Read:
    """A prepared dataset in memory, and what was made of it so far."""

    adata: AnnData
    patches: Patches
    missing_fraction: float
    kept: Kept = field(default_factory=Kept)

    def of(self, bench: Bench, name: str) -> Prepared:
        return Prepared(
            bench, name, self.adata, self.patches, self.missing_fraction, kept=self.kept
        )


#: The dataset that this process read last. Methods get views of it, which copy when written to.
_last_read: dict[tuple[Path, str, tuple[str, ...]], _Read] = {}


def make_dataset(
    bench: Bench, name: str, views: Iterable[View] = (), slides: RawSlides | None = None
) -> list[str]:
    """Make what the store lacks of a prepared dataset, its patches and these views.

    The raw slides are read once for all of it, and not at all where nothing is lacking.

    Returns
    -------
    list of str
        As of ``cut_all_patches``.
    """
    read = slides or cache(partial(read_raw_slides, bench, name))
    _make_prepared(bench, name, read)
    return cut_all_patches(bench, name, views, read)


def cut_all_patches(
    bench: Bench, name: str, views: Iterable[View] = (), slides: RawSlides | None = None
) -> list[str]:
    """Cut the patches of a dataset, and these views with them, in one pass over each image.

    ``slides`` are the raw ones where they are at hand.

    Returns
    -------
    list of str
        Slides without an image; where there is one, nothing is cut.
    """
    wanted = [bench.patch_view, *views]
    if all(bench.has_view(name, view) for view in wanted):
        return []
    raw = read_raw_slides(bench, name) if slides is None else slides()
    without = without_image(raw)
    if without:
        note_facts(bench, name, raw)
    else:
        cut_together(bench, name, wanted, raw)
        for view in wanted:
            if bench.protocol.patches.stain != "none" and bench.has_cut(name, view):
                make_view(bench, name, view, lambda: raw)
    return without


@lru_cache(maxsize=1)
def read_table(path: Path) -> AnnData:
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
    return _read_prepared(bench, name, lambda: read_raw_slides(bench, name))


def _read_prepared(bench: Bench, name: str, slides: RawSlides) -> AnnData:
    return read_product(
        bench.workspace.store,
        lambda: _make_prepared(bench, name, slides),
        lambda entry: read_table(entry.folder / _DATASET),
        again=bench.makes_shared,
    )


def _make_prepared(bench: Bench, name: str, slides: RawSlides) -> Entry:
    def make(folder: Path) -> None:
        from spared_bench.processing.pipeline import prepare as process

        spec, known = bench.dataset(name), bench.protocol.known
        if known is None:
            adata = process(slides(), spec, bench.protocol)
        else:
            from spared_bench.trials.placing import place, registrations_of, without_doubt

            found = registrations_of(bench, name, slides)
            spec, left_out = without_doubt(spec, known, found)
            # The known sections by name: the middle one is another once sections are left out.
            settled = bench.protocol.model_copy(
                update={"known": known.settled(bench.dataset(name))}
            )
            adata = process(slides(), spec, settled)
            place(adata, spec, found, slides(), left_out)
        adata.write_h5ad(folder / _DATASET, compression="lzf")

    return bench.workspace.store.obtain("prepared", bench.prepared_inputs(name), make, once=True)


def prepared_target(prepared: Prepared, split: str) -> np.ndarray:
    """Return the uncompleted target of a split, the truth of every score."""
    rows = prepared.adata.obs["split"].to_numpy() == split
    return np.asarray(prepared.adata.layers[TARGET], dtype=np.float64)[rows]
