"""The spots of some slides as completers and predictors see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spared_bench.data.contract import (
    CLASSES,
    COUNTS,
    DEPTH,
    EXPRESSED,
    LABEL,
    MASK,
    PREFILLED,
    SPATIAL,
    TARGET,
)
from spared_bench.data.patches import Patches
from spared_bench.errors import ContractError, PluginError, ShapeMismatchError, WithheldError

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.data.viewed import SpotView, Tiles, Windows


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
        One per row: the protocol's, or the view ``target`` of a method that declares one.
    features_of : callable, optional
        ``(encoder, slides, view) -> features``; the harness passes one that remembers.
    views : mapping of str to SpotView, optional
        What the method declares that these slides are handed to.
    """

    adata: AnnData
    patches: Patches
    features_of: Callable[[Encoder, Slides, str], np.ndarray] | None = None
    views: Mapping[str, SpotView] = field(default_factory=dict)

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

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the dataset declares for its spots, in order; empty for none."""
        return tuple(map(str, self.adata.uns.get("spared_bench", {}).get(CLASSES, ())))

    @property
    def labels(self) -> np.ndarray:
        """The class of each spot, (n_spots,), object array of str; ``""`` where unlabelled.

        Of training and validation slides in ``fit`` alone. All are unlabelled where the dataset
        declares no classes.

        Raises
        ------
        WithheldError
            For slides that are to be predicted.
        """
        if LABEL in self.adata.obs:
            return self.adata.obs[LABEL].to_numpy(dtype=object)
        if self.classes:
            raise WithheldError(
                "The labels of these spots are not visible here: a method that predicts these"
                " slides does not see them. Learn from the training slides in `fit`."
            )
        return np.full(self.n_spots, "", dtype=object)

    @property
    def has_depth(self) -> bool:
        """Whether ``depth`` is known and visible."""
        return DEPTH in self.adata.obsm

    @property
    def depth(self) -> np.ndarray:
        """What the counts of each spot were divided by to make the target, (n_spots,), float64.

        Its counts over all genes that the protocol counts (``log1p_cp10k``, ``cpm``), its counts
        per base over the genes that passed the filters (TPM), or 1 (``counts``).
        """
        if not self.has_depth:
            raise WithheldError(
                "The depth of these spots is not visible here: it is measured, as their expression"
                " is. Learn from the training slides in `fit`."
            )
        return np.asarray(self.adata.obsm[DEPTH], dtype=np.float64)[:, 0]

    def _layer(self, name: str) -> Any:
        if name not in self.adata.layers:
            raise WithheldError(
                f"Layer {name!r} is not visible here: a method that predicts or completes these"
                " slides does not see their measured expression. Learn from the training slides"
                " in `fit`."
            )
        return self.adata.layers[name]

    def features(self, encoder: Encoder, view: str = "") -> np.ndarray:
        """Encode every patch, or every window or tile of a view; computed once for all methods.

        Parameters
        ----------
        encoder : Encoder
        view : str
            The name of a view that the method declares; empty: ``patches``.

        Returns
        -------
        ndarray of float32
            (n_spots, width); of tiles (n_spots, tiles * tiles, width); of a grid (n_windows,
            width), in the order of ``windows(view)``.

        Raises
        ------
        PluginError
            If no view of that name is declared.
        """
        view = "" if view == "target" else view  # which is what the patches are
        if self.features_of is not None:
            return self.features_of(encoder, self, view)
        if not view:
            return encoder.encode(self.patches)
        return self._view(view).features(encoder.encode)

    def view(self, name: str) -> Patches:
        """Return the window of every spot: (n_spots, size, size, 3), uint8.

        ``"target"`` is ``patches``, also where a method does not declare it.

        Raises
        ------
        PluginError
            If no view of that name is declared, or it has no one window per spot.
        """
        return self.patches if name == "target" else self._view(name, "view").patches

    def tiles(self, name: str) -> Tiles:
        """Return the tiles around every spot: (n_spots, tiles * tiles, size, size, 3), uint8.

        Row by row, from the upper left. They are cut when they are read, ``tiles[rows]``, because
        all of them would be large; beyond the image, the image is mirrored.

        Raises
        ------
        PluginError
            If no view of that name is declared, or it has no tiles.
        """
        return self._view(name, "tiles").tiles

    def tiles_inside(self, name: str) -> np.ndarray:
        """Return whether the centre of each tile lies in the image, (n_spots, tiles * tiles)."""
        return self._view(name, "tiles").inside

    def windows(self, name: str) -> Windows:
        """Return the windows of a grid in which these spots lie, and which spot lies in which.

        Raises
        ------
        PluginError
            If no view of that name is declared, or it is no grid.
        """
        return self._view(name, "windows").windows

    def _view(self, name: str, asked: str = "") -> SpotView:
        if name not in self.views:
            raise PluginError(
                f"No view is named {name!r} here. Declared: {', '.join(self.views) or 'none'}. A"
                f" method names what it looks at in `views = {{{name!r}: View(...)}}`."
            )
        found = self.views[name]
        if asked not in ("", found.handed_out_by):
            raise PluginError(
                f"View {name!r} is {found.view.in_words}, which `slides.{asked}({name!r})` does not"
                f" hand out. Ask for `slides.{found.handed_out_by}({name!r})`."
            )
        return found

    def subset(self, rows: np.ndarray) -> Slides:
        """Return the spots at these positions, or where a boolean array is True."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
        return replace(
            self,
            adata=self.adata[rows],
            patches=self.patches.subset(rows),
            views={name: each.subset(rows) for name, each in self.views.items()},
        )

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
        """Return the same spots as a predictor sees them: no counts, no layers, no labels.

        Everything is copied into plain tables and arrays: views would remember what they are of.
        """
        import pandas as pd
        from anndata import AnnData

        bare = AnnData(
            obs=pd.DataFrame(self.adata.obs, copy=True).drop(columns=LABEL, errors="ignore"),
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
