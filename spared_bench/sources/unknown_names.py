"""Names of genes that are in no table, or are those of another gene than the ids beside them.

Genes of unknown names (in other capitals, with something behind them) are read as they are called.
Nothing that names genes finds them, their lengths are not known, and a slide on which they are
called rightly does not share them. Of an id and a symbol, the id is believed.

Spreadsheets make dates of some names (Ziemann et al., Genome Biology 17, 177, 2016), and one date
of two genes: their counts are taken together then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spared_bench.words import counted

_MOST = 1 / 2  # of all genes: old annotations and those of probes lack fewer in GENCODE's tables
#: Of all genes, those that are known in other capitals: C1ORF112 alone is nobody's mistake.
_LEAST, _FEWEST = 0.1, 5
_UNKNOWN = (
    "They are read as they are called: nothing that names genes finds them, their lengths (TPM) are"
    " not known, and slides with other names do not share them. Write symbols or ids as Ensembl"
    " does, and add it again with `--replace`."
)
_PARTS = re.compile(r"[|_:;,/. ]+")
#: As spreadsheets write months in English, German, French, Spanish, Italian, Portuguese and Dutch.
_MONTH = (
    "(jan|janv|ene|gen|feb|févr|fev|mar|mär|mrz|mars|mrt|apr|avr|abr|may|mai|mag|mei|jun|juin|giu"
    "|jul|juil|lug|aug|août|ago|sep|sept|set|oct|okt|ott|out|nov|dec|dez|déc|dic)"
)
_BETWEEN = r"(?:[-/ ]|\.? )"
#: 1-Mar, Mar-01, 01. Mrz, 1-Mar-01, 2001-03-01 or 01.03.2001, maybe with the time of the day.
_DATE = re.compile(
    rf"\d{{1,2}}{_BETWEEN}{_MONTH}\.?({_BETWEEN}\d{{2,4}})?|{_MONTH}{_BETWEEN}\d{{1,4}}"
    r"|(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{4})( 00:00(:00)?)?"
)
#: The same as the number of days that a spreadsheet counts, of 1990 to 2063.
_DAYS = re.compile(r"(3[3-9]|[45]\d)\d{3}")
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
    what = ""
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
        what = _what_they_are(unknown, known)
    return [" ".join(filter(None, [f"{told}.", what, _UNKNOWN]))]


def dotted_names(names: Sequence[str], organism: str) -> list[str]:
    """Return a sentence where genes have a dot for each dash, as R writes columns; else nothing.

    Parameters
    ----------
    names : sequence of str
    organism : str
        Of one without a table, nothing is said.
    """
    from spared_bench.processing.annotation import TABLES, gene_table

    if organism not in TABLES:
        return []
    known = set(gene_table(organism)["gene_name"])
    dashed = [name for name in names if name in known and "-" in name]
    dotted = [
        (name, meant)
        for name in names
        if "." in name and name not in known and (meant := name.replace(".", "-")) in known
    ]
    if len(dotted) < _FEWEST or len(dotted) <= len(dashed):
        return []
    return [
        f"{counted(len(dotted), 'gene')} called like genes of {organism} but for dots"
        f" ({dotted[0][0]!r}, for {dotted[0][1]!r}), as R writes the names of columns. {_UNKNOWN}"
    ]


def _what_they_are(unknown: Sequence[str], known: Mapping[str, str]) -> str:
    """Return a sentence on what most unknown names are; empty where that cannot be told."""
    if sum(name.isdecimal() for name in unknown) > _MOST * len(unknown):
        return "They are numbers, of rows or of Entrez: names may stand in another column."
    parts = [
        next((known[part] for part in _PARTS.split(name.casefold()) if part in known), "")
        for name in unknown
    ]
    if sum(map(bool, parts)) <= _MOST * len(unknown):
        return ""
    name, part = next((n, p) for n, p in zip(unknown, parts, strict=True) if p)
    return f"More stands in them than a name, as {part!r} in {name!r}."


def dated_names(names: Sequence[str]) -> list[str]:
    """Return a sentence where genes are called as dates; else nothing.

    Parameters
    ----------
    names : sequence of str
    """
    dates = [name for name in names if _DATE.fullmatch(str(name).casefold())]
    numbers = [name for name in names if str(name).isdecimal()]
    if len(numbers) < _MOST * len(names) and all(_DAYS.fullmatch(str(each)) for each in numbers):
        dates += numbers  # and not ids of Entrez, which all genes would have
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
