"""What the comparisons of a study come to, a sentence for each factor and method."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from spared_bench.leaderboard.text import score
from spared_bench.specs import MetricSpec
from spared_bench.studies.comparing import LEVEL, Difference
from spared_bench.studies.text import signed

_MOST_NAMED = 4


def in_short(
    differences: Sequence[Difference], metric: MetricSpec, other_genes: Collection[str] = ()
) -> list[str]:
    """Say of each factor and method which level is best, and which differ from the base.

    Parameters
    ----------
    differences : sequence of Difference
        Of a study, as ``compare`` returns them.
    metric : MetricSpec
        By which they were compared.
    other_genes : collection of str
        Factors whose levels predict other genes than their base.
    """
    found: dict[tuple[str, str], list[Difference]] = {}
    for each in differences:
        found.setdefault((each.factor, each.method), []).append(each)
    told = []
    for (factor, method), mine in found.items():
        base = mine[0].against  # a study's own pairs of other levels come last
        known = [e for e in mine if e.against == base and math.isfinite(e.difference)]
        if known:
            name = factor if method.startswith("(") else f"{factor}, {method}"
            genes = _over_shared_genes(known) if factor in other_genes else ""
            told.append(f"{name}: {_best(known, metric)} {_differing(known)}{genes}")
    return told


def _best(known: Sequence[Difference], metric: MetricSpec) -> str:
    sign = -1.0 if metric.better == "lower" else 1.0
    best = max(known, key=lambda each: sign * each.difference)
    which = "lowest" if metric.better == "lower" else "highest"
    if sign * best.difference <= 0:
        return f"no level has a {which[:-3]}er {metric.title} than the base, {best.against}."
    return (
        f"{best.level} has the {which} {metric.title}, {score(best.mean_level)};"
        f" {best.against}, the base, has {score(best.mean_against)}."
    )


def _over_shared_genes(known: Sequence[Difference]) -> str:
    """Say how levels of other genes differ over those that both have."""
    shared = [each for each in known if math.isfinite(each.gene_difference)]
    named = [f"{each.level} ({signed(each.gene_difference)})" for each in shared[:_MOST_NAMED]]
    more = f" and {len(shared) - _MOST_NAMED} more" if len(shared) > _MOST_NAMED else ""
    told = " Levels predict different genes, some of which are easier, so this may be their doing."
    if not named:
        return told
    return f"{told} Over the genes that both have, from the base: {', '.join(named)}{more}."


def _differing(known: Sequence[Difference]) -> str:
    tested = [each for each in known if math.isfinite(each.p)]
    if tested:
        clear = [each for each in tested if each.p < LEVEL]
        ground = f"By the test over slides, at p < {LEVEL:g},"
    else:
        clear = [each for each in known if each.gene_low > 0 or each.gene_high < 0]
        ground = "By the interval over the genes of these slides alone,"
        if len(known) > 1:  # the test is corrected for their number
            ground += " each level for itself,"
    if not any(math.isfinite(each.gene_low) for each in known) and not tested:
        return "There is neither a test over slides nor an interval over genes."
    if not clear:
        return f"{ground} none of {len(known)} differs from the base."
    ordered = sorted(clear, key=lambda each: -abs(each.difference))
    named = [f"{each.level} ({signed(each.difference)})" for each in ordered[:_MOST_NAMED]]
    more = f" and {len(clear) - _MOST_NAMED} more" if len(clear) > _MOST_NAMED else ""
    verb = "differs" if len(clear) == 1 else "differ"
    return f"{ground} {len(clear)} of {len(known)} {verb}: {', '.join(named)}{more}."
