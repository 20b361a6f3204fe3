"""Which genes the columns of a count matrix are, and how long these genes are.

The tables hold the gene lengths of GENCODE v43 (human) and vM33 (mouse), basic set: the number of
bases in the union of all exons of a gene. They hold all genes; those of the SpaRED benchmark lack
the 37 of the mitochondrion, so its library drops them before TPM. Here a protocol says whether
they count (``Processing.mitochondrial``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

TABLES = {"human": "human_gencode_v43.tsv.gz", "mouse": "mouse_gencode_vM33.tsv.gz"}

_PREFIXES = {"human": "ENSG", "mouse": "ENSMUSG"}  # of Ensembl's gene ids

_ENSEMBL_ID = r"(ENS[A-Z]*G\d+)(?:\.\w+)?"


@dataclass(frozen=True)
class Annotation:
    """What is known of a list of genes.

    Parameters
    ----------
    genes : DataFrame
        One row per given name, in the given order: ``gene_id`` (without version; the name itself
        where unknown), ``gene_name``, ``gene_length_bp`` (nan where unknown).
    unknown : tuple of str
        Names that are in no table.
    ambiguous : tuple of str
        Symbols that several genes share; treated as unknown.
    repeated : tuple of str
        Names of a gene that an earlier name stands for already.
    """

    genes: pd.DataFrame
    unknown: tuple[str, ...]
    ambiguous: tuple[str, ...]
    repeated: tuple[str, ...]


@lru_cache(maxsize=2)
def gene_table(organism: str) -> pd.DataFrame:
    """Read names, types and lengths of all genes, by id without version.

    Of ids that repeat once their version is cut, the first row is kept.

    Raises
    ------
    DataError
        For an organism without a table.
    """
    import pandas as pd

    if organism not in TABLES:
        raise DataError(
            f"There are no gene lengths for the organism {organism!r}, which log2 of TPM needs;"
            f" known: {', '.join(TABLES)}. Correct `organism` in the dataset's spec, or use a"
            " protocol with `target: log1p_cp10k`."
        )
    path = files("spared_bench.processing") / "gene_lengths" / TABLES[organism]
    with path.open("rb") as stream:
        table = pd.read_csv(stream, sep="\t", compression="gzip", keep_default_na=False)
    table["gene_id"] = table["gene_id"].str.split(".", n=1).str[0]
    return table.drop_duplicates("gene_id").set_index("gene_id")


@dataclass(frozen=True)
class GeneNames:
    """What the genes of an organism are called.

    Parameters
    ----------
    ids : frozenset of str
        Without version.
    symbols : frozenset of str
    id_of : dict of str to str
        The id of each symbol that one gene has.
    """

    ids: frozenset[str]
    symbols: frozenset[str]
    id_of: dict[str, str]

    def __contains__(self, name: str) -> bool:
        """Whether a gene is called so, by id or symbol."""
        return name in self.ids or name in self.symbols


@lru_cache(maxsize=2)
def gene_names(organism: str) -> GeneNames:
    """Return all names of a table: looked up in sets, which pandas would make at each question.

    Raises
    ------
    DataError
        For an organism without a table.
    """
    symbols = gene_table(organism)["gene_name"]
    alone = symbols[~symbols.duplicated(keep=False)]
    id_of = dict(zip(alone, alone.index, strict=True))
    return GeneNames(frozenset(symbols.index), frozenset(symbols), id_of)


def annotate(names: Sequence[str], organism: str) -> Annotation:
    """Map symbols or Ensembl ids, with or without version, to genes.

    Parameters
    ----------
    names : sequence of str
        Unique names of the columns.
    organism : str
        ``"human"`` or ``"mouse"``; of any other organism, every name is unknown.

    Raises
    ------
    DataError
        If another organism knows more of the names.
    """
    import pandas as pd

    given = pd.Series(list(names), dtype=object)
    bare = given.str.extract(f"^{_ENSEMBL_ID}$", expand=False).fillna(given)
    found = np.full(len(given), None, dtype=object)
    ambiguous = np.zeros(len(given), dtype=bool)
    if organism in TABLES:
        _check_organism(bare, organism)
        found, ambiguous = _look_up(bare, gene_names(organism))
    known = pd.notna(found)
    ids = np.where(known, found, bare)
    columns = _describe(ids, known, organism)
    return Annotation(
        genes=pd.DataFrame({"gene_id": ids, **columns}),
        unknown=tuple(given[~known & ~ambiguous]),
        ambiguous=tuple(given[ambiguous]),
        repeated=tuple(given[pd.Series(ids).duplicated()]),
    )


def is_mitochondrial(symbols: pd.Series) -> np.ndarray:
    """Return which symbols are of genes on the mitochondrial chromosome, (n_genes,), bool.

    They begin with ``MT-`` or ``mt-`` in human, mouse and most others; ``MT.`` is what R makes of
    it. Symbols of the tables are these 37 and no other (GENCODE's ``MT-`` and ``mt-`` genes).
    """
    found: np.ndarray = symbols.astype(str).str.match(r"(?i:mt)[-.]").to_numpy(dtype=bool)
    return found


def add_symbols(slide: AnnData, organism: str) -> None:
    """Give the genes of a raw slide symbols, in ``var["gene_name"]``, where it has ids only."""
    names = slide.var_names.astype(str)
    given = slide.var.get("gene_name")
    if organism not in TABLES or (given is not None and (given.astype(str) != names).any()):
        return
    table = gene_table(organism)["gene_name"]
    symbols = table.reindex(names.str.extract(f"^{_ENSEMBL_ID}$", expand=False))
    slide.var["gene_name"] = np.where(symbols.isna(), names, symbols.to_numpy())


def _describe(ids: np.ndarray, known: np.ndarray, organism: str) -> dict[str, np.ndarray]:
    names, lengths = ids.copy(), np.full(len(ids), np.nan)
    if known.any():
        rows = gene_table(organism).loc[ids[known]]
        names[known] = rows["gene_name"].to_numpy()
        lengths[known] = rows["length_bp"].to_numpy()
    return {"gene_name": names, "gene_length_bp": lengths}


def _look_up(bare: pd.Series, known: GeneNames) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of each name (None where unknown), and where several genes share a symbol."""
    found = [name if name in known.ids else known.id_of.get(name) for name in bare]
    ambiguous = [
        one is None and name in known.symbols for name, one in zip(bare, found, strict=True)
    ]
    return np.array(found, dtype=object), np.array(ambiguous, dtype=bool)


def _check_organism(bare: pd.Series, organism: str) -> None:
    prefixes = bare.str.extract(r"^(ENS[A-Z]*G)\d{11}$", expand=False)
    foreign = prefixes[prefixes.notna() & ~prefixes.isin(_PREFIXES.values())]
    if len(foreign) * 2 > len(bare):
        raise DataError(
            f"The genes are declared as {organism}, but {len(foreign)} of {len(bare)} ids begin"
            f" with {foreign.mode().iloc[0]!r} ({bare[foreign.index[0]]!r}, for example), where"
            f" Ensembl's {organism} genes begin with {_PREFIXES[organism]!r}: they are of another"
            f" organism. Lengths are known for {', '.join(TABLES)}; correct `organism` in the"
            " dataset's spec, or use a protocol with `target: log1p_cp10k`."
        )
    declared = _known_share(bare, organism)
    others = {other: _known_share(bare, other) for other in TABLES if other != organism}
    nearest, share = max(others.items(), key=lambda item: item[1])
    if share > declared:
        ids = gene_names(nearest).ids
        shown = next((name for name in bare if name in ids), bare.iloc[0])
        raise DataError(
            f"The genes are declared as {organism}, but they look like {nearest} ({shown!r}, for"
            f" example): {declared:.0%} of {len(bare)} names are {organism} genes, {share:.0%} are"
            f" {nearest} genes. Correct `organism` in the dataset's spec."
        )


def _known_share(bare: pd.Series, organism: str) -> float:
    known = gene_names(organism)
    return sum(name in known for name in bare) / len(bare) if len(bare) else math.nan
