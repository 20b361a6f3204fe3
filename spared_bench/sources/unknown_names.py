"""Names of genes that are in no table: in other capitals, with something behind them, of others.

Such genes are read as they are called. Nothing that names genes finds them, their lengths are not
known, and a slide on which they are called rightly does not share them.
"""

from __future__ import annotations

from collections.abc import Sequence

from spared_bench.words import counted

_MOST = 1 / 2  # of all genes: old annotations and those of probes lack fewer in GENCODE's tables
#: Of all genes, those that are known in other capitals: C1ORF112 alone is nobody's mistake.
_LEAST, _FEWEST = 0.1, 5


def unknown_names(names: Sequence[str], organism: str) -> list[str]:
    """Return a sentence where many genes of a slide have no name that is known; else nothing.

    Parameters
    ----------
    names : sequence of str
        Ids or symbols, unique.
    organism : str
        Of one without a table, nothing is said.
    """
    from spared_bench.processing.annotation import TABLES, annotate, gene_table

    if organism not in TABLES:
        return []
    unknown = annotate(list(map(str, names)), organism).unknown
    table = gene_table(organism)
    known = {name.casefold(): name for name in [*table.index, *table["gene_name"]]}
    others = [(name, known[name.casefold()]) for name in unknown if name.casefold() in known]
    in_capitals = len(others) >= max(_FEWEST, _LEAST * len(names))
    if not in_capitals and len(unknown) <= _MOST * len(names):
        return []
    if in_capitals:
        told = (
            f"{len(others)} of its {counted(len(names), 'gene')} are called like genes of"
            f" {organism} but for their capitals ({others[0][0]!r}, for {others[0][1]!r})"
        )
    else:
        told = (
            f"{len(unknown)} of its {counted(len(names), 'gene')} are called like none of"
            f" {organism} ({unknown[0]!r}, for example)"
        )
    return [
        f"{told}. They are read as they are called: nothing that names genes finds them, their"
        " lengths (TPM) are not known, and slides with other names do not share them. Write symbols"
        " or ids as Ensembl does, and add it again with `--replace`."
    ]
