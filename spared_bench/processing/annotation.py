"""Which genes the columns of a count matrix are, and how long these genes are.

The tables hold the gene lengths of GENCODE v43 (human) and vM33 (mouse), basic set: the number of
bases in the union of all exons of a gene. They hold all genes; those of the SpaRED benchmark lack
the 37 of the mitochondrion, so its library drops them before TPM. Here a protocol says whether
they count (``Processing.mitochondrial``).
"""

from __future__ import annotations

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
        found, ambiguous = _look_up(bare, gene_table(organism))
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


def _look_up(bare: pd.Series, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of each name (None where unknown), and where several genes share a symbol."""
    symbols = table["gene_name"]
    shared = symbols.duplicated(keep=False)
    is_id = bare.isin(table.index)
    ambiguous = bare.isin(symbols[shared]) & ~is_id
    id_of = dict(zip(symbols[~shared], symbols.index[~shared], strict=True))
    found = [name if by_id else id_of.get(name) for name, by_id in zip(bare, is_id, strict=True)]
    return np.array(found, dtype=object), ambiguous.to_numpy()


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
    declared = _known_share(bare, gene_table(organism))
    others = {other: _known_share(bare, gene_table(other)) for other in TABLES if other != organism}
    nearest, share = max(others.items(), key=lambda item: item[1])
    if share > declared:
        example = bare[bare.isin(gene_table(nearest).index)]
        shown = example.iloc[0] if len(example) else bare.iloc[0]
        raise DataError(
            f"The genes are declared as {organism}, but they look like {nearest} ({shown!r}, for"
            f" example): {declared:.0%} of {len(bare)} names are {organism} genes, {share:.0%} are"
            f" {nearest} genes. Correct `organism` in the dataset's spec."
        )


def _known_share(bare: pd.Series, table: pd.DataFrame) -> float:
    return float((bare.isin(table.index) | bare.isin(table["gene_name"])).mean())
