"""Which rows of a feature table are genes, and of the organism that a dataset declares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spared_bench.errors import CountsError
from spared_bench.readers.genes import is_missing
from spared_bench.words import counted

GENES = "Gene Expression"
#: Ensembl's word for most genes: where it stands, types are biotypes of genes (CELLxGENE).
_BIOTYPE = "protein coding"
#: What R and pandas write, as text, where nothing is told.
NO_ID = ("nan", "NaN", "NA", "None", "<NA>")
#: Between a genome and a gene; Seurat turns underscores into dashes.
_BETWEEN = "_:-"
_PREFIXED = re.compile(rf"(\w[\w.-]*?)[{_BETWEEN}]+(ENS[A-Z]*G\d+.*)")
_ENSEMBL = re.compile(rf"(?:^|[{_BETWEEN}])ENS[A-Z]*G\d{{6,}}")
_CODE = re.compile(r"ENS[A-Z]*G(?=\d)")
#: What 10x Genomics puts before genes of probes that it counts no more: they bind to other genes.
_DEPRECATED = "DEPRECATED_"
_MOST_GENOMES = 8
_MOST_TOLD = 10
_RELEASED = r"(?:-\d{4}-[A-Z]|-\d\.\d\.\d)?"  # of 10x Genomics: GRCh38-2020-A, mm10-1.2.0
_NAMED = (
    rf"(?:GRC[hm]\d+(?:\.p\d+)?|hg\d\d+|mm(?:[7-9]|\d\d+)){_RELEASED}"
    r"|T2T-CHM13(?:v\d+(?:\.\d+)?)?|human|mouse"
)
_ASSEMBLY = re.compile(rf"({_NAMED})[{_BETWEEN}]", re.IGNORECASE)
#: Behind a gene, or before it between other signs: R's data frames make dots of most.
_OTHERWISE = re.compile(
    rf"(?P<before>.*[^./| ({_BETWEEN}])[./| ({_BETWEEN}]+(?P<last>{_NAMED})\)?"
    rf"|(?P<first>{_NAMED})(?!\.p?\d+[./| {_BETWEEN}])[./| ]+(?P<behind>.+)",
    re.IGNORECASE,
)
_FIRST_PART = re.compile(rf"(\w[\w.]*?)[{_BETWEEN}]")
#: Of all names: with fewer, what stands before a name is that of a construct or of a family.
_LEAST_OF_ASSEMBLIES, _LEAST_OF_A_GENOME = 0.02, 0.01
#: A word is no assembly, and stands in names of antibodies and constructs: mouse_IgG2a, TERT_human.
_WORDS_FOR_GENOMES, _LEAST_OF_WORDS = {"human", "mouse"}, 0.25
#: Names of assemblies, and ids of Ensembl; what is none of them is a virus, a control, or unknown.
_ASSEMBLIES = {
    "human": re.compile(r"grch\d|hg\d|(t2t|chm13)|human|homo|hsap"),
    "mouse": re.compile(r"grcm\d|mm\d|mouse|mus_?m|mmus"),
}
_IDS = {"human": re.compile(r"ENSG\d"), "mouse": re.compile(r"ENSMUSG\d")}
_ORGANISMS = {"ENSG": "human", "ENSMUSG": "mouse"}


@dataclass(frozen=True)
class Chosen:
    """The genes among features.

    Parameters
    ----------
    columns : ndarray of int, of shape (n_genes,)
        Where they stand.
    ids, symbols : list of str
        Of the genes, without the name of their genome.
    repairs : list of str
        What was left out, in sentences.
    """

    columns: np.ndarray
    ids: list[str]
    symbols: list[str]
    repairs: list[str]


def choose_genes(
    ids: Sequence[str],
    symbols: Sequence[str],
    where: str,
    *,
    kinds: Sequence[Any] | None = None,
    genomes: Sequence[Any] | None = None,
    organism: str = "",
) -> Chosen:
    """Leave out features that are no genes, and genes of another genome than the dataset's.

    Parameters
    ----------
    ids, symbols : sequence of str
        Of the features; one that is not told (``None``, nan, ``pandas.NA``) goes by the other.
    where : str
        What holds them, for messages.
    kinds, genomes : sequence, optional
        The type of each feature, and the genome it is of. Where genomes are not told, or all are
        said to be one, they are taken from ids such as ``GRCh38_ENSG00000186092``.
    organism : str
        Of the dataset: ``"human"`` or ``"mouse"``; asked for where there are several genomes.

    Raises
    ------
    CountsError
        If no feature is a gene, a gene has no name, or which genome is meant is unclear.
    """
    ids, symbols = _names(ids, symbols, where)
    columns, repairs = _of_genes(_words(kinds), len(ids), where)
    columns, more = _without_deprecated(columns, ids, symbols)
    repairs += more
    nameless = [i for i in columns if ids[i] in NO_ID and symbols[i] in NO_ID]
    if len(nameless) > 1:  # which would be added up
        raise CountsError(
            f"{len(nameless)} features of {where} have no name, but {ids[nameless[0]]!r} (feature"
            f" {nameless[0] + 1} first). Name them, or leave them out."
        )
    if mostly_ensembl(symbols) and not mostly_ensembl(ids):
        ids, symbols = symbols, ids
        repairs.append("Ids and symbols of the genes stood in each other's place, exchanged.")
    ids = _genome_first([symbols[i] if ids[i] in NO_ID else ids[i] for i in columns])
    symbols = _genome_first([symbols[i] for i in columns])
    told = _words(genomes)
    named = [told[i].rstrip(_BETWEEN) for i in columns] if told else []
    if len(set(named)) < 2:  # "GRCh38_and_mm10" is the name of one reference, not of one genome
        prefixes = _genomes_in(ids)
        named = prefixes if not named or len(set(prefixes)) > 1 else named
    known = Counter(named)
    if len(known) > 1:
        kept = _genome_of(organism, known, ids, named, where)
        nameless = [row for row, name in enumerate(named) if kept and not name]
        own = _called_as_in(organism, {row: ids[row] for row in nameless})
        named = [kept if row in own else name for row, name in enumerate(named)]
        rows = [row for row, name in enumerate(named) if name == kept]
        others = ", ".join(name or "without a name" for name in sorted(set(named)) if name != kept)
        if others:
            repairs.append(
                f"Genes of other genomes than {kept or 'the one without a name'}, dropped:"
                f" {len(ids) - len(rows)} ({others})."
            )
        columns = columns[rows]
        ids, symbols = [ids[row] for row in rows], [symbols[row] for row in rows]
        known = Counter({kept: len(rows)})
    (genome,) = known or ("",)
    symbols = _without(genome, symbols)
    named = [match[1] for symbol in symbols if (match := _ASSEMBLY.match(symbol))]
    if len(set(named)) == 1:  # where ids are Ensembl's, symbols alone may name it
        symbols = _without(named[0], symbols)
    return Chosen(columns, _without(genome, ids), symbols, repairs)


def mostly_ensembl(names: Sequence[str]) -> bool:
    """Return whether more than half of the names hold an id of Ensembl."""
    return sum(bool(_ENSEMBL.search(name)) for name in names) * 2 > len(names)


def has_genes(kinds: Iterable[str]) -> bool:
    """Return whether one of several types is that of genes, however it is written."""
    return _plain(GENES) in map(_plain, kinds)


def _of_genes(kinds: list[str], n_features: int, where: str) -> tuple[np.ndarray, list[str]]:
    if not kinds:
        return np.arange(n_features), []
    plain, wanted = [_plain(kind) for kind in kinds], _plain(GENES)
    if _BIOTYPE in plain:
        return np.arange(n_features), []
    genes = np.flatnonzero([kind == wanted for kind in plain])
    if n_features and not len(genes):
        found = sorted(set(kinds))
        more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
        raise CountsError(
            f"No feature of {where} is of type {GENES!r}; found"
            f" {', '.join(found[:_MOST_TOLD])}{more}."
            f" Give the matrix of gene expression, or correct the types of the features."
        )
    dropped = n_features - len(genes)
    return genes, [f"Features that are no genes, dropped: {dropped}."] if dropped else []


def _without_deprecated(
    columns: np.ndarray, ids: Sequence[str], symbols: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Leave out probes that their maker withdrew, as Space Ranger does in its filtered matrix.

    Added to the gene that they are called after, or beside it, they would count what they bind to.
    """
    # Seurat turns underscores into dashes.
    forms = tuple(f"{_DEPRECATED[:-1]}{between}" for between in _BETWEEN)
    kept = [i for i in columns if not (ids[i].startswith(forms) or symbols[i].startswith(forms))]
    dropped = len(columns) - len(kept)
    if not dropped or not kept:
        return columns, []
    return np.array(kept), [f"Probes that are called deprecated, dropped: {dropped}."]


