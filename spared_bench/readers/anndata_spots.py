"""Spots of an AnnData file: their counts, genes, centres and places in the array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import LABEL, SPATIAL
from spared_bench.data.raw_counts import first_place, require_counts
from spared_bench.errors import ContractError, CoordinateError, CountsError, did_you_mean
from spared_bench.readers.array_positions import array_from_pixels
from spared_bench.readers.clear_names import clear_genes, clear_spots
from spared_bench.readers.coordinates import centres_of, numbers
from spared_bench.readers.features import NO_ID, choose_genes, has_genes, mostly_ensembl
from spared_bench.readers.genes import merge_duplicated_genes, without_version
from spared_bench.readers.labels import labels_of_column
from spared_bench.readers.quoted import without_quotes
from spared_bench.readers.tissue_column import under_tissue
from spared_bench.unseen import clear
from spared_bench.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

_ROUNDING = 1e-6
_NOISE, _MOST_NOISE = 1e-5, 0.1  # of a count, and of a large one: float32 keeps some 1e-7 of it
_ROUND = "Round them with `np.rint`, and write the file again."
#: Columns of ``var`` with ids of genes, in the order in which they are believed.
_SCANPY = ("gene_ids", "gene_id")
_IDS = (
    *_SCANPY, "ensembl_id", "ensembl_ids", "ensembl_gene_id", "ensembl", "feature_id",
    "ID", "Accession",  # of DropletUtils and SpatialExperiment, and of loom
)  # fmt: skip
_NUMBER = re.compile(r"\d+(\.0)?")  # of NCBI
#: Layers whose names say that they hold raw counts.
_RAW = {"count", "counts", "raw", "rawcount", "rawcounts", "umi", "umis"}
_KINDS = ("feature_types", "feature_type")  # scanpy's, and 10x Genomics'


def raw_slide_from(
    adata: AnnData,
    layer: str,
    path: Path,
    organism: str = "",
    label: str = "",
    tissue: str = "",
) -> tuple[AnnData, bool]:
    """Return counts, genes, labels, array positions and centres; ``uns["slide"]``: the repairs.

    And whether array positions were made from pixels, so that they tell of no array.
    """
    import pandas as pd
    from anndata import AnnData as Slide

    covered, repairs = under_tissue(adata.obs, tissue, path)
    adata = adata if covered.all() else adata[covered]
    centres = centres_of(adata, path)
    matrix, var = _counts(adata, layer, path)
    repairs += [] if layer else _beside(adata, matrix, path)
    stored = matrix.nnz
    matrix.sum_duplicates()  # which scipy does when it likes
    if matrix.nnz < stored:
        told = counted(stored - matrix.nnz, "count")
        raise CountsError(f"{path} tells {told} of a spot and a gene twice. Write it again.")
    given = [list(map(str, adata.obs_names)), list(map(str, var.index))]
    bare = [without_quotes(names) for names in given]
    if bare != given:
        repairs.append("Quotes around the names of all spots, or all genes, left out.")
    spots, unseen = clear_spots(bare[0], path)
    gene_ids, symbols, more = clear_genes(_gene_ids(var, bare[1]), bare[1], path)
    repairs += [*unseen, *more]
    chosen = choose_genes(
        gene_ids,
        symbols,
        str(path),
        kinds=_kinds(var),
        genomes=_seen(var["genome"]) if "genome" in var else None,
        organism=organism,
    )
    matrix, ids = matrix[:, chosen.columns], without_version(chosen.ids)
    matrix, genes, merged = merge_duplicated_genes(matrix, ids)
    repairs += [*chosen.repairs, *merged]
    symbol_of = dict(zip(reversed(ids), reversed(chosen.symbols), strict=True))
    slide = Slide(
        matrix,
        obs=pd.DataFrame(index=spots),
        var=pd.DataFrame({"gene_name": [symbol_of[gene] for gene in genes]}, index=genes),
    )
    if label:
        slide.obs[LABEL] = _seen(labels_of_column(adata.obs, label, path))
    slide.obsm[SPATIAL] = centres
    array = told_array(adata.obs, path)
    made = array is None
    if array is None:
        array = array_from_pixels(centres)
        why = "were not in the file" if lacking_array(adata.obs) else "in the file tell no places"
        repairs.append(f"Array positions {why} and were made from pixels.")
    slide.obs["array_col"], slide.obs["array_row"] = array.T
    slide.uns["slide"] = {"repairs": repairs}
    return slide, made


def check_sparse(adata: AnnData, path: Path) -> None:
    """Refuse sparse matrices with indices beyond their ends, which end whoever works with them.

    Raises
    ------
    ContractError
    """
    parts = {"X": adata.X, **adata.layers, "raw": None if adata.raw is None else adata.raw.X}
    for name, matrix in parts.items():
        if not hasattr(matrix, "check_format"):
            continue
        try:
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise ContractError(
                f"{name} of {path} is no sound sparse matrix: {error}. The file is damaged; write"
                " it again with `adata.write_h5ad`."
            ) from error


def _beside(adata: AnnData, counts: csr_matrix, path: Path) -> list[str]:
    """Refuse counts in ``X`` where what is called counts are others; note genes of ``raw`` alone.

    Raises
    ------
    CountsError
    """
    others = {name: values for name, values in adata.layers.items() if _letters(name) in _RAW}
    notes = []
    if adata.raw is not None:
        places = adata.raw.var_names.get_indexer_for(adata.var_names)
        if len(places) == adata.n_vars and (places >= 0).all():
            others["raw"] = adata.raw.X[:, places]
        if adata.raw.n_vars > adata.n_vars and _whole(adata.raw.X):
            notes = [
                f"X has {adata.n_vars} of the {adata.raw.n_vars} genes of raw, and X was read:"
                " `layer: raw` reads them all."
            ]
    for name, values in others.items():
        if _whole(values) and (_as_csr(values) != counts).nnz:
            raise CountsError(
                f"X and {name!r} of {path} both hold whole numbers, and others: which are the raw"
                f" counts? Write `layer: {name}`, or `layer: X`, in the slide's entry."
            )
    return notes


def _letters(name: Any) -> str:
    """Return a name of a column without what people write between its words."""
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def _gene_ids(var: Any, names: list[str]) -> list[str]:
    """Return the id of every gene; its name in the index where it has none.

    Ids of Ensembl are taken from whichever column holds them: a name can be that of several genes,
    or an old one. Ids of other kinds count where scanpy writes them; numbers name no gene here.
    """
    columns = {
        name: without_quotes(_texts(var[name]))
        for known in _IDS
        for name in var
        if _letters(name) == _letters(known)
    }
    seen = {name: [clear(gene) for gene in ids if gene] for name, ids in columns.items()}
    found = next((ids for name, ids in columns.items() if mostly_ensembl(seen[name])), None)
    if found is None:
        found = next((ids for name, ids in columns.items() if name in _SCANPY), [])
    if all(_NUMBER.fullmatch(gene) for gene in found if gene):
        return names
    return [gene or name for gene, name in zip(found, names, strict=True)]


def _kinds(var: pd.DataFrame) -> list[Any] | None:
    """Return the types of the features; nothing where no column tells them.

    Whatever a column is called, it is this one where it calls some features Gene Expression:
    DropletUtils and SpatialExperiment write ``Type``, where scanpy has ``feature_types``.
    """
    named: Any = next((name for name in _KINDS if name in var), None)
    if named is None:
        named = next((name for name in var if has_genes(_texts(var[name].drop_duplicates()))), None)
    return None if named is None else _seen(var[named])


def _texts(column: Any) -> list[str]:
    """Return values of a column as texts, empty where it tells nothing."""
    texts = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return list(texts.where(~texts.isin(NO_ID), ""))


def _seen(values: Iterable[Any]) -> list[Any]:
    """Return texts without letters that nobody sees; what is no text stays."""
    return [clear(value) if isinstance(value, str) else value for value in values]


def lacking_array(obs: pd.DataFrame) -> bool:
    """Return whether spots lack array positions, or one half of them."""
    return not {"array_row", "array_col"} <= set(obs.columns)


def told_array(obs: pd.DataFrame, path: Path, called: str = "obs[{!r}]") -> np.ndarray | None:
    """Return the columns ``array_col`` and ``array_row`` of spots, where they tell a place.

    They tell none where one is missing, or where spots share places, as of columns that are 0
    throughout: half as many places as spots, or fewer.

    Parameters
    ----------
    obs : DataFrame
        With a row for each spot.
    path : Path
        For the message.
    called : str
        What to call a column there.

    Returns
    -------
    ndarray of int64, of shape (n_spots, 2), or None

    Raises
    ------
    CoordinateError
        If a value is no whole number.
    """
    if lacking_array(obs):
        return None
    found = []
    for name in ("array_col", "array_row"):
        positions = numbers(obs[name])
        whole = np.rint(positions)
        odd = ~(np.abs(positions - whole) <= _ROUNDING)
        if odd.any():
            raise CoordinateError(
                f"{called.format(name)} of {path} holds {obs[name].to_numpy()[odd][0]!s};"
                " expected whole numbers, the place in the array. Correct it, or remove"
                " array_row and array_col: they are then made from pixels."
            )
        found.append(whole.astype(np.int64))
    array = np.stack(found, axis=1)
    n_places = len(np.unique(array, axis=0))
    return None if len(array) > 1 and 2 * n_places <= len(array) else array


def _counts(adata: AnnData, layer: str, path: Path) -> tuple[csr_matrix, Any]:
    choices = {name: (values, adata.var) for name, values in adata.layers.items()}
    if adata.raw is not None:
        choices["raw"] = (adata.raw.X, adata.raw.var)
    if layer and layer != "X":
        if layer not in choices:
            raise CountsError(
                f"{path} has no layer {layer!r}. {did_you_mean(layer, choices)} It has:"
                f" X{''.join(f', {name}' for name in choices)}."
            )
        values, var = choices[layer]
        if not _whole(values):
            found = _kind(values, adata.obs_names, var.index)
            advice = f" {_ROUND}" if _nearly_whole(_values(values)) else ""
            raise CountsError(f"Layer {layer!r} of {path} holds {found}, no raw counts.{advice}")
        return _exact(values, adata.obs_names, var.index, f"{layer!r} of {path}"), var
    if adata.X is not None and _whole(adata.X):
        return _exact(adata.X, adata.obs_names, adata.var_names, f"X of {path}"), adata.var
    good = [name for name, (values, _) in choices.items() if _whole(values)]
    found = "nothing"
    if adata.X is not None:
        found = _kind(adata.X, adata.obs_names, adata.var_names)
    if good:
        advice = f"Raw counts are in {good[0]!r}: write `layer: {good[0]}` in the slide's entry."
    elif adata.X is not None and _nearly_whole(_values(adata.X)):
        advice = _ROUND
    else:
        others = f" (nor do {', '.join(choices)})" if choices else ""
        advice = f"It does not hold raw counts{others}: use the file from before normalisation."
    raise CountsError(f"X of {path} holds {found}, but raw counts are needed. {advice}")


def _exact(values: Any, spots: Sequence[str], genes: Sequence[str], where: str) -> csr_matrix:
    """Return counts as float32, all of which it holds."""
    require_counts(values, spots, genes, where)
    return _as_csr(values)


def _as_csr(values: Any) -> csr_matrix:
    from scipy.sparse import csr_matrix

    return csr_matrix(values, dtype=np.float32)


def _values(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)


def _whole(matrix: Any) -> bool:
    values = _values(matrix)
    if values.dtype.kind not in "iuf":  # true and false say where counts are, not how many
        return False
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values % 1 == 0).all())


def _nearly_whole(values: np.ndarray) -> bool:
    """Return whether numbers are counts that were transformed and back, as by log1p and expm1."""
    if values.dtype.kind != "f" or not np.isfinite(values).all() or not (values >= 0).all():
        return False
    whole = np.rint(values)
    return bool((np.abs(values - whole) <= np.clip(_NOISE * whole, _NOISE, _MOST_NOISE)).all())


def _kind(matrix: Any, spots: Sequence[str], genes: Sequence[str]) -> str:
    """Say what a matrix that holds no counts looks like."""
    values = _values(matrix)
    if values.dtype.kind not in "iuf":
        return f"values of type {values.dtype}"
    if (odd := ~np.isfinite(values)).any():
        return f"nan or infinite values ({first_place(matrix, odd, spots, genes)} first)"
    low, high = float(values.min()), float(values.max())
    if low < 0:
        first = first_place(matrix, values < 0, spots, genes)
        return f"negative values (down to {low:.3g}; {first} first), so it is scaled or centred"
    if _nearly_whole(values):
        odd = np.rint(values) != values
        value = f"{values.flat[np.flatnonzero(odd)[0]]:.9g}"
        return (
            f"whole numbers but for rounding ({value} for {first_place(matrix, odd, spots, genes)})"
        )
    like = "is log-normalised" if high < 25 else "is normalised"
    return f"fractions (up to {high:.3g}), so it {like}"
