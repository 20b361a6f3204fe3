"""How a run went, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spared_bench.cli.common import in_terminal, print_table, show_result
from spared_bench.cli.terminal import echo
from spared_bench.results import UNSCORED
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.api import Report
    from spared_bench.leaderboard import Known
    from spared_bench.results import TrialResult


def show_report(report: Report, as_json: bool) -> None:
    """Print what a run came to."""
    summary = _digest(report)
    values = {
        "protocol": report.plan.bench.protocol.id,
        "new_trials": report.new,
        "cached_trials": report.cached,
        "failed_trials": report.failed_trials,
        "failed": [result.as_dict() for result in report.failed],
        "unavailable": report.plan.unavailable,
        "seconds": report.seconds,
        "held_back": report.held_back,
        "not_begun": report.undone,
        "leaderboard": report.page,
        "summary": summary,
        "results": [result.as_dict() for result in report.results],
    }
    show_result(values, as_json, lambda: _print_report(report, summary))


def _digest(report: Report) -> list[str]:
    """Return the summary of a run of people's own slides; of others, the board is the place."""
    from spared_bench.leaderboard.digest import digest
    from spared_bench.sources.description import FACTORY

    bench = report.plan.bench
    if not all(bench.dataset(result.dataset).factory == FACTORY for result in report.results):
        return []
    return digest(*_as_on_the_page(report))


def _as_on_the_page(report: Report) -> tuple[list[TrialResult], Known]:
    """Return the results of a run, and what is known of them, as the page takes both.

    So that a dataset which the protocol does not list enters no mean and no rank here either.
    """
    from spared_bench.leaderboard.plugin_facts import known_to, with_what_is_known

    bench = report.plan.bench
    trials = with_what_is_known(report.results, [], bench.registry, [bench.protocol])
    return trials, known_to(bench.registry, [bench.protocol])


def _print_report(report: Report, summary: Sequence[str]) -> None:
    from spared_bench.leaderboard import terminal_table

    columns, rows = terminal_table(*_as_on_the_page(report))
    if rows:
        print_table(columns, rows)
    without = f", {counted(len(report.failed), 'cell')} without a score" if report.failed else ""
    echo(
        f"\n{counted(report.new, 'trial')} run, {report.cached} found in the store,"
        f" {report.failed_trials} failed{without}, in {report.seconds['wall']:.0f} s."
    )
    for predictor, number in report.held_back.items():
        echo(
            f"  {predictor} failed too often in a row: {counted(number, 'trial')} of it not begun."
            " `spared-bench status` shows why; `--retry-failed` begins again."
        )
    if report.undone:
        echo(f"  Not begun: {counted(report.undone, 'trial')}. The same command goes on from here.")
    for result in report.failed:
        told = f"{result.dataset} · {result.completer} · {result.predictor}"
        echo(f"  {told}: {result.status}: {in_terminal(result.message)}")
    for unscored in dict.fromkeys(each.facts.get(UNSCORED) for each in report.results):
        if unscored:
            echo(f"  {unscored}")
    if summary:
        echo("\n" + "\n".join(summary) + "\n")
    if report.page:
        echo(f"Leaderboard: {report.page}")
