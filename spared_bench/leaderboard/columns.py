"""The columns of the board, one line each; every table, download and page is made from this list.

A column has one value per row, or one per row and metric, dataset, or both (``per``). Its key and
title may hold ``{metric}``, a title also ``{error}``: what the error by a metric is called. Files
(CSV, JSON) hold every column with all digits; ``but_not`` names the views for people that leave one
out. On the page, columns that follow from the reader's filters and choice of metric (rank, means,
intervals) are computed there; of all others it shows the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spared_bench.leaderboard.measures import can_be_normalised, error_title, is_comparable
from spared_bench.leaderboard.model import (
    BoardDataset,
    DatasetScores,
    Mean,
    ProtocolBoard,
    Row,
    Score,
    Summary,
)
from spared_bench.leaderboard.text import (
    NONE,
    coverage,
    difference,
    duration,
    entry_name,
    fixed,
    predictor_name,
    row_name,
    score,
)
from spared_bench.leaderboard.text import count as short_count
from spared_bench.specs import MetricSpec

View = Literal["console", "markdown", "page"]
Per = Literal["metric", "dataset"]


@dataclass(frozen=True)
class Place:
    """Where a value stands on a board: in a row, and for some columns at a dataset or a metric."""

    board: ProtocolBoard
    row: Row
    dataset: BoardDataset | None = None
    metric: MetricSpec | None = None

    @property
    def spec(self) -> MetricSpec:
        """The metric of a column that has one value for each; else the one that ranks."""
        found = self.metric or next(iter(self.board.metrics), None)
        return found or MetricSpec("none", "none:none")

    @property
    def about(self) -> BoardDataset:
        """The dataset of a column that has one value for each."""
        assert self.dataset is not None
        return self.dataset

    @property
    def scores(self) -> DatasetScores:
        """What the row has on the dataset."""
        return self.row.datasets[self.about.name]

    @property
    def score(self) -> Score:
        """What the row has on the dataset by the metric."""
        return self.scores.score(self.spec)

    @property
    def summary(self) -> Summary:
        """What the row has over all datasets that count, by the metric."""
        return self.row.summary(self.spec)


def shown(value: Any) -> str:
    """Return any value as people read it."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return score(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    key : str
        In CSV, JSON and addresses.
    title, explanation : str
        Of its heading, and of what it says.
    value : callable
        ``Place`` to a number, a text, a bool or ``None``; what is sorted and exported. nan is
        undefined.
    text : callable, optional
        ``Place`` to what people read, where it is more than the value.
    per : tuple of {"metric", "dataset"}
        Beside the row.
    parts : tuple of str
        Of a value that is a sequence: the ends of its keys in files.
    but_not : tuple of {"console", "markdown", "page"}
        Views that leave it out.
    hidden : bool
        Whether the page shows it only if asked to.
    only : callable, optional
        For which metrics the views for people show it.
    ranks : bool
        Whether they show it of the metric that ranks, or that the reader chose, and of no second.
    if_any : bool
        Whether small tables leave it out where no row has a value.
    """

    key: str
    title: str
    explanation: str
    value: Callable[[Place], Any]
    text: Callable[[Place], str] | None = None
    per: tuple[Per, ...] = ()
    parts: tuple[str, ...] = ()
    but_not: tuple[View, ...] = ()
    hidden: bool = False
    only: Callable[[MetricSpec], bool] = lambda metric: True
    ranks: bool = False
    computed: bool = False
    if_any: bool = False

    def metrics(self, board: ProtocolBoard) -> Sequence[MetricSpec | None]:
        """Return of which metrics a small table shows it; none where it is not shown."""
        if self.if_any and not self._is_anywhere(board):
            return ()
        if "metric" not in self.per:
            return (None,)
        return [each for each in board.headline[: 1 if self.ranks else 2] if self.only(each)]

    def _is_anywhere(self, board: ProtocolBoard) -> bool:
        """Whether a row has a value, on any dataset where it has one for each."""
        datasets = board.datasets if "dataset" in self.per else (None,)
        return any(
            self.value(Place(board, row, dataset)) is not None
            for row in board.rows
            for dataset in datasets
        )

    def read(self, place: Place) -> str:
        """Return what people read at a place."""
        return shown(self.value(place)) if self.text is None else self.text(place)

    @property
    def id(self) -> str:
        """What the page calls it, whatever the metric."""
        return self.key.replace("{metric}", "score") + ("_interval" if self.parts else "")

    def titled(self, metric: MetricSpec | None) -> str:
        """Return the heading for a metric."""
        named = self.title.replace("{metric}", metric.title if metric else "")
        return named.replace("{error}", error_title(metric) if metric else "")


def number(metric: MetricSpec) -> Callable[[float], str]:
    """Return how values of a metric are written: fixed decimals on a bounded scale."""
    return fixed if is_comparable(metric) else score


def _rank(at: Place) -> str:
    if at.row.control:
        return "control"
    if at.row.origin.withdrawn is not None:
        return "withdrawn"
    return shown(at.row.rank)


def _name(at: Place) -> str:
    origin = at.row.origin
    if not origin.method:
        return _predictor(at)
    return entry_name(origin, at.row.predictor)


def _predictor(at: Place) -> str:
    return predictor_name(at.row.origin, at.row.predictor)


def _claimed(at: Place, text: str) -> str:
    """Say of what nobody has seen here that it is claimed."""
    return text if at.row.origin.trained_here or text == NONE else f"{text} (claimed)"


def _mean(mean: Mean, write: Callable[[float], str]) -> str:
    part = coverage(mean.covered, mean.total)
    return write(mean.value) + (f" ({part})" if part else "")


def _score(at: Place) -> str:
    write, found, scores = number(at.spec), at.score, at.scores
    text = write(found.mean)
    if not math.isnan(found.sd):
        text += f" ± {write(found.sd)}"
    if scores.failed and scores.seeds:
        text += f" ({scores.seeds}/{scores.seeds + scores.failed} seeds)"
    return text


def _interval(bounds: tuple[float, float], write: Callable[[float], str]) -> str:
    return NONE if math.isnan(bounds[0]) else f"{write(bounds[0])} to {write(bounds[1])}"


def _overall(at: Place) -> str:
    return _interval(at.summary.interval, score if can_be_normalised(at.spec) else number(at.spec))


def _field_of_view(at: Place) -> str:
    um = at.row.field_of_view_um
    return NONE if um is None else _claimed(at, f"{um:,.0f} µm")


def _seen(at: Place) -> str:
    """Say whether an encoder may have seen test slides; the ranking says how it begins."""
    text = at.row.encoder.get("seen", "")
    kind, _, names = text.partition(": ")
    if sum(each in text for each in ("unknown", "overlap: ", "declared: ")) > 1:
        return f"may have seen test slides: {text}"  # it is not the same on all datasets
    said = {
        "": NONE,
        "unknown": "may have seen test slides: its makers do not say",
        "overlap": f"has seen test slides: {names}",
        "declared": "no slides" if names == "none" else f"other slides, say its makers: {names}",
    }
    return said.get(kind, text)


def _gain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _signed(at: Place, value: float) -> str:
    return NONE if math.isnan(value) else f"{'+' if value >= 0 else ''}{number(at.spec)(value)}"


def _worst_drop(at: Place) -> str:
    drop = at.row.worst_drop
    return NONE if drop is None else f"{difference(drop)} ({at.row.worst_shift})"


def _flags(at: Place) -> str:
    found = [flag for flag in at.row.origin.flags if flag.dataset in ("", at.about.name)]
    return "; ".join(f"{flag.kind}: {flag.reason}" for flag in found)


def _shows_mean(metric: MetricSpec) -> bool:
    # A mean of errors in the units of different datasets says little beside the normalised one.
    return is_comparable(metric) or not can_be_normalised(metric)


_TEXTS: tuple[View, ...] = ("console", "markdown")
_VIEWS: tuple[View, ...] = (*_TEXTS, "page")
_CELL: tuple[Per, ...] = ("dataset", "metric")

# fmt: off
COLUMNS: list[Column] = [
    Column("protocol", "Protocol", "What all but the method is fixed by.", lambda at: at.board.protocol, but_not=_VIEWS),
    Column("rank", "Rank", "By the mean normalised error of the chosen metric (its mean, where it has no perfect value), among rows that have a result for every seed on every dataset that counts. Controls and withdrawn entries are not ranked; the protocol may rank the rows of one completer only, or of every method the best. Generated datasets, and those that repeat the slides of others, enter no mean and no rank.", lambda at: at.row.rank, _rank, computed=True),
    Column("name", "Method", "The predictor, or the method and version of an entry of others.", lambda at: row_name(at.row.origin, at.row.predictor), _name, but_not=("console",), computed=True),
    Column("predictor", "Predictor", "What maps patches to expression.", lambda at: at.row.predictor, _predictor, but_not=("markdown", "page")),
    Column("completer", "Completer", "What filled unmeasured entries of the training target. Scores count measured entries only, whatever the completer.", lambda at: at.row.completer),
    Column("trust", "Trust", "Reported: published numbers, not checked. Re-scored: computed here from submitted predictions. Reproduced: trained and scored here. Imported: what `store import` brought from another workspace. Brought: scored here, by `spared-bench score`, from predictions made elsewhere.", lambda at: at.row.origin.trust, but_not=_TEXTS),
    Column("claimed", "Claimed", "Whether parameters, times and weights are what others say of them, and not what was seen here.", lambda at: not at.row.origin.trained_here, but_not=_VIEWS),
    Column("control", "Control", "Whether it is a negative control, which has no rank and sets no record.", lambda at: at.row.control, but_not=_VIEWS),
    Column("method", "Entry", "The method of an entry of others.", lambda at: at.row.origin.method, but_not=_VIEWS),
    Column("version", "Version", "Of that entry.", lambda at: at.row.origin.version, but_not=_VIEWS),
    Column("withdrawn", "Withdrawn", "Why an entry was withdrawn.", lambda at: at.row.origin.withdrawn, but_not=_VIEWS),
    Column("mean_normalised_{metric}", "Norm. {error}", "The error on a dataset over the record on it: the lowest error of the methods that were scored here from predictions, have every result and bear no flag; where there is no such method, of the published ones. Below 1 is what is better and sets no record: a control, a withdrawn, flagged or incomplete row, a number that nobody checked. An error is the distance from what a perfect prediction reaches: an MSE itself, 1 minus a correlation. Its mean over the datasets that count and that the filters leave; “2/3” says that only two of three have a value, and such a mean cannot be compared with a full one.", lambda at: at.summary.normalised.value, lambda at: _mean(at.summary.normalised, score), per=("metric",), only=can_be_normalised, ranks=True, computed=True),
    Column("mean_normalised_{metric}", "95 % interval", "Of the mean over datasets, by Student’s t. With fewer than five datasets none is shown.", lambda at: at.summary.interval, _overall, per=("metric",), parts=("low", "high"), but_not=_TEXTS, ranks=True, computed=True),
    Column("mean_{metric}", "{metric}", "The score, averaged over the datasets that count and that the filters leave.", lambda at: at.summary.mean.value, lambda at: _mean(at.summary.mean, number(at.spec)), per=("metric",), only=_shows_mean, computed=True),
    Column("mean_gain_{metric}", "Gain in {metric}", "Of methods that are given known spots of the samples that they predict: by how much the score is better than that of the method of images alone that the protocol names, on the same spots; positive is better. Its mean over the datasets that count.", lambda at: _gain(at.summary.gain.value), lambda at: _signed(at, at.summary.gain.value), per=("metric",), if_any=True),
    Column("datasets_covered", "Datasets with a value", "How many datasets enter the means by the metric that ranks.", lambda at: at.summary.overall(at.spec).covered, but_not=_VIEWS),
    Column("datasets", "Datasets", "How many datasets count.", lambda at: at.summary.overall(at.spec).total, but_not=_VIEWS),
    Column("by_hand", "Set by hand", "Parameters that were set by hand (`--set`), in place of what the protocol, the search or the method says, and for which datasets where not for all.", lambda at: at.row.by_hand or None, lambda at: _claimed(at, shown(at.row.by_hand)), if_any=True),
    Column("versions_of_code", "Versions of code", "How many versions of the code of the predictor and its completer made the results of the row; more than one, where only some were run again since the code changed.", lambda at: at.row.n_codes if at.row.n_codes > 1 else None, lambda at: NONE if at.row.n_codes < 2 else _claimed(at, str(at.row.n_codes)), if_any=True),
    Column("scope", "Scope", "What a prediction at a spot may depend on: its patch, its neighbourhood, the slide.", lambda at: at.row.scope, but_not=_TEXTS, hidden=True),
    Column("field_of_view_um", "Field of view", "How wide the largest window is, in µm, of a method that looks at others than the protocol’s patches.", lambda at: at.row.field_of_view_um, _field_of_view, but_not=("console",), hidden=True, if_any=True),
    Column("encoder", "Encoder", "The frozen network whose features it looks at.", lambda at: at.row.encoder.get("name"), but_not=("console",), hidden=True, if_any=True),
    Column("encoder_licence", "Encoder’s licence", "Under which its weights may be used.", lambda at: at.row.encoder.get("licence"), but_not=_TEXTS, hidden=True),
    Column("pretraining", "Pretraining", "What the encoder was trained on, as its makers say.", lambda at: at.row.encoder.get("pretraining"), but_not=_TEXTS, hidden=True),
    Column("may_have_seen", "May have seen", "Whether the encoder may have seen test slides: it may, where its makers do not say what they trained on; it has, where they name the dataset or a slide.", lambda at: at.row.encoder.get("seen"), _seen, but_not=("console",), hidden=True, if_any=True),
    Column("worst_drop", "Worst drop", "How much the score falls under the shift of the tested images that the method bears worst (stain, blur, JPEG, brightness, resolution), as `study robustness` of this protocol found; the network is not trained again.", lambda at: at.row.worst_drop, _worst_drop, but_not=("console",), hidden=True, if_any=True),
    Column("weights", "Weights", "Where the weights that training began with come from.", lambda at: at.row.weights, lambda at: _claimed(at, shown(at.row.weights)), but_not=_TEXTS, hidden=True),
    Column("dataset", "Dataset", "What the scores beside it are on.", lambda at: at.about.name, per=("dataset",), but_not=_VIEWS),
    Column("synthetic", "Generated", "Whether the data are generated.", lambda at: at.about.synthetic, per=("dataset",), but_not=_VIEWS),
    Column("listed", "Listed", "Whether the protocol lists the dataset. Any other enters no mean and no rank.", lambda at: at.about.listed, per=("dataset",), but_not=_VIEWS),
    Column("tier", "Tier", "A: test slides of other donors. B: other sections of the same donors. C: no independent test slides.", lambda at: at.about.tier, per=("dataset",), but_not=_VIEWS),
    Column("split", "Split", "The split that is scored: test, or validation where a dataset has no test slides.", lambda at: at.about.split, per=("dataset",), but_not=_VIEWS),
    Column("slides_in_doubt", "Slides in doubt", "Slides that may not belong to their image, not lie on it as they are placed, or have few spots, by the checks of raw slides, and what these found.", lambda at: "; ".join(at.about.doubts), per=("dataset",), but_not=_VIEWS),
    Column("{metric}", "{metric}", "The score on one dataset, over its measured entries, averaged over seeds; ± is the sample standard deviation over seeds.", lambda at: at.score.mean, _score, per=_CELL, computed=True),
    Column("gain_{metric}", "Gain in {metric}", "The gain over images alone on one dataset.", lambda at: _gain(at.score.gain), lambda at: _signed(at, at.score.gain), per=_CELL, if_any=True, but_not=("console", "page")),
    Column("{metric}_sd", "{metric}, sd", "The sample standard deviation over seeds.", lambda at: at.score.sd, per=_CELL, but_not=_VIEWS, computed=True),
    Column("normalised_{metric}", "Norm. {error}", "The normalised error on one dataset.", lambda at: at.score.normalised, per=_CELL, but_not=_TEXTS, only=can_be_normalised, ranks=True, computed=True),
    Column("{metric}", "{metric}, 95 % over slides", "The 95 % interval of the mean over a dataset’s slides, by Student’s t: wide where they are few. None for a single slide, or where the score is not that mean, as where the spots of all slides are scored together.", lambda at: at.score.interval, lambda at: _interval(at.score.interval, number(at.spec)), per=_CELL, parts=("low", "high"), but_not=_TEXTS, ranks=True, computed=True),
    Column("seeds", "Seeds", "How many seeds have scores.", lambda at: at.scores.seeds, per=("dataset",), but_not=_TEXTS, computed=True),
    Column("failed", "Failed seeds", "Seeds without scores: failed, skipped, or not run.", lambda at: at.scores.failed, per=("dataset",), but_not=_VIEWS, computed=True),
    Column("n_parameters", "Parameters", "Trainable parameters, the largest number over datasets.", lambda at: at.row.n_parameters, lambda at: _claimed(at, short_count(at.row.n_parameters)), but_not=("console",)),
    Column("fit_seconds", "Training", "The mean time of a training, on whatever machine it ran.", lambda at: at.row.fit_seconds, lambda at: _claimed(at, duration(at.row.fit_seconds)), but_not=("console",)),
    Column("machine", "Machine", "The class of machine that computed it: the GPU, or maker and widest instructions of the CPU. Libraries choose their kernels by them, so the numbers of networks differ from class to class.", lambda at: at.row.machine, lambda at: _claimed(at, shown(at.row.machine)), but_not=_TEXTS, hidden=True),
    Column("flags", "Flags", "⚑: a doubt with its reason, on the row’s page and at the score it is about.", _flags, per=("dataset",), but_not=_VIEWS, computed=True),
]
# fmt: on


@dataclass(frozen=True)
class Field:
    """One value of a file: a column, of one metric if it has one for each, or a part of it."""

    key: str
    column: Column
    metric: MetricSpec | None
    part: int | None = None

    def at(self, place: Place) -> Any:
        """Return the value at a place of its metric; ``None`` where it is undefined."""
        value = self.column.value(place)
        if self.part is not None:
            value = value[self.part]
        return None if isinstance(value, float) and not math.isfinite(value) else value


def values_of(
    fields: Sequence[Field], board: ProtocolBoard, row: Row, dataset: BoardDataset | None = None
) -> list[Any]:
    """Return the values of some fields in a row (and at a dataset), in their order."""
    metrics = {field.metric.name: field.metric for field in fields if field.metric is not None}
    places = {name: Place(board, row, dataset, metric) for name, metric in metrics.items()}
    bare = Place(board, row, dataset)
    return [
        field.at(bare if field.metric is None else places[field.metric.name]) for field in fields
    ]


def fields(metrics: Sequence[MetricSpec]) -> list[Field]:
    """Return what a file holds of every row (and dataset), in order, with keys that differ."""
    taken: dict[str, Field] = {}
    plain = [column.key for column in COLUMNS if "metric" not in column.per]
    for column in COLUMNS:
        for metric in metrics if "metric" in column.per else [None]:
            for part, end in enumerate(column.parts) if column.parts else [(None, "")]:
                key = _key(column, metric, end)
                if metric is not None and (key in plain or key in taken):
                    # A stranger's metric may be called "rank", or differ from another in a dash.
                    key = f"metric:{_key(column, metric, end, exact=True)}"
                taken[key] = Field(key, column, metric, part)
    return list(taken.values())


def _key(column: Column, metric: MetricSpec | None, end: str, exact: bool = False) -> str:
    name = metric.name if metric else ""
    key = column.key.replace("{metric}", name if exact else name.replace("-", "_"))
    return f"{key}_{end}" if end else key


def in_view(view: View) -> Iterator[Column]:
    """Yield the columns that a view for people shows."""
    return (column for column in COLUMNS if view not in column.but_not)


def on_page(board: ProtocolBoard) -> list[Column]:
    """Return the columns that the page of a board may show.

    One that has no value anywhere is left out, unless it is hidden anyway until it is asked for.
    """
    return [
        column
        for column in in_view("page")
        if column.hidden or not column.if_any or column._is_anywhere(board)
    ]
