"""Levels against their base: paired differences, their intervals, and the test that fits.

Pairs are cells that differ in nothing but the level. What is independent are slides, so slides are
the blocks of a test: seeds, completers and levels of other factors are averaged within each. Genes
of one slide are not independent of each other; an interval over genes speaks of these slides alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spared_bench.leaderboard.measures import is_comparable
from spared_bench.specs import MetricSpec
from spared_bench.statistics.effects import rank_biserial
from spared_bench.statistics.intervals import FEWEST_DATASETS, mean_interval
from spared_bench.statistics.omnibus import Friedman, friedman
from spared_bench.statistics.pairwise import holm, wilcoxon_p
from spared_bench.studies.model import Comparison, Study
from spared_bench.studies.results import Collected, StudyCell, comparable, mean
from spared_bench.words import counted

LEVEL = 0.05
#: What decides beside ``processing`` of what an error is.
_OF_WHAT = ("dataset", "scored_genes")
#: Where Wilcoxon's test of so few blocks cannot go below the level, whatever the values.
_FEWEST_BLOCKS = 6


@dataclass(frozen=True)
class Difference:
    """One level against another, of one method.

    Parameters
    ----------
    method : str
    factor, level, against : str
    n_pairs : int
        Cells that have both.
    n_blocks : int
        Slides that have both.
    mean_level, mean_against : float
        Over the blocks.
    difference : float
        Their difference, level minus base; nan without a block.
    low, high : float
        95 % interval of it over slides (Student's); nan for fewer than five.
    better : int or None
        Slides on which the level is better; ``None`` where that cannot be said, as the metric is of
        different quantities (``in_other_units``), and then neither effect nor test.
    n_genes : int
        Pairs of gene and cell that have both.
    gene_difference, gene_low, gene_high : float
        Mean difference over genes, and its 95 % interval over them.
    p : float
        Wilcoxon's signed-rank test over blocks, corrected by Holm over the comparisons of the
        factor and method; nan where it could not speak.
    effect : float
        Rank-biserial; positive where the level is better.
    says : str
        Which test was done, or why none.
    """

    method: str
    factor: str
    level: str
    against: str
    n_pairs: int = 0
    n_blocks: int = 0
    mean_level: float = math.nan
    mean_against: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    better: int | None = 0
    n_genes: int = 0
    gene_difference: float = math.nan
    gene_low: float = math.nan
    gene_high: float = math.nan
    p: float = math.nan
    effect: float = math.nan
    says: str = ""
    #: Level minus base of every block.
    of_blocks: tuple[float, ...] = ()


def compare(study: Study, collected: Collected, metric: MetricSpec) -> list[Difference]:
    """Hold every level against its base, method by method.

    Parameters
    ----------
    study : Study
    collected : Collected
    metric : MetricSpec
        By which they are compared.
    """
    found: list[Difference] = []
    apart = in_other_units(study, metric)
    for factor in study.factors:
        wanted = [each for each in study.comparisons() if each.factor == factor]
        for method in methods_of(study, collected, factor):
            made = [_difference(collected, each, method, metric) for each in wanted]
            found += [_unjudged(each) for each in made] if factor in apart else _tested(made)
    return found


def in_other_units(study: Study, metric: MetricSpec) -> list[str]:
    """Return the factors by whose levels an error is of another target, other genes or a dataset.

    A correlation and a coefficient of determination have none, nor has what lies between two ends.
    """
    if metric.undefined != "left_out" or is_comparable(metric):
        return []
    return [
        name
        for name, factor in study.factors.items()
        if any(
            path.startswith("processing.") or path in _OF_WHAT
            for label in factor.levels
            for path in factor.assigned(label)
        )
    ]


def of_other_genes(study: Study, collected: Collected) -> list[str]:
    """Return the factors of which a level predicts other genes, on one dataset, than its base."""
    found: dict[str, None] = {}
    for each in study.comparisons():
        with_method = methods_of(study, collected, each.factor) != [""]
        for cell, base in _pairs(collected, collected.cells, each, with_method=with_method):
            assert cell.result is not None and base.result is not None
            if cell.dataset == base.dataset and set(cell.result.genes) != set(base.result.genes):
                found[each.factor] = None
    return list(found)


def _unjudged(found: Difference) -> Difference:
    says = found.says or "Both are of different quantities, of which neither is the better."
    return replace(found, better=None, effect=math.nan, p=math.nan, says=says)


def methods_of(study: Study, collected: Collected, factor: str) -> list[str]:
    """Return the methods that a factor is compared for; one of no name where it chooses them."""
    levels = study.factors[factor]
    if any("method" in levels.assigned(label) for label in levels.levels):
        return [""]
    return collected.names("method")


def _difference(
    collected: Collected, wanted: Comparison, method: str, metric: MetricSpec
) -> Difference:
    cells = [cell for cell in collected.cells if not method or cell.method == method]
    pairs = _pairs(collected, cells, wanted, with_method=bool(method))
    empty = Difference(method or "(as the level says)", wanted.factor, wanted.level, wanted.against)
    if not pairs:
        return replace(empty, says="No pair of cells has both.")
    if all(_is_one_trial(*pair) for pair in pairs):
        return replace(
            empty, says="Both are the same trials: this method uses nothing that the factor sets."
        )
    first, second = blocks(pairs, metric.name)
    sign = -1.0 if metric.better == "lower" else 1.0
    difference = first - second
    gene = gene_differences(pairs, metric)
    low, high = mean_interval(difference) if len(difference) >= FEWEST_DATASETS else (math.nan,) * 2
    gene_low, gene_high = mean_interval(gene)
    return replace(
        empty,
        n_pairs=len(pairs),
        n_blocks=len(difference),
        of_blocks=tuple(map(float, difference)),
        mean_level=mean(list(first)),
        mean_against=mean(list(second)),
        difference=mean(list(difference)),
        low=low,
        high=high,
        better=int((sign * difference > 0).sum()),
        n_genes=len(gene),
        gene_difference=mean(list(gene)),
        gene_low=gene_low,
        gene_high=gene_high,
        effect=rank_biserial(-sign * first, -sign * second) if len(difference) else math.nan,
        p=wilcoxon_p(first, second) if len(difference) >= _FEWEST_BLOCKS else math.nan,
    )


def _is_one_trial(cell: StudyCell, base: StudyCell) -> bool:
    """Whether two cells are one training, scored alike."""
    ours, theirs = cell.result, base.result
    if ours is None or theirs is None or ours.key != theirs.key:
        return False
    first, second = ((each.slide_scores, each.gene_scores) for each in (ours, theirs))
    return repr(first) == repr(second)  # in which nan is nan


def _pairs(
    collected: Collected, cells: Iterable[StudyCell], wanted: Comparison, *, with_method: bool
) -> list[tuple[StudyCell, StudyCell]]:
    """Return (level, base) of all cells that agree in everything else."""
    done = [cell for cell in cells if cell.result is not None]
    level = collected.of(done, wanted.factor, wanted.level)
    against = collected.of(done, wanted.factor, wanted.against)
    left_out = _differs(level, against, with_method=with_method)
    base: dict[tuple[object, ...], list[StudyCell]] = {}
    for cell in against:
        base.setdefault(_place(cell, wanted.factor, left_out), []).append(cell)
    return [
        (cell, other)
        for cell in level
        for other in base.get(_place(cell, wanted.factor, left_out), [])
    ]


def _differs(*levels: Sequence[StudyCell], with_method: bool) -> tuple[str, ...]:
    """Return what levels select apart from each other: nothing of theirs is shared."""
    apart = tuple(
        name
        for name in ("dataset", "completer", "seed")
        if all(levels)
        and not set.intersection(*({getattr(cell, name) for cell in each} for each in levels))
    )
    return apart if with_method else (*apart, "method")


def _place(cell: StudyCell, factor: str, left_out: Sequence[str]) -> tuple[object, ...]:
    """Return what cells of two levels must agree in to be compared."""
    kept = [name for name in ("dataset", "completer", "method", "seed") if name not in left_out]
    others = tuple(sorted((k, v) for k, v in cell.levels.items() if k != factor))
    return (others, *(getattr(cell, name) for name in kept))


def blocks(
    pairs: Sequence[tuple[StudyCell, StudyCell]], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of level and base on every slide that both have, (n_blocks,) each.

    A slide is a block: seeds, completers and levels of other factors are averaged within it. Where
    level and base are of different slides, the dataset is the block; of different datasets, all of
    them are one, as no fold of one belongs to a fold of the other.
    """
    first: dict[tuple[str, str], list[float]] = {}
    second: dict[tuple[str, str], list[float]] = {}
    for cell, base in pairs:
        ours, theirs = cell.slides(metric), base.slides(metric)
        shared = [s for s in ours if s in theirs] if cell.dataset == base.dataset else []
        for slide in shared:
            if math.isfinite(ours[slide]) and math.isfinite(theirs[slide]):
                first.setdefault((cell.dataset, slide), []).append(ours[slide])
                second.setdefault((cell.dataset, slide), []).append(theirs[slide])
        if not shared:
            values = cell.score(metric), base.score(metric)
            if all(map(math.isfinite, values)):
                block = (cell.dataset if cell.dataset == base.dataset else "", "")
                first.setdefault(block, []).append(values[0])
                second.setdefault(block, []).append(values[1])
    return (
        np.array([mean(values) for values in first.values()]),
        np.array([mean(values) for values in second.values()]),
    )


def gene_differences(
    pairs: Sequence[tuple[StudyCell, StudyCell]], metric: MetricSpec
) -> np.ndarray:
    """Return level minus base of every gene of every dataset, seeds averaged, (n_genes,).

    Genes that only one side has are left out, and those whose scores are not ``comparable``.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for cell, base in pairs:
        ours, theirs = cell.genes(metric.name), base.genes(metric.name)
        for gene in (gene for gene in ours if gene in theirs):
            if values := comparable(ours[gene], theirs[gene], metric):
                found.setdefault((cell.dataset, gene), []).append(values[0] - values[1])
    return np.array([mean(values) for values in found.values()])


def _tested(differences: list[Difference]) -> list[Difference]:
    """Correct the p of one method and factor for their number, and say what was tested."""
    tested = [each for each in differences if math.isfinite(each.p)]
    corrected = iter(holm([each.p for each in tested]))
    done = []
    for each in differences:
        p = float(next(corrected)) if math.isfinite(each.p) else math.nan
        done.append(replace(each, p=p, says=each.says or _says(each, len(tested))))
    return done


def _says(difference: Difference, n_tests: int) -> str:
    n = difference.n_blocks
    if n < _FEWEST_BLOCKS:
        smallest = 2.0 ** (1 - n) if n else 1.0
        return (
            f"No test: of {counted(n, 'slide')}, the smallest p that a paired test could give"
            f" is {smallest:.3g}, whatever the scores."
        )
    smallest = min(1.0, n_tests * 2.0 ** (1 - n))
    over = counted(n_tests, "comparison")
    text = f"Wilcoxon's signed-rank test of {counted(n, 'slide')}, Holm over {over}"
    if smallest >= LEVEL:
        return f"{text}: cannot speak, its smallest possible p is {smallest:.3g}."
    return f"{text}."


def omnibus(
    study: Study, collected: Collected, metric: MetricSpec, factor: str, method: str
) -> Friedman | None:
    """Ask whether the levels of a factor differ at all, over slides that every level has.

    Returns
    -------
    Friedman or None
        ``None`` for fewer than three levels, or than five slides, for which the test's chi-squared
        is too coarse; and where the metric is of different quantities.
    """
    import pandas as pd

    if factor in in_other_units(study, metric):
        return None
    labels = list(study.factors[factor].levels)
    cells = [cell for cell in collected.done if not method or cell.method == method]
    of_levels = [collected.of(cells, factor, label) for label in labels]
    left_out = _differs(*of_levels, with_method=bool(method))
    places = [{_place(cell, factor, left_out) for cell in each} for each in of_levels]
    shared = set.intersection(*places)  # or a level's mean would be of other cells than another's
    table: dict[str, dict[tuple[str, str], float]] = {}
    for label, each in zip(labels, of_levels, strict=True):
        values: dict[tuple[str, str], list[float]] = {}
        for cell in each:
            if _place(cell, factor, left_out) in shared:
                for slide, value in cell.slides(metric.name).items():
                    values.setdefault((cell.dataset, slide), []).append(value)
        table[label] = {block: mean(found) for block, found in values.items()}
    frame = pd.DataFrame(table).dropna()
    if len(labels) < 3 or len(frame) < FEWEST_DATASETS:
        return None
    return friedman(frame)


def limits_of(collected: Collected, differences: Sequence[Difference]) -> list[str]:
    """Return what the comparisons cannot say, a sentence each."""
    told = [
        "Each level was trained on the same slides as its base: a difference is one of these"
        " settings on these slides, and not of all tissue."
    ]
    seeds = {cell.seed for cell in collected.cells}
    if len(seeds) == 1:
        told.append(
            "One seed: whether another training with the same settings would be as far away is not"
            " known. Give the study more `seeds` to see."
        )
    blocks_of = {each.n_blocks for each in differences if each.n_pairs}
    if blocks_of and max(blocks_of) < _FEWEST_BLOCKS:
        told.append(
            "Fewer than six slides are compared, so no test of two levels can find anything: the"
            " intervals over genes show how the genes of these slides differ, and genes of one"
            " slide are not independent of each other."
        )
    genes: dict[str, set[frozenset[str]]] = {}
    for cell in collected.done:
        assert cell.result is not None
        genes.setdefault(cell.dataset, set()).add(frozenset(cell.result.genes))
    if moved := [dataset for dataset, chosen in genes.items() if len(chosen) > 1]:
        told.append(
            f"Not all levels predict the same genes on {', '.join(moved)}: a difference over slides"
            " is there one of means over each level's own genes, and a difference over genes is of"
            " those that both levels have."
        )
    donors = _shared_donors(collected.done)
    if donors:
        told.append(
            f"Training and tested slides share donors on {', '.join(donors)}: scores there speak of"
            " other sections, not of other people."
        )
    return told


def _shared_donors(cells: Iterable[StudyCell]) -> list[str]:
    found: Mapping[str, None] = {
        cell.dataset: None
        for cell in cells
        if cell.result is not None and cell.result.facts.get("shared_donors")
    }
    return list(found)
