"""The figures of the completion benchmark: errors over datasets, over masking, and gene maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.completion.benchmark import CompletionResult, Condition, Task
from spared_bench.completion.measures import FIRST, MEASURES
from spared_bench.geometry import spacing
from spared_bench.reports.drawing import colour_limits, draw_spots, frame_spots, plain
from spared_bench.reports.own_style import in_own_style
from spared_bench.reports.saved_figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST_FOR_A_VIOLIN = 3
_COLUMNS = 3
_MAP_RATES = (0.3, 0.5, 0.7)


@in_own_style()
def draw_figures(
    results: Sequence[CompletionResult], tasks: Sequence[Task], shown: Sequence[str], folder: Path
) -> list[Path]:
    """Write all figures into a folder, which is made if need be.

    Parameters
    ----------
    results : sequence of CompletionResult
    tasks : sequence of Task
        The datasets whose maps are drawn.
    shown : sequence of str
        The completers in the maps, of a dataset those that have results on it.
    folder : Path

    Returns
    -------
    list of Path
        ``datasets.png``, ``masking.png`` where there are rates, and ``map_<dataset>.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"datasets": draw_datasets(results)}
    if any(result.condition.rule == "fraction" for result in results):
        drawn["masking"] = draw_masking(results)
    for task in tasks:
        # One that failed on a dataset has nothing to draw there.
        done = {result.completer for result in results if result.dataset == task.dataset}
        drawn[f"map_{task.dataset}"] = draw_map(task, [name for name in shown if name in done])
    written = []
    for name, figure in drawn.items():
        written.append(folder / f"{name}.png")
        save_figure(figure, written[-1], dpi=130)
    return written


@in_own_style()
def draw_datasets(results: Sequence[CompletionResult]) -> Figure:
    """Draw the errors of every completer, a point per dataset, under one condition a panel.

    From three datasets on, a violin shows their spread.
    """
    # Where nothing is missing, prob_median hides nothing, and there is no error to show.
    told = [result for result in results if result.mean(FIRST) > 0]
    known = list(dict.fromkeys(result.condition for result in told or results))
    chosen = [
        each for each in (Condition("fraction", 0.3), Condition("prob_median")) if each in known
    ]
    chosen = chosen or known[:1]
    completers = _names(results)
    datasets = list(dict.fromkeys(result.dataset for result in results))
    width = 1.5 + len(chosen) * (1.0 + 0.55 * len(completers))
    figure, panels = _panels(len(chosen), len(chosen), (width, 4.6))
    for axes, condition in zip(panels, chosen, strict=True):
        for place, completer in enumerate(completers):
            errors = {
                result.dataset: result.mean(FIRST)
                for result in results
                if (result.completer, result.condition) == (completer, condition)
            }
            _draw_spread(axes, place, list(errors.values()), _colour(completers, completer))
            for dataset, error in errors.items():
                marker = "osD^vP*X"[datasets.index(dataset) % 8]
                axes.plot(place, error, marker, color="black", markersize=4.5, zorder=3)
        axes.set_xticks(
            range(len(completers)), list(map(plain, completers)), rotation=40, ha="right"
        )
        _scale(axes)
        axes.set_title(_title(condition))
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel(f"{MEASURES[FIRST]} at hidden entries")
    for number, dataset in enumerate(datasets):
        panels[-1].plot(
            [], [], "osD^vP*X"[number % 8], color="black", markersize=4.5, label=plain(dataset)
        )
    panels[-1].legend(fontsize=8)
    return figure


