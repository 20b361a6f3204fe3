"""The feature-barcode matrix of 10x Genomics' software, as HDF5 or as a folder of three files."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from spared_bench.encoded import decode
from spared_bench.errors import CountsError, MissingFileError
from spared_bench.readers.clear_names import unseen_in
from spared_bench.readers.features import Chosen, choose_genes, organism_of, unclear
from spared_bench.readers.hdf5_chunks import unwritten
from spared_bench.readers.instead import instead
from spared_bench.readers.matrix_market import MATRIX_MARKET, read_matrix_market
from spared_bench.readers.nearby import nearby, packed_beside
from spared_bench.readers.text import GZIP, bare, fields_of, lines_of, read_text, unpack
from spared_bench.whereabouts import whereabouts
from spared_bench.words import counted

if TYPE_CHECKING:
    from scipy.sparse import coo_matrix, csr_matrix

_H5 = "filtered_feature_bc_matrix.h5"
_MTX = "filtered_feature_bc_matrix"
#: Of Xenium, of cells that Space Ranger found, of MERSCOPE and of CosMx.
_OF_CELLS = (
    "cell_feature_matrix*", "filtered_feature_cell_matrix*", "*/filtered_feature_cell_matrix*",
    "cell_by_gene*.csv", "*exprMat_file*",
)  # fmt: skip
_PARTS = ("data", "indices", "indptr")
_TURNED = "matrix.mtx holds spots as rows and genes as columns: it was turned."
#: How a line of titles begins, where somebody wrote one; "x" and "V1" are R's.
_TITLES = {
    "barcode", "barcodes", "cell", "cells", "spot", "spots", "x", "v1", "id", "ids", "gene",
    "genes", "gene_id", "gene_ids", "gene_name", "ensembl", "ensembl_id", "feature", "feature_id",
    "features", "symbol", "0",
}  # fmt: skip


@dataclass(frozen=True)
class FeatureMatrix:
    """Counts as read: spots x genes.

    Parameters
    ----------
    matrix : csr_matrix of float32, of shape (n_spots, n_genes)
    barcodes : list of str
    ids, symbols : list of str
        Of the genes; symbols need not be unique.
    repairs : list of str
        What was left out, in sentences.
    """

    matrix: csr_matrix
    barcodes: list[str]
    ids: list[str]
    symbols: list[str]
    repairs: list[str] = field(default_factory=list)


def read_feature_matrix(folder: Path, organism: str = "") -> FeatureMatrix:
    """Read the filtered matrix, HDF5 before mtx.

    Features that are no genes, and genes of other genomes than the organism's, are left out.

    Parameters
    ----------
    folder : Path
        Which has the matrix, as Space Ranger's ``outs``.
    organism : str
        See ``choose_genes``.

    Raises
    ------
    MissingFileError
        If there is neither, or several HDF5 files.
    CountsError
        If what is there is damaged, or of several genomes of which none is the organism's.
    """
    h5 = sorted(path for path in folder.glob(f"*{_H5}") if not path.name.startswith("."))
    if len(h5) > 1:
        raise MissingFileError(
            f"{folder} holds {len(h5)} matrices: {[path.name for path in h5]}. Keep the one of"
            " this slide."
        )
    if h5:
        return _read_h5(h5[0], organism)
    if (folder / _MTX).is_dir():
        return _read_mtx(folder / _MTX, organism)
    raise MissingFileError(
        f"There are no counts in {folder}: expected {_H5} or the folder {_MTX}/."
        f" {whereabouts(folder) or _where_else(folder)}"
    )


def _where_else(folder: Path) -> str:
    """Say which folder to name instead of one without counts."""
    if folder.is_file():
        return instead(folder) or (
            "It is a file: name the folder that it is in, with the folder `spatial` beside it."
        )
    patterns = ("binned_outputs/*", "outs/binned_outputs/*", "square_*", "outs", "*/outs")
    places = [place for pattern in patterns for place in sorted(folder.glob(pattern))]
    # Beside what was named: of Visium HD, its bins beside its cells (`segmented_outputs`).
    places += [folder.parent, *sorted(folder.parent.glob("binned_outputs/*"))]
    good = [str(each) for each in dict.fromkeys(places) if (each / "spatial").is_dir()]
    good = [each for each in good if any(Path(each).glob(f"*{_MTX}*"))]
    bins = [each for each in good if "square_" in each]
    if bins:
        advice = "Visium HD has counts for each size of bins: name one of their folders, "
        return f"{advice}{' or '.join(bins)}."
    if good:
        return f"Name {' or '.join(good)}, where there are some."
    if cells := counts_of_cells(folder):
        return cells
    packed = packed_beside(folder, "filtered", "matrix", "outs", "binned", "square_")
    wanted = (folder / _H5, folder / _MTX / "matrix.mtx")
    renamed = nearby(wanted[0], f"*{_MTX}*.h5*")
    if not (packed or renamed) and list(folder.glob("raw_feature_bc_matrix*")):
        return "The raw matrix in there has all barcodes of the array: copy the filtered one, too."
    hints = (nearby(path, f"*{path.suffix}", f"*{path.suffix}.gz") for path in wanted)
    last = (
        "Name the folder that Space Ranger calls `outs`; of another technology, write an AnnData"
        ' file, with the centres of spots, in pixels of the image, in `obsm["spatial"]`:'
        " `format: h5ad`."
    )
    return next(filter(None, (packed, renamed, *hints)), last)


def counts_of_cells(folder: Path) -> str:
    """Say so where a folder holds counts of single cells, as of Xenium, MERSCOPE and CosMx."""
    cells = [path for pattern in _OF_CELLS for path in sorted(folder.glob(pattern))]
    if not cells:
        return ""
    return (
        f"{cells[0].name} holds counts of single cells, and spots are read: pool cells, or"
        " their molecules, into squares of a spot's size, and write an AnnData file with raw"
        " counts in `X` and the centres of the squares, in pixels of the image, in"
        ' `obsm["spatial"]`, as `format: h5ad`.'
    )


def _read_h5(path: Path, organism: str) -> FeatureMatrix:
    import h5py
    from scipy import sparse

    try:
        with h5py.File(path) as file:
            group, names, notes = _layout(file, organism)
            written = [list(group[n].asstr()[:]) if n in group else None for n in names]
            ids, symbols, kinds, genomes = (
                None if texts is None else [bare(text) for text in texts] for texts in written
            )
            spots = list(group["barcodes"].asstr()[:])
            barcodes = [bare(text) for text in spots]
            notes += unseen_in(spots, "spot")
            notes += unseen_in(map(" ".join, zip(*filter(None, written[:2]), strict=False)), "gene")
            if ids is None:
                raise KeyError(f"{names[0]} is not in it")
            if "" in ids:
                raise ValueError(f"its feature {ids.index('') + 1} has no id")
            if group["data"].dtype.kind not in "iuf":
                raise ValueError(f"its counts are of type {group['data'].dtype}")
            if lacking := sum(unwritten(group[part]) for part in _PARTS):
                raise ValueError(
                    f"{counted(lacking, 'chunk')} of its counts were never written, and would be"
                    " read as 0"
                )
            # Columns of the file are spots: read as rows, the same arrays are their transpose.
            with np.errstate(over="ignore"):  # infinite ones are told by spot and gene
                data = group["data"][:].astype(np.float32)
            parts = (data, group["indices"][:], group["indptr"][:])
            matrix = sparse.csr_matrix(parts, shape=(len(barcodes), len(ids)))
            matrix.check_format(full_check=True)
            if parts[0][parts[2][-1] :].any():  # which scipy leaves out
                raise ValueError(f"{parts[2][-1]} of its {len(parts[0])} counts are of its spots")
            _refuse_repeated(matrix, matrix.nnz)
            _check_lengths(path, len(ids), symbols, kinds, genomes)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    chosen = choose_genes(
        ids, symbols or ids, str(path), kinds=kinds, genomes=genomes, organism=organism
    )
    return _of_chosen(matrix, barcodes, replace(chosen, repairs=[*notes, *chosen.repairs]), path)


def _layout(file: Any, organism: str) -> tuple[Any, tuple[str, str, str, str], list[str]]:
    """Return the group with the counts, its names for ids, symbols, types and genomes, and notes.

    Before version 3 of Cell Ranger's format there is a group for each genome, called after it, and
    all features are genes.
    """
    if "matrix" in file:
        kinds = ("id", "name", "feature_type", "genome")
        first, second, third, fourth = (f"features/{kind}" for kind in kinds)
        return file["matrix"], (first, second, third, fourth), []
    older = [name for name, group in file.items() if "genes" in group and "indptr" in group]
    wanted = [name for name in older if organism_of(name) == organism] if organism else []
    found = older if len(older) == 1 else wanted
    if len(older) > 1 and len(found) != 1:
        several = f"{file.filename} holds counts of several genomes: {', '.join(older)}"
        raise unclear(several, organism)
    if not found:
        raise KeyError(f"it holds {', '.join(file) or 'nothing'}; expected the group 'matrix'")
    others = ", ".join(name for name in older if name != found[0])
    notes = [f"Genes of other genomes than {found[0]}, dropped: all of {others}."] if others else []
    return file[found[0]], ("genes", "gene_names", "feature_type", "genome"), notes


def _check_lengths(path: Path, n_features: int, *columns: list[str] | None) -> None:
    for column in columns:
        if column is not None and len(column) != n_features:
            raise ValueError(f"it has {n_features} features, but {len(column)} of their names")


def _refuse_repeated(matrix: csr_matrix, stored: int) -> None:
    """Refuse a matrix that tells a count twice, which scipy adds up."""
    matrix.sum_duplicates()
    if matrix.nnz < stored:
        raise ValueError(
            f"it tells {counted(stored - matrix.nnz, 'count')} of a spot and a gene twice"
        )


def _read_mtx(folder: Path, organism: str) -> FeatureMatrix:
    from scipy import sparse

    try:
        with _open(folder / "matrix.mtx") as file:
            entries, has_places = read_matrix_market(file)
        features, unseen = _rows(folder, "gene", "features.tsv", "genes.tsv")
        rows, more = _rows(folder, "spot", "barcodes.tsv")
        entries, features, rows, turned = _oriented(entries, features, rows)
        turned += [*more, *unseen]
        barcodes = [row[0] for row in rows]
        turned += _maybe_from_zero(entries, barcodes) if has_places else []
        matrix = sparse.csr_matrix(entries.T)
        _refuse_repeated(matrix, entries.nnz)
    except FileNotFoundError as error:
        wanted = Path(error.filename)
        h5 = folder.parent / _H5
        hint = nearby(wanted, f"*{wanted.name}*") or nearby(h5, f"*{_H5}")
        raise MissingFileError(
            f"{wanted} is missing. {hint or f'Copy the whole folder {_MTX} of Space Ranger.'}"
        ) from error
    except PermissionError:  # nothing is wrong with the file
        raise
    except (OSError, EOFError, ValueError, IndexError, OverflowError, zlib.error) as error:
        raise _damaged(folder, error) from error
    chosen = choose_genes(
        [row[0] for row in features],
        [row[min(1, len(row) - 1)] for row in features],  # without symbols, ids stand in
        str(folder),
        kinds=[row[2] for row in features] if len(features[0]) > 2 else None,
        organism=organism,
    )
    return _of_chosen(matrix, barcodes, replace(chosen, repairs=[*turned, *chosen.repairs]), folder)


def _oriented(
    entries: coo_matrix, features: list[list[str]], barcodes: list[list[str]]
) -> tuple[coo_matrix, list[list[str]], list[list[str]], list[str]]:
    """Return a matrix as features x barcodes, the rows of both, and a note if it was turned.

    Raises
    ------
    ValueError
        If the matrix is of other lengths than its names, either way.
    """
    for matrix, notes in ((entries, []), (entries.T, [_TURNED])):
        rows = _without_header(features, matrix.shape[0])
        columns = _without_header(barcodes, matrix.shape[1])
        if matrix.shape == (len(rows), len(columns)):
            return matrix, rows, columns, notes
    raise ValueError(
        f"the matrix is {entries.shape[0]} x {entries.shape[1]}, but there are {len(features)}"
        f" features and {len(barcodes)} barcodes, the first of which are {features[0][0]!r} and"
        f" {barcodes[0][0]!r}"
    )


def _maybe_from_zero(entries: coo_matrix, barcodes: list[str]) -> list[str]:
    """Note that no index names the last spot, as where spots count from 0 and the first is empty.

    Of genes this says nothing: many have no count anywhere.
    """
    if entries.nnz and len(barcodes) > 1 and entries.col.max() < len(barcodes) - 1:
        return [
            f"matrix.mtx has no count of its last spot, {barcodes[-1]!r}. If the program that wrote"
            " it counts spots from 0, and not from 1 as the format does, all counts are one spot"
            " off."
        ]
    return []


def _of_chosen(
    matrix: csr_matrix, barcodes: list[str], chosen: Chosen, where: Path
) -> FeatureMatrix:
    if not barcodes:
        raise CountsError(
            f"The feature-barcode matrix {where} has no barcodes, so no spots. Copy it again from"
            " Space Ranger's output."
        )
    again = [name for name, number in Counter(barcodes).items() if number > 1]
    if again:
        raise CountsError(
            f"The feature-barcode matrix {where} names {counted(len(again), 'barcode')} more than"
            f" once, {again[0]!r} first, so that its counts are of several slides, or damaged."
            " Give the matrix of one slide."
        )
    if len(chosen.columns) < matrix.shape[1]:
        matrix = matrix[:, chosen.columns]
    return FeatureMatrix(matrix, barcodes, chosen.ids, chosen.symbols, chosen.repairs)


def _rows(folder: Path, what: str, *names: str) -> tuple[list[list[str]], list[str]]:
    """Return the fields of each line of a file, under the first of its names that is there.

    And what to record of the names in it, which are those of ``what``.
    """
    found = [_packed(folder / name) for name in names]
    path = next((path for path in found if path.is_file()), found[0])
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(folder / names[0]))
    lines = lines_of(read_text(path, CountsError, "part of the feature-barcode matrix"))
    separator = _separator(lines)
    rows = _without_numbers([fields_of(line, separator) for line in lines])
    for number, row in enumerate(rows, start=lines.first):
        if not row[0]:
            raise ValueError(f"line {number} of {path.name} begins with an empty field: {row[:3]}")
        if len(row) != len(rows[0]):
            raise ValueError(
                f"line {number} of {path.name} has {counted(len(row), 'field')}, {row[:3]},"
                f" where line {lines.first} has {len(rows[0])}"
            )
    if not rows:
        raise ValueError(f"{path.name} is empty")
    if len(rows[0]) == 1 and sum(" " in row[0] for row in rows) * 2 > len(rows):
        raise ValueError(
            f"line {lines.first} of {path.name} is {rows[0][0][:60]!r}; fields stand between tabs,"
            " not blanks"
        )
    return rows, unseen_in((line.replace("\t", " ") for line in lines), what)


def _separator(lines: list[str]) -> str:
    """Return what stands between the fields of all lines: a tab, or what Excel and R made of it."""
    for separator in "\t,;":
        first, *others = (len(fields_of(line, separator)) for line in lines or [""])
        # R gives names of rows no title.
        width = max(others, default=first)
        if len({*others, width}) == 1 and width - first in (0, 1) and width > 1:
            return separator
    return "\t"


def _without_numbers(rows: list[list[str]]) -> list[list[str]]:
    """Leave out the running numbers that R and pandas write before every row."""
    for titles in (0, 1):
        numbered = rows[titles:]
        numbers = [row[0] for row in numbered]
        for start in ("0", "1"):
            expected = [str(number) for number in range(int(start), len(rows) + int(start))]
            if len(numbered) > 1 and len(numbered[0]) > 1 and numbers == expected[: len(numbers)]:
                width = len(numbered[0])
                head = [row[1:] if len(row) == width else row for row in rows[:titles]]
                return [*head, *(row[1:] for row in numbered)]
    return rows


def _without_header(rows: list[list[str]], expected: int) -> list[list[str]]:
    """Leave out a first line of titles, where it is one too many."""
    titles = len(rows) == expected + 1 and rows[0][0].casefold() in _TITLES
    return rows[1:] if titles else rows


def _packed(path: Path) -> Path:
    """Return ``path.gz`` if it is there, else ``path``."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() else path


def _open(path: Path) -> IO[bytes]:
    """Open a matrix, packed or not, whatever its name says; as UTF-8 without a byte-order mark."""
    path = _packed(path)
    with _stream(path) as stream:
        start = stream.read(1_000)
    if start.startswith(MATRIX_MARKET) and b"\n" in start:  # may be large: read in parts
        return _stream(path)
    text = "\n".join(line.strip() for line in lines_of(decode(unpack(path.read_bytes()))))
    return io.BytesIO(text.encode())


def _stream(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def _damaged(path: Path, error: Exception) -> CountsError:
    advice = instead(path) or (
        "It is damaged, incomplete or of another format; copy it again from Space Ranger's output."
    )
    return CountsError(f"The feature-barcode matrix {path} cannot be read: {error}. {advice}")
