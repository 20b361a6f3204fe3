"""What a check says on a pull request: Markdown in which nothing of the submission is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spared_bench.leaderboard.columns import number
from spared_bench.leaderboard.entries import MethodEntry
from spared_bench.leaderboard.text import score, visible
from spared_bench.specs import MetricSpec
from spared_bench.submissions.report import Report
from spared_bench.submissions.standing import Standing, standings
from spared_bench.words import counted

_MOST_ROWS = 20
_SPECIAL = re.compile(r"([\\`*_\[\]|~$]|^\s*[-+#=])")
_LINKED = re.compile(r"(@|#|:(?=//)|www(?=\.)|GH-)", re.IGNORECASE)
_FEW_DATASETS = 5
_MOST_METRICS = 3


def comment(
    report: Report,
    others: Iterable[MethodEntry],
    datasets: Sequence[str],
    metrics: Sequence[MetricSpec],
) -> str:
    """Return the comment.

    Parameters
    ----------
    report : Report
    others : iterable of MethodEntry
        Accepted entries of the protocol.
    datasets : sequence of str
        Those that are ranked.
    metrics : sequence of MetricSpec
        Of the protocol; the first is the one that ranks.
    """
    lines = [f"### Submission {plain(report.label)}: {_verdict(report)}", ""]
    if report.problems:
        lines += [f"It is {report.verdict} because of this:", ""]
        lines += [f"- {plain(problem, 1_000)}" for problem in report.problems]
    elif report.description is not None:
        ranked = [name for name in datasets if name in {each.dataset for each in report.results}]
        lines += _standing_lines(standings(report.results, others, ranked, metrics[0]), metrics[0])
        lines += _score_lines(report, metrics[:_MOST_METRICS])
    if report.flags:
        lines += ["", "Flags, for people to look at; none of them refuses it:", ""]
        lines += [
            f"- **{plain(flag.kind)}**{f' ({plain(flag.dataset)})' if flag.dataset else ''}:"
            f" {plain(flag.reason, 1_000)}"
            for flag in report.flags[:_MOST_ROWS]
        ]
        if len(report.flags) > _MOST_ROWS:
            lines.append(f"- and {len(report.flags) - _MOST_ROWS} more")
    if report.ok and report.who_goes_on:
        lines += ["", plain(report.who_goes_on, 1_000)]
    lines += ["", "Nothing of the submission was run: scores come from its predictions."]
    return "\n".join(lines) + "\n"


def plain(text: str, limit: int = 200) -> str:
    """Return a stranger's text as Markdown that shows it and does nothing else."""
    shown = visible(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An address, a #number or a @name would become a link, or call someone: a space of no width
    # prevents it.
    shown = _LINKED.sub("\\1\u200b", shown)
    return _SPECIAL.sub(r"\\\1", shown)


def _verdict(report: Report) -> str:
    if not report.ok:
        return report.verdict
    if not report.rescored:
        return "accepted as reported, nothing was re-scored"
    flags = f", {counted(len(report.flags), 'flag')}"
    return f"accepted as re-scored{flags if report.flags else ''}"


def _standing_lines(found: Sequence[Standing], metric: MetricSpec) -> list[str]:
    if not found:
        return ["It is not ranked: no completer has an error on every ranked dataset.", ""]
    lines = [
        f"| predictor | completer | rank | 95 % interval | norm. {plain(metric.title)} | best on |",
        "|---|---|---|---|---|---|",
    ]
    for each in found[:_MOST_ROWS]:
        lines.append(
            f"| {plain(each.predictor)} | {plain(each.completer)} | {each.rank} of {each.n_rows} |"
            f" {each.low} to {each.high} | {score(each.normalised_error)} |"
            f" {', '.join(map(plain, each.best_on)) or 'none'} |"
        )
    best = min(found, key=lambda each: each.rank)
    lines += ["", _change(best)]
    if best.n_datasets < _FEW_DATASETS:
        lines.append(
            f"With {counted(best.n_datasets, 'ranked dataset')}, an"
            " interval over datasets says little."
        )
    return [*lines, ""]


def _change(best: Standing) -> str:
    if not best.n_others:
        return "No accepted entry has all these datasets yet."
    if not best.overtaken:
        return "No accepted entry would change its rank."
    shown = ", ".join(plain(name) for name in best.overtaken[:5])
    more = f" and {len(best.overtaken) - 5} more" if len(best.overtaken) > 5 else ""
    return f"It would stand before {shown}{more}."


def _score_lines(report: Report, metrics: Sequence[MetricSpec]) -> list[str]:
    lines = [
        "| dataset | completer | predictor | seed |"
        + "".join(f" {plain(metric.title)} |" for metric in metrics),
        "|---|---|---|---|" + "---|" * len(metrics),
    ]
    for result in report.results[:_MOST_ROWS]:
        scores = next(iter(result.split_scores.values()), {})
        values = [(metric, scores.get(metric.name)) for metric in metrics]
        shown = ["–" if value is None else number(metric)(value) for metric, value in values]
        lines.append(
            f"| {plain(result.dataset)} | {plain(result.completer)} | {plain(result.predictor)} |"
            f" {result.seed} | {' | '.join(shown)} |"
        )
    if len(report.results) > _MOST_ROWS:
        lines += ["", f"and {len(report.results) - _MOST_ROWS} more results."]
    return lines