def _plain(kind: str) -> str:
    """Return a type without capital letters and what R makes of blanks."""
    return re.sub(r"[\W_]+", " ", kind).casefold()


def _words(values: Sequence[Any] | None) -> list[str]:
    """Return values as text, empty where nothing is told; an empty list where nothing is at all."""
    told = ["" if is_missing(value) else str(value).strip() for value in values or ()]
    words = ["" if word in NO_ID else word for word in told]
    return words if any(words) else []


def _names(ids: Sequence[Any], symbols: Sequence[Any], where: str) -> tuple[list[str], list[str]]:
    """Return ids and symbols as text, of which one that is not told is as the other."""
    pairs = [
        (second if is_missing(first) else first, first if is_missing(second) else second)
        for first, second in zip(ids, symbols, strict=True)
    ]
    for number, (name, _) in enumerate(pairs, start=1):
        if is_missing(name):
            raise CountsError(
                f"Feature {number} of {where} has neither an id nor a symbol. Name it, or leave it"
                " out."
            )
    return [str(first) for first, _ in pairs], [str(second) for _, second in pairs]


def _genomes_in(ids: Sequence[str]) -> list[str]:
    """Return the genome of each gene by its id; without prefixes, its organism where it is told."""
    known = {match[1] for gene in ids if (match := _PREFIXED.fullmatch(gene))}
    known |= {match[1] for gene in ids if (match := _ASSEMBLY.match(gene))}
    if len(known) > _MOST_GENOMES:  # ids such as TSPAN6_ENSG00000000003
        known = set()
    longest_first = sorted(known, key=len, reverse=True)
    prefixes = [
        next((name for name in longest_first if _bare(gene, name) != gene), "") for gene in ids
    ]
    if ids and all(prefixes):  # where only some have one, it is no genome
        return prefixes
    if beside := _beside_assemblies(ids):
        return beside
    codes = [match[0] if (match := _CODE.match(gene)) else "" for gene in ids]
    found = [_ORGANISMS.get(code, code) for code in codes]
    return found if len(set(found) - {""}) > 1 else [""] * len(ids)


