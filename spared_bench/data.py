"""The AnnData that readers and processing hand on, its checks, and the slides of a split.

Two contracts, both checked by a function whose errors say what is wrong:

*A raw slide* is what a dataset's reader returns: one slide, spots as rows.

=====================  ==========================================================================
``X``                  raw counts, sparse CSR; genes are unique. A dataset whose source publishes
                       normalised values only declares it (``DatasetSpec.raw_counts``)
``obs_names``          unique spot names
``obs``                ``array_row``, ``array_col``: position in the array
``obsm["spatial"]``    spot centres in full-resolution pixels, (x, y), float64
``uns["slide"]``       ``image_path`` (may be empty), ``image_scale`` (pixels of that image per
                       full-resolution pixel), ``spot_diameter_px``, ``um_per_px`` (0: unknown);
                       ``modality`` ("H&E" where not said), ``repairs`` (sentences)
=====================  ==========================================================================

*A prepared dataset* is all slides of a dataset after a protocol's processing.

==============================  =================================================================
``X``, ``layers["counts"]``     raw counts of the kept genes
``layers["expression"]``        normalised and logged, 0 where nothing was measured; which
                                normalisation stands in ``uns``
``layers["mask"]``              True where measured (counts > 0); only these entries are scored
``layers["prefilled"]``         ``expression`` after the median filter and batch correction
``layers["target"]``            ``prefilled`` at measured entries, 0 elsewhere
``obs``                         ``slide_id``, ``patient_id``, ``split``, ``array_row``,
                                ``array_col``
``obsm["spatial"]``             as above
``var``                         gene id as index; ``gene_name``, ``gene_length_bp`` (nan: unknown),
                                ``moran_i``; ``expressed_fraction``, the share of the spots that
                                chose the genes in which it was seen
``uns["spared_bench"]``         dataset, protocol, parameters, what was repaired or dropped
==============================  =================================================================

The published library calls ``expression`` ``log1p``, ``prefilled`` ``c_d_log1p``, the layers of
completed values ``c_t_log1p``, and those with zeros at unmeasured entries ``noisy_c_d_log1p``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ShapeMismatchError,
    WithheldError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

COUNTS = "counts"
EXPRESSION = "expression"
PREFILLED = "prefilled"
TARGET = "target"
MASK = "mask"
SPATIAL = "spatial"
EXPRESSED = "expressed_fraction"
PREPARED_LAYERS = (COUNTS, EXPRESSION, PREFILLED, TARGET, MASK)
PREPARED_OBS = ("slide_id", "patient_id", "split", "array_row", "array_col")
PREPARED_VAR = ("gene_name", "gene_length_bp", "moran_i", EXPRESSED)
SLIDE_FACTS = ("image_path", "image_scale", "spot_diameter_px", "um_per_px")


def validate_counts(matrix: Any, where: str) -> None:
    """Check that a matrix holds raw counts: finite, whole and not negative.

    Parameters
    ----------
    matrix : ndarray or scipy sparse matrix
    where : str
        What to call the matrix in a message, e.g. ``"X of slide 'A1'"``.

    Raises
    ------
    CountsError
        Naming the first offending value.
    """
    values = np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)
    if values.dtype.kind not in "iufb":
        raise CountsError(f"{where} holds {values.dtype}; raw counts must be numbers.")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise CountsError(f"{where} holds nan or infinite values; raw counts are finite.")
        if not np.array_equal(values, np.floor(values)):
            odd = float(values[values != np.floor(values)].flat[0])
            raise CountsError(
                f"{where} holds fractions ({odd:.4g}, for example), so it is normalised or"
                " log-transformed. Raw counts are whole numbers: pass the layer that holds them."
            )
    if values.size and values.min() < 0:
        raise CountsError(
            f"{where} holds negative values ({float(values.min()):.4g}), so it is scaled or"
            " centred. Raw counts are not negative: pass the layer that holds them."
        )


def validate_normalised(matrix: Any, where: str) -> None:
    """Check values of a source that publishes no raw counts: finite, and not negative.

    Raises
    ------
    CountsError
    """
    values = np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)
    if not np.isfinite(values).all() or (values.size and values.min() < 0):
        raise CountsError(
            f"{where} holds negative, nan or infinite values. It is declared to be normalised,"
            " which may leave fractions, and not scaled or centred."
        )


def validate_raw_slide(slide: AnnData, slide_id: str, raw_counts: bool = True) -> None:
    """Check one raw slide against the contract of this module.

    Parameters
    ----------
    slide : AnnData
        What a reader returned.
    slide_id : str
        For the messages.
    raw_counts : bool
        False for a dataset that declares normalised values (``DatasetSpec.raw_counts``).

    Raises
    ------
    CountsError, CoordinateError, ContractError
    """
    name = f"slide {slide_id!r}"
    if slide.n_obs == 0 or slide.n_vars == 0:
        raise CountsError(f"{name} is empty: {slide.n_obs} spots x {slide.n_vars} genes.")
    check = validate_counts if raw_counts else validate_normalised
    check(slide.X, f"X of {name}")
    for axis, names in (("gene", slide.var_names), ("spot", slide.obs_names)):
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            raise CountsError(
                f"{name} names {axis} {twice!r} more than once. Use unique ids, or add up the"
                " duplicates in the reader (`spared_bench.readers.merge_duplicated_genes`)."
            )
    missing = [key for key in ("array_row", "array_col") if key not in slide.obs]
    if missing:
        raise ContractError(f"{name} lacks obs columns {missing}; found {list(slide.obs.columns)}.")
    if SPATIAL not in slide.obsm:
        raise CoordinateError(
            f"{name} has no obsm['spatial']: spot centres (x, y) in full-resolution pixels."
            f" Found obsm keys {list(slide.obsm)}."
        )
    coordinates = np.asarray(slide.obsm[SPATIAL])
    if coordinates.shape != (slide.n_obs, 2):
        raise CoordinateError(
            f"{name}: obsm['spatial'] must have shape ({slide.n_obs}, 2), found"
            f" {coordinates.shape}."
        )
    if not np.isfinite(coordinates.astype(np.float64)).all():
        raise CoordinateError(f"{name}: obsm['spatial'] holds nan or infinite coordinates.")
    facts = slide.uns.get("slide")
    lacking = [key for key in SLIDE_FACTS if not isinstance(facts, dict) or key not in facts]
    if lacking:
        raise ContractError(f"{name} lacks {lacking} in uns['slide'].")
    if not float(facts["spot_diameter_px"]) > 0 or not float(facts["image_scale"]) > 0:
        raise ContractError(
            f"{name}: spot_diameter_px and image_scale in uns['slide'] must be positive, found"
            f" {facts['spot_diameter_px']} and {facts['image_scale']}."
        )


def validate_prepared(adata: AnnData) -> None:
    """Check a prepared dataset against the contract of this module.

    Raises
    ------
    ContractError
        Naming the missing key, or the entry that contradicts another.
    """
    for what, container, wanted in (
        ("layers", adata.layers, PREPARED_LAYERS),
        ("obs", adata.obs, PREPARED_OBS),
        ("var", adata.var, PREPARED_VAR),
        ("obsm", adata.obsm, (SPATIAL,)),
        ("uns", adata.uns, ("spared_bench",)),
    ):
        missing = [key for key in wanted if key not in container]
        if missing:
            raise ContractError(
                f"This AnnData is no prepared dataset: {what} lacks {missing}; found"
                f" {sorted(map(str, container.keys()))}. `spared-bench data prepare` makes one."
            )
    raw_counts = adata.uns["spared_bench"].get("raw_counts", True)
    check = validate_counts if raw_counts else validate_normalised
    check(adata.layers[COUNTS], "layers['counts']")
    mask = np.asarray(adata.layers[MASK])
    if mask.dtype != bool:
        raise ContractError(f"layers['mask'] must be bool, found {mask.dtype}.")
    for layer in (EXPRESSION, PREFILLED, TARGET):
        if not np.isfinite(np.asarray(adata.layers[layer])).all():
            raise ContractError(f"layers[{layer!r}] holds nan or infinite values.")
    if np.asarray(adata.layers[TARGET])[~mask].any():
        raise ContractError("layers['target'] is not 0 at an unmeasured entry (mask False).")
    unknown = set(adata.obs["split"]) - {"train", "val", "test"}
    if unknown:
        raise ContractError(f"obs['split'] holds {sorted(unknown)}; expected train, val or test.")


class Patches:
    """The patches of many spots, read from one memory-mapped array per slide.

    Parameters
    ----------
    arrays : sequence of ndarray of uint8, each (n_spots of the slide, size, size, 3)
    rows : ndarray of int, optional
        Which rows of the stacked arrays these patches are, in order; all by default.
    """

    def __init__(self, arrays: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        self._arrays = list(arrays)
        self._starts = np.cumsum([0, *(len(array) for array in self._arrays)])
        self._rows = np.arange(self._starts[-1]) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n_spots, size, size, 3)."""
        size = self._arrays[0].shape[1] if self._arrays else 0
        return len(self), size, size, 3

    @property
    def rows(self) -> np.ndarray:
        """Positions of these patches in the stacked arrays, (n_spots,)."""
        return self._rows

    @property
    def whole(self) -> Patches:
        """All patches of the stacked arrays, in storage order."""
        return Patches(self._arrays)

    def subset(self, rows: np.ndarray) -> Patches:
        """Return the patches at these positions, or where a boolean array is True."""
        return Patches(self._arrays, self._rows[rows])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read patches into memory: (n, size, size, 3), uint8."""
        wanted = np.atleast_1d(self._rows[rows])
        _, size, _, channels = self.shape
        out = np.empty((len(wanted), size, size, channels), dtype=np.uint8)
        slide = np.searchsorted(self._starts, wanted, side="right") - 1
        for index in np.unique(slide):
            here = slide == index
            out[here] = self._arrays[index][wanted[here] - self._starts[index]]
        return out


class DeferredPatches(Patches):
    """Patches that are cut, or looked for, when the first of them is asked for.

    So what looks at no patch needs no image: preparing a dataset, most completers, two controls.

    Parameters
    ----------
    find : callable
        Returns the patches of all rows; with ``functools.cache``, so that it cuts but once.
    rows : ndarray of int
        Which of them these are, in order.
    """

    def __init__(self, find: Callable[[], Patches], rows: np.ndarray) -> None:
        self._find = find
        self._rows = np.asarray(rows)

    @property
    def found(self) -> Patches:
        """The patches themselves.

        Raises
        ------
        ImageError
            If a slide has no image, or one that cannot be used.
        """
        return self._find().subset(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n_spots, size, size, 3)."""
        return self.found.shape

    @property
    def rows(self) -> np.ndarray:
        """Positions of these patches in the stacked arrays, (n_spots,)."""
        return self.found.rows

    @property
    def whole(self) -> Patches:
        """All patches of the stacked arrays, in storage order."""
        return self.found.whole

    def subset(self, rows: np.ndarray) -> Patches:
        """Return the patches at these positions, or where a boolean array is True."""
        return DeferredPatches(self._find, self._rows[rows])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read patches into memory: (n, size, size, 3), uint8."""
        values: np.ndarray = self.found[rows]
        return values


class Encoder(Protocol):
    """Turns patches into features, the same way every time."""

    def identity(self) -> dict[str, Any]:
        """Plain values that determine the features: name, weights, version."""
        ...

    def encode(self, patches: Patches) -> np.ndarray:
        """Return features of shape (n_spots, width), float32."""
        ...


@dataclass(frozen=True)
class Slides:
    """The spots of some slides, slide after slide, as completers and predictors see them.

    Parameters
    ----------
    adata : AnnData
        A prepared dataset, or rows of one.
    patches : Patches
        One per row.
    features_of : callable, optional
        ``(encoder, slides) -> (n_spots, width)``; the harness passes one that remembers.
    """

    adata: AnnData
    patches: Patches
    features_of: Callable[[Encoder, Slides], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if len(self.patches) != self.adata.n_obs:
            raise ShapeMismatchError(
                f"{self.adata.n_obs} spots but {len(self.patches)} patches; one patch per spot."
            )

    def __len__(self) -> int:
        return int(self.adata.n_obs)

    @property
    def n_spots(self) -> int:
        """Number of rows."""
        return int(self.adata.n_obs)

    @property
    def n_genes(self) -> int:
        """Number of columns."""
        return int(self.adata.n_vars)

    @property
    def gene_names(self) -> list[str]:
        """Ids of the genes, in the order of the columns."""
        return list(self.adata.var_names)

    @property
    def slide_ids(self) -> np.ndarray:
        """Slide of each spot, (n_spots,), str."""
        return self.adata.obs["slide_id"].to_numpy(dtype=str)

    @property
    def coordinates(self) -> np.ndarray:
        """Spot centres in full-resolution pixels, (n_spots, 2): x, y."""
        return np.asarray(self.adata.obsm[SPATIAL], dtype=np.float64)

    @property
    def array_coordinates(self) -> np.ndarray:
        """Array row and column of each spot, (n_spots, 2)."""
        return self.adata.obs[["array_row", "array_col"]].to_numpy(dtype=np.float64)

    @property
    def target(self) -> np.ndarray:
        """What to learn: (n_spots, n_genes), float32, completed where a completer ran."""
        return np.asarray(self._layer(TARGET), dtype=np.float32)

    @property
    def mask(self) -> np.ndarray:
        """True where measured, (n_spots, n_genes)."""
        return np.asarray(self._layer(MASK))

    @property
    def prefilled(self) -> np.ndarray:
        """The target with the median filter's values at unmeasured entries, float32.

        (n_spots, n_genes). It equals ``target`` as it was before a completer ran, wherever
        ``mask`` is True. A filter sees one slide at a time, so nothing of another split is in it.
        """
        return np.asarray(self._layer(PREFILLED), dtype=np.float32)

    @property
    def expressed_fraction(self) -> np.ndarray:
        """In which share of the spots that chose the genes each was seen, (n_genes,), float64.

        Of all splits where the protocol is fitted on all, else of the training spots.
        """
        if EXPRESSED not in self.adata.var:
            raise ContractError(
                f"These slides do not say in which share of the spots a gene was seen: var lacks"
                f" {EXPRESSED!r}. `spared-bench data prepare` writes it."
            )
        return self.adata.var[EXPRESSED].to_numpy(dtype=np.float64)

    @property
    def counts(self) -> np.ndarray:
        """Raw counts, (n_spots, n_genes), float32; a method may learn from the training slides'."""
        counts = self._layer(COUNTS)
        return np.asarray(counts.toarray() if hasattr(counts, "tocsr") else counts, np.float32)

    def _layer(self, name: str) -> Any:
        if name not in self.adata.layers:
            raise WithheldError(
                f"Layer {name!r} is not visible here: a method that predicts or completes these"
                " slides does not see their measured expression. Learn from the training slides"
                " in `fit`."
            )
        return self.adata.layers[name]

    def features(self, encoder: Encoder) -> np.ndarray:
        """Encode every patch, (n_spots, width), float32; computed once per encoder and slide."""
        if self.features_of is None:
            return encoder.encode(self.patches)
        return self.features_of(encoder, self)

    def subset(self, rows: np.ndarray) -> Slides:
        """Return the spots at these positions, or where a boolean array is True."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
        return replace(self, adata=self.adata[rows], patches=self.patches.subset(rows))

    def each(self) -> Iterator[tuple[str, Slides]]:
        """Yield every slide on its own, with its id, in storage order."""
        slide_ids = self.slide_ids
        for slide_id in dict.fromkeys(slide_ids):
            yield str(slide_id), self.subset(slide_ids == slide_id)

    def with_target(self, target: np.ndarray) -> Slides:
        """Return the same spots with another target, e.g. a completed one."""
        if target.shape != (self.n_spots, self.n_genes):
            raise ShapeMismatchError(
                f"The target must have shape {(self.n_spots, self.n_genes)}, found {target.shape}."
            )
        adata = self.adata.copy()
        adata.layers[TARGET] = target
        return replace(self, adata=adata)

    def without_expression(self) -> Slides:
        """Return the same spots as a predictor sees them: no counts, no layers.

        Everything is copied into plain tables and arrays: views would remember what they are of.
        """
        import pandas as pd
        from anndata import AnnData

        bare = AnnData(
            obs=pd.DataFrame(self.adata.obs, copy=True),
            var=pd.DataFrame(self.adata.var, copy=True),
            obsm={SPATIAL: np.array(self.adata.obsm[SPATIAL])},
            uns=_plain_copy(self.adata.uns),
        )
        return replace(self, adata=bare)


def _plain_copy(values: Any) -> Any:
    """Copy nested mappings into dicts, and arrays into arrays that know of no other."""
    if isinstance(values, Mapping):
        return {name: _plain_copy(each) for name, each in values.items()}
    if isinstance(values, np.ndarray):
        return np.array(values)
    return deepcopy(values)


def open_patches(folder: Path, slide_ids: Sequence[str]) -> Patches:
    """Open the patch arrays of these slides, in this order, without reading them."""
    return Patches([np.load(folder / f"{slide_id}.npy", mmap_mode="r") for slide_id in slide_ids])
