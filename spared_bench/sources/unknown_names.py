"""Names of genes that are in no table, or are those of another gene than the ids beside them.

Genes of unknown names (in other capitals, with something behind them) are read as they are called.
Nothing that names genes finds them, their lengths are not known, and a slide on which they are
called rightly does not share them. Of an id and a symbol, the id is believed.

Spreadsheets make dates of some names (Ziemann et al., Genome Biology 17, 177, 2016), and one date
of two genes: their counts are taken together then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spared_bench.words import counted

_MOST = 1 / 2  # of all genes: old annotations and those of probes lack fewer in GENCODE's tables
#: Of all genes, those that are known in other capitals: C1ORF112 alone is nobody's mistake.
_LEAST, _FEWEST = 0.1, 5
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)"
#: 1-Mar, Mar-01, 1-Mar-01 or 2001-03-01, maybe with the time of the day.
_DATE = re.compile(
    rf"\d{{1,2}}-{_MONTH}(-\d{{2,4}})?|{_MONTH}-\d{{1,4}}|\d{{4}}-\d\d-\d\d( 00:00:00)?"
)
_MOST_DATES = 3


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

    unknown = annotate(list(map(str, names)), organism).unknown if organism in TABLES else ()
    if not unknown:
        return []
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


def dated_names(names: Sequence[str]) -> list[str]:
    """Return a sentence where genes are called as dates; else nothing.

    Parameters
    ----------
    names : sequence of str
    """
    dates = [name for name in names if _DATE.fullmatch(str(name).casefold())]
    if not dates:
        return []
    some = ", ".join(map(repr, dates[:_MOST_DATES])) + ", ..." * (len(dates) > _MOST_DATES)
    return [
        f"{counted(len(dates), 'gene')} called as a date ({some}), as spreadsheets make of MARCH1,"
        " MARC1, SEPT2 or DEC1, and 1-Mar of two of these. They are read as they are called: take"
        " names from a file that no spreadsheet has written, and add it again with `--replace`."
    ]


def crossed_names(ids: Sequence[str], symbols: Sequence[str], organism: str) -> list[str]:
    """Return a sentence where ids and symbols of a slide are those of different genes.

    Parameters
    ----------
    ids, symbols : sequence of str
        Of each gene.
    organism : str
    """
    from spared_bench.processing.annotation import TABLES, gene_table

    if organism not in TABLES:
        return []
    called = gene_table(organism)["gene_name"].to_dict()
    known = set(called.values())
    pairs = [
        (str(gene), str(symbol), called[str(gene)])
        for gene, symbol in zip(ids, symbols, strict=True)
        if str(gene) in called and str(symbol) in known
    ]
    crossed = [pair for pair in pairs if pair[1] != pair[2]]
    if len(crossed) < max(_FEWEST, _LEAST * len(pairs)):
        return []
    gene, symbol, other = crossed[0]
    return [
        f"{len(crossed)} of {len(pairs)} ids and symbols are those of different genes ({gene} is"
        f" {other!r}, and {symbol!r} stands beside it), so one of the two columns was sorted or"
        " mixed up. The ids were believed: correct the file, and add it again with `--replace`."
    ]