def _genome_first(names: Sequence[str]) -> list[str]:
    """Return names as most write them where a part name an assembly otherwise: ``TP53_GRCh38``."""
    found = [_OTHERWISE.fullmatch(name) for name in names]
    if not _are_genomes([match["last"] or match["first"] if match else "" for match in found]):
        return list(names)
    return [
        f"{match['last'] or match['first']}_{match['before'] or match['behind']}" if match else name
        for match, name in zip(found, names, strict=True)
    ]


def _are_genomes(told: Sequence[str]) -> bool:
    """Return whether what some names tell, "" for the others, are the genomes of all."""
    named = [name for name in told if name]
    are_words = {name.casefold() for name in named} <= _WORDS_FOR_GENOMES
    least = _LEAST_OF_WORDS if are_words else _LEAST_OF_ASSEMBLIES
    return len(named) >= least * len(told)


def _beside_assemblies(ids: Sequence[str]) -> list[str]:
    """Return the genome of each gene where a part of them name an assembly; else nothing.

    The other genes are then of something else, which their names tell (``rn7_Tp53``) or not.
    """
    assembled = [match[1] if (match := _ASSEMBLY.match(gene)) else "" for gene in ids]
    assemblies = set(assembled) - {""}
    if not assemblies or not _are_genomes(assembled):
        return []
    parts = [
        name or (match[1] if (match := _FIRST_PART.match(gene)) else "")
        for name, gene in zip(assembled, ids, strict=True)
    ]
    least = _LEAST_OF_A_GENOME * len(ids)
    common = {name for name, n in Counter(parts).items() if n >= least} | assemblies
    return [name if name in common else "" for name in parts]


