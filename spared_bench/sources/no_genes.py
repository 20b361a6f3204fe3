"""Columns of counts that are no genes: a total, spike-ins, HTSeq's counters, what is said of spots.

They would be counted to the depth of every spot, and could be chosen as genes. So would genes of a
second organism, which only symbols tell: readers leave out those of which an id or a prefix does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import CountsError

if TYPE_CHECKING:
    from anndata import AnnData

_FEWEST = 3  # other genes with counts, of which a sum is no accident
_LEAST = 10  # spots with counts: of fewer, too
#: Without capitals, and with `_` for blanks, dots and hyphens.
_NAMES = {
    "total", "totals", "sum", "total_counts", "n_counts", "n_genes", "n_genes_by_counts",
    "library_size", "ncount_rna", "nfeature_rna", "ncount_spatial", "nfeature_spatial",
    "percent_mt", "pct_counts_mt", "x_coord", "y_coord", "pixel_x", "pixel_y",
    "new_x", "new_y", "array_row", "array_col", "imagerow", "imagecol", "in_tissue", "selected",
    "pxl_row_in_fullres", "pxl_col_in_fullres", "cluster", "barcode", "spot_id", "cell_id",
    "__no_feature", "__ambiguous", "__too_low_aqual", "__not_aligned", "__alignment_not_unique",
}  # fmt: skip
#: Of all genes: of one organism, fewer than 0.1 % are called like those of the other alone.
_LEAST_OF_ANOTHER = 0.1
_FEWEST_OF_ANOTHER = 5
#: Between a gene and what may tell its genome: Hs_TP53, m.Trp53, TP53_m, [hg38]TP53.
_BETWEEN = re.compile(r"[\W_]+")
_LONGEST_MARK = 30
#: Of the 92 controls of the External RNA Controls Consortium: ERCC1 is a gene, ERCC-00002 none.
_SPIKE_IN = re.compile(r"ercc_\d{5}")
#: No genes where both are there; alone, `y` is yellow of the fly.
_PAIR = {"x", "y"}


def require_genes(slide: AnnData) -> None:
    """Refuse a slide with columns that are no genes, by their names or as the sum of all others.

    Raises
    ------
    CountsError
    """
    folded = {str(name): _folded(str(name)) for name in slide.var_names}
    wrong = _NAMES | _PAIR if set(folded.values()) >= _PAIR else _NAMES
    named = [n for n, name in folded.items() if name in wrong or _SPIKE_IN.fullmatch(name)]
    if named:
        raise CountsError(
            f"{', '.join(map(repr, named[:5]))} among its genes"
            f" {'is none' if len(named) == 1 else 'are none'}, and would be counted to the depth of"
            " spots. Leave what is no gene out of the table of counts."
        )
    by_gene = np.asarray(slide.X.sum(axis=0, dtype=np.float64)).ravel()
    largest = int(by_gene.argmax())
    if by_gene[largest] * 2 != by_gene.sum() or np.count_nonzero(by_gene) <= _FEWEST:
        return
    by_spot = np.asarray(slide.X.sum(axis=1, dtype=np.float64)).ravel()
    column = np.asarray(slide.X[:, [largest]].sum(axis=1, dtype=np.float64)).ravel()
    if np.count_nonzero(column) >= _LEAST and (column * 2 == by_spot).all():
        raise CountsError(
            f"Its column {str(slide.var_names[largest])!r} is, in every spot, the sum of all"
            " others, so it is a total and no gene. Leave it out of the table of counts."
        )


def require_one_organism(names: Sequence[str], organism: str) -> None:
    """Refuse genes of which a part are called as in another organism only: ``TP53`` and ``Trp53``.

    In whatever capitals: some write all names small. Or of which parts are marked apart:
    ``Hs_TP53`` and ``Mm_Trp53``, ``TP53`` and ``TP53_m``.

    Raises
    ------
    CountsError
    """
    from spared_bench.processing.annotation import TABLES, gene_names

    _require_one_mark(names)
    own, own_in_any = gene_names(organism).symbols, _in_any_capitals(organism)
    strange = [name for name in names if name not in own]
    for other in TABLES.keys() - {organism}:
        theirs, in_any = gene_names(other).symbols, _in_any_capitals(other)
        theirs_alone, own_alone = in_any - own_in_any, own_in_any - in_any
        foreign = [n for n in strange if n in theirs or n.casefold() in theirs_alone]
        least = max(_FEWEST_OF_ANOTHER, _LEAST_OF_ANOTHER * len(names))
        if len(foreign) < least:
            continue
        told = (
            f"{len(foreign)} of its {len(names)} genes are called as in {other} and not as in"
            f" {organism} ({foreign[0]!r}, for example)"
        )
        if not any((n in own and n not in theirs) or n.casefold() in own_alone for n in names):
            raise CountsError(f"{told}, and none the other way: correct `organism`.")
        raise CountsError(
            f"{told}: its counts are of two genomes, and those of the other would be counted to the"
            " depth of spots. Leave them out, or give a matrix with ids of Ensembl, or with the"
            " genome before each name."
        )


def _require_one_mark(names: Sequence[str]) -> None:
    """Refuse genes that are told apart by what stands before or behind names that are known."""
    from spared_bench.processing.annotation import TABLES

    known = frozenset[str]().union(*map(_in_any_capitals, TABLES))
    marked: dict[str, list[str]] = {}
    bare = 0
    for name in names:
        if name.casefold() in known:
            bare += 1
            continue
        if mark := _mark(name, known):
            marked.setdefault(mark, []).append(name)
    least = max(_FEWEST_OF_ANOTHER, _LEAST_OF_ANOTHER * len(names))
    common = [mark for mark, found in marked.items() if len(found) >= least]
    if not common or (len(common) == 1 and bare < least):
        return
    told = [f"{len(marked[mark])} have {mark!r} ({marked[mark][0]!r})" for mark in common]
    told += [f"{bare} have nothing"] if bare else []
    raise CountsError(
        f"Of its {len(names)} genes, {', '.join(told)} before or behind a name that is known: they"
        " seem to be of several genomes, or kinds of counts, and all would be counted to the"
        " depth of spots. Leave out what is not meant; genomes are told apart by names such as"
        " GRCh38_TP53 and mm10_Trp53."
    )


def _mark(name: str, known: frozenset[str]) -> str:
    """Return what stands before a name that is known, or behind it; "" where that is not so."""
    gaps = list(_BETWEEN.finditer(name))
    for gap in gaps:
        if gap.end() <= _LONGEST_MARK and name[gap.end() :].casefold() in known:
            return name[: gap.end()]
    for gap in reversed(gaps):
        if len(name) - gap.start() <= _LONGEST_MARK and name[: gap.start()].casefold() in known:
            return name[gap.start() :]
    return ""


@cache
def _in_any_capitals(organism: str) -> frozenset[str]:
    """Return the names of all genes of an organism, by id and symbol, without capitals."""
    from spared_bench.processing.annotation import gene_names

    known = gene_names(organism)
    return frozenset(name.casefold() for name in known.ids | known.symbols)


def _folded(name: str) -> str:
    return name.casefold().replace(" ", "_").replace(".", "_").replace("-", "_")
