"""What a submission is scored against: the checker's own prepared dataset, never the bundle's."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from spared_bench import data
from spared_bench.bench import Bench
from spared_bench.errors import MissingFileError, SubmissionError
from spared_bench.geometry import rows_by_slide
from spared_bench.metrics.classes import class_numbers
from spared_bench.metrics.tissue import Tissue
from spared_bench.prediction import Prediction
from spared_bench.store.predictions import opened_predictions
from spared_bench.store.trials import PREDICTIONS
from spared_bench.trials.cells import FinishedCell
from spared_bench.trials.products import prepared_table
from spared_bench.trials.scores import scored_columns
from spared_bench.trials.tissue import tissue_of, wants_tissue

if TYPE_CHECKING:
    from anndata import AnnData


Split = Literal["val", "test"]

#: What reading a damaged prediction raises.
UNREADABLE = (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Truth:
    """The evaluated split of a prepared dataset.

    Parameters
    ----------
    dataset : str
    split : {"val", "test"}
    hash : str
        That of the whole table, other splits included.
    spots, genes : tuple of str
        In the order of rows and columns.
    target, expression : ndarray of float32, of shape (n_spots, n_genes)
        ``expression`` is the target before batch correction.
    mask : ndarray of bool, of shape (n_spots, n_genes)
    slide_ids : ndarray of str, of shape (n_spots,)
    counts : ndarray of float32, of shape (n_spots, n_genes)
        Raw, of these genes.
    places : ndarray of float, of shape (n_spots, 2)
        Centres of the spots.
    training_means : ndarray of shape (n_training_slides, n_genes)
        Means of the target over measured entries; nan where a slide has none of a gene.
    symbols : tuple of str
        Of the genes.
    classes : tuple of str
        Those of the dataset; empty for none.
    labels : ndarray of int, of shape (n_spots,), optional
        Numbers of classes, -1 where unlabelled; ``None`` where the dataset has none.
    tissue : Tissue, optional
        Of the scored genes, where a metric of the protocol needs it.
    """

    dataset: str
    split: Split
    hash: str
    spots: tuple[str, ...]
    genes: tuple[str, ...]
    target: np.ndarray
    expression: np.ndarray
    mask: np.ndarray
    slide_ids: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    training_means: np.ndarray
    symbols: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    tissue: Tissue | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_spots, n_genes)."""
        return len(self.spots), len(self.genes)

    @cached_property
    def slides(self) -> list[np.ndarray]:
        """The rows of each slide."""
        return rows_by_slide(self.slide_ids)


def truth_of(bench: Bench, dataset: str) -> Truth:
    """Return the truth of a dataset, preparing it if the workspace has not.

    Raises
    ------
    MissingFileError
        If its raw files are not there.
    """
    adata = prepared_table(bench, dataset)
    split = cast(Split, bench.dataset(dataset).evaluation_split)
    rows = adata.obs["split"].to_numpy(dtype=str) == split
    part = adata[rows]
    classes = tuple(map(str, adata.uns["spared_bench"].get(data.CLASSES, ())))
    columns = scored_columns(bench.protocol, list(adata.var_names), list(adata.var["gene_name"]))
    return Truth(
        dataset=dataset,
        split=split,
        hash=table_hash(adata),
        spots=tuple(map(str, part.obs_names)),
        genes=tuple(map(str, part.var_names)),
        target=_dense(part.layers[data.TARGET]),
        expression=_dense(part.layers[data.EXPRESSION]),
        mask=np.asarray(part.layers[data.MASK], dtype=bool),
        slide_ids=part.obs["slide_id"].to_numpy(dtype=str),
        counts=_dense(part.layers[data.COUNTS]),
        places=np.asarray(part.obsm[data.SPATIAL], dtype=np.float64),
        training_means=_slide_means(adata[adata.obs["split"].to_numpy(dtype=str) == "train"]),
        symbols=tuple(map(str, part.var["gene_name"])),
        classes=classes,
        labels=class_numbers(part.obs[data.LABEL].to_numpy(object), classes) if classes else None,
        tissue=tissue_of(bench, adata, rows, columns) if wants_tissue(bench) else None,
    )


def _slide_means(adata: AnnData) -> np.ndarray:
    target, mask = _dense(adata.layers[data.TARGET]), np.asarray(adata.layers[data.MASK], bool)
    slide_ids = adata.obs["slide_id"].to_numpy(dtype=str)
    return np.stack(
        [
            slide_mean(target[slide_ids == name], mask[slide_ids == name])
            for name in dict.fromkeys(slide_ids.tolist())
        ]
    )


def slide_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return each gene's mean over measured entries; nan where there is none."""
    n_seen = mask.sum(axis=0)
    total = np.where(mask, values, 0).sum(axis=0, dtype=np.float64)
    return np.divide(total, n_seen, out=np.full(len(total), np.nan), where=n_seen > 0)


def table_hash(adata: AnnData) -> str:
    """Return the SHA-256 of what a prepared dataset is: 64 hex digits.

    Covers the names of spots and genes, slides, splits, raw counts and which of them are measured:
    whatever is the same on every machine. The target follows from these by the protocol, whose own
    hash is compared too; its last bits may differ between processors. Labels of spots count where
    the dataset has some.
    """
    from scipy.sparse import csr_matrix

    total = hashlib.sha256()
    _add_lines(total, adata.obs_names)
    _add_lines(total, adata.var_names)
    _add_lines(total, adata.obs["slide_id"])
    _add_lines(total, adata.obs["split"])
    counts = csr_matrix(adata.layers[data.COUNTS], copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    for values, kind in ((counts.indptr, "<i8"), (counts.indices, "<i8"), (counts.data, "<f4")):
        total.update(values.astype(kind).tobytes())
    total.update(np.packbits(np.asarray(adata.layers[data.MASK], dtype=bool)).tobytes())
    if data.LABEL in adata.obs:
        _add_lines(total, adata.obs[data.LABEL])
    return total.hexdigest()


def _add_lines(total: Any, names: Iterable[Any]) -> None:
    text = "\n".join(map(str, names)).encode()
    total.update(len(text).to_bytes(8, "little"))
    total.update(text)


def _dense(layer: Any) -> np.ndarray:
    return np.asarray(layer.toarray() if hasattr(layer, "tocsr") else layer, dtype=np.float32)


def own_prediction(cell: FinishedCell, truth: Truth) -> np.ndarray:
    """Read a run's means of the evaluated split, (n_spots, n_genes); see ``own_output``."""
    return own_output(cell, truth).mean


def own_output(cell: FinishedCell, truth: Truth) -> Prediction:
    """Read a run's prediction of the evaluated split.

    Raises
    ------
    MissingFileError, SubmissionError
        If it is not there, or is of other spots or genes than are prepared now.
    """
    path = cell.folder / PREDICTIONS
    if not path.is_file():
        raise MissingFileError(f"{path} is missing: the run kept no predictions. Run it again.")
    with opened_predictions(cell.folder) as arrays:
        spots = arrays.get(f"{truth.split}_spots", np.empty(0, str)).tolist()
        if tuple(spots) != truth.spots or tuple(arrays["genes"].tolist()) != truth.genes:
            raise SubmissionError(
                f"The run {cell.final.key[:12]} on {truth.dataset} predicted other spots or genes"
                " than this workspace now prepares: the data, or the code that prepares it, has"
                " changed since. Run the predictor again."
            )
        mean, variance, classes = (
            arrays.get(f"{truth.split}_{part}") for part in ("prediction", "variance", "classes")
        )
    assert mean is not None
    return Prediction(np.array(mean), variance, classes)