def organism_of(assembly: str) -> str:
    """Return whose genome an assembly is, by its name; "" where that does not say it.

    >>> organism_of("GRCh38"), organism_of("mm10-2020-A"), organism_of("virus")
    ('human', 'mouse', '')
    """
    name = assembly.casefold()
    return next((organism for organism, form in _ASSEMBLIES.items() if form.match(name)), "")


def _genome_of(
    organism: str, known: Counter[str], ids: Sequence[str], named: Sequence[str], where: str
) -> str:
    """Return which genome is the organism's: by its name, else by the ids of its genes."""
    form = _IDS.get(organism)
    fitting = [name for name in known if organism and organism_of(name) == organism]
    if not fitting and form:
        bare = Counter(
            name for name, gene in zip(named, ids, strict=True) if form.match(_bare(gene, name))
        )
        fitting = [name for name, found in bare.items() if found > known[name] / 2]
    if len(fitting) == 1:
        return fitting[0]
    each = ", ".join(
        f"{name or 'without a name'} ({counted(n, 'gene')})" for name, n in known.items()
    )
    raise unclear(f"{where} holds genes of several genomes: {each}", organism)


def unclear(what: str, organism: str) -> CountsError:
    """Return the error that it is not clear which of several genomes is meant.

    Parameters
    ----------
    what : str
        What holds them, and which they are.
    organism : str
        Of the dataset; empty where it is not told.
    """
    whose = organism or "the dataset, whose organism is not told,"
    advice = "Give" if organism else "Declare the organism (human or mouse), or give"
    return CountsError(
        f"{what}; which of them is that of {whose} is unclear. {advice} a matrix of one genome."
    )


def _called_as_in(organism: str, names: Mapping[int, str]) -> set[int]:
    """Return which of the genes whose genome is not told are the organism's, by their names.

    Those that another organism has, too, are so only where none is another's alone.
    """
    from spared_bench.processing.annotation import TABLES, gene_names
    from spared_bench.readers.genes import without_version

    if organism not in TABLES:
        return set()
    bare = dict(zip(names, without_version(list(names.values())), strict=True))
    own = {row for row, name in bare.items() if name in gene_names(organism)}
    others = {
        row
        for other in TABLES.keys() - {organism}
        for row, name in bare.items()
        if name in gene_names(other)
    }
    return own - others if others - own else own


def _without(genome: str, names: list[str]) -> list[str]:
    """Cut the name of the genome off, where it stands before every name."""
    cut = [_bare(name, genome) for name in names]
    return cut if all(short != name for short, name in zip(cut, names, strict=True)) else names


def _bare(gene: str, genome: str) -> str:
    """Return a name without that of its genome before it; as it is where that is another one."""
    rest = gene.removeprefix(genome) if genome else gene
    return rest.lstrip(_BETWEEN) if rest != gene and rest[:1] in tuple(_BETWEEN) else gene