@in_own_style()
def draw_masking(results: Sequence[CompletionResult]) -> Figure:
    """Draw error against the part of the entries that was hidden, a panel per dataset."""
    results = [result for result in results if result.condition.rule == "fraction"]
    completers, datasets = _names(results), list(dict.fromkeys(r.dataset for r in results))
    columns = min(_COLUMNS, len(datasets))
    rows = -(-len(datasets) // columns)
    figure, panels = _panels(len(datasets), columns, (4.2 * columns + 1.7, 3.6 * rows + 0.4))
    for axes, dataset in zip(panels, datasets, strict=True):
        for completer in completers:
            here = sorted(
                (r for r in results if (r.dataset, r.completer) == (dataset, completer)),
                key=lambda result: result.condition,
            )
            rates = [result.condition.rate for result in here]
            mean = np.array([result.mean(FIRST) for result in here])
            sd = np.nan_to_num([result.sd(FIRST) for result in here])
            colour = _colour(completers, completer)
            axes.plot(rates, mean, "o-", color=colour, markersize=3.5, label=plain(completer))
            axes.fill_between(
                rates, np.maximum(mean - sd, 1e-9), mean + sd, color=colour, alpha=0.2
            )
        _scale(axes)
        axes.set_title(plain(dataset))
        axes.set_xlabel("part of all entries hidden")
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel(f"{MEASURES[FIRST]} at hidden entries")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


@in_own_style()
def draw_map(task: Task, shown: Sequence[str], rates: Sequence[float] = _MAP_RATES) -> Figure:
    """Draw one gene on one slide: truth, what is left, and what each completer makes of it.

    The gene is the most autocorrelated one, the slide the first of the evaluated split; a row is a
    rate. Spots without a value are grey. Errors are of the hidden entries of that gene and slide.
    """
    gene = int(np.argmax(task.prepared.adata.var["moran_i"].to_numpy()))
    symbol = task.prepared.adata.var["gene_name"].iloc[gene]
    slides = task.slides
    here = slides.slide_ids == slides.slide_ids[0]
    truth, measured = slides.target[here, gene], slides.mask[here, gene]
    titles = ["measured", "left", *map(plain, shown)]
    places = slides.coordinates[here]
    pitch, shape = spacing(places), np.ptp(places, axis=0)
    height = 2.3 * float(np.clip(shape[1] / max(shape[0], 1), 0.5, 1.8)) + 0.35
    figure, panels = _panels(
        len(rates) * len(titles), len(titles), (2.3 * len(titles) + 0.9, height * len(rates) + 0.5)
    )
    scale = colour_limits(truth[measured])
    draws = [(Condition("fraction", rate), 0) for rate in rates]
    completed: dict[str, list[np.ndarray]] = {}
    for completer in shown:
        with task.asked(completer, draws) as ask:
            completed[completer] = [ask().complete(draw)[0][here, gene] for draw in draws]
    for row, (rate, draw) in enumerate(zip(rates, draws, strict=True)):
        gone = task.hidden(*draw)[here, gene]
        values = [np.where(measured, truth, np.nan), np.where(measured & ~gone, truth, np.nan)]
        values += [completed[completer][row] for completer in shown]
        for column, (title, each) in enumerate(zip(titles, values, strict=True)):
            axes = panels[row * len(titles) + column]
            drawn = draw_spots(axes, places, pitch, each, clim=scale)
            frame_spots(axes, places, pitch)
            error = np.square(each - truth)[gone]
            told = f"MSE {error.mean():.2f}" if column >= 2 and gone.any() else title
            axes.set_title(f"{title}: {told}" if column >= 2 else title, fontsize=8)
            if column == 0:
                axes.set_ylabel(f"{rate:.0%} hidden", fontsize=9)
    figure.colorbar(drawn, ax=panels, shrink=0.5, pad=0.01)
    title = f"{plain(symbol)} on {plain(task.dataset)} · {plain(slides.slide_ids[0])}"
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_spread(axes: Axes, place: float, errors: list[float], colour: Any) -> None:
    """Draw a violin on the log scale that the axes will have, if there are enough errors."""
    errors = [error for error in errors if error > 0]  # neither nan nor 0 has a place on the axis
    if len(errors) < _FEWEST_FOR_A_VIOLIN or np.ptp(np.log(errors)) < 1e-9:
        return
    from scipy.stats import gaussian_kde

    logs = np.log(errors)
    reach = np.ptp(logs) * 0.3
    grid = np.linspace(logs.min() - reach, logs.max() + reach, 80)
    density = gaussian_kde(logs)(grid)
    half = 0.4 * density / density.max()
    axes.fill_betweenx(np.exp(grid), place - half, place + half, color=colour, alpha=0.6)


def _scale(axes: Axes) -> None:
    """Make the axis of errors logarithmic, unless it has nothing that could be shown so."""
    if any(np.any(np.asarray(line.get_ydata(), dtype=float) > 0) for line in axes.lines):
        axes.set_yscale("log")


def _panels(number: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    rows = -(-number // columns)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(number)]


def _names(results: Sequence[CompletionResult]) -> list[str]:
    return list(dict.fromkeys(result.completer for result in results))


def _colour(completers: Sequence[str], completer: str) -> Any:
    from matplotlib import colormaps

    return colormaps["tab10"](list(completers).index(completer) % 10)


def _title(condition: Condition) -> str:
    if condition.rule == "fraction":
        return f"{condition.rate:.0%} of all entries hidden"
    return "as many hidden as are missing (prob_median)"
