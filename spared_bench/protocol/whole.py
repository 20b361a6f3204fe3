"""A protocol, read from YAML: all sections, metrics and the ranking."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from spared_bench.errors import ProtocolError, did_you_mean
from spared_bench.keys.hashing import digest
from spared_bench.protocol.known import Known
from spared_bench.protocol.processing import Processing
from spared_bench.protocol.section import Positive, Section, Seeds
from spared_bench.protocol.training import Completion, PatchCutting, Search, Training
from spared_bench.protocol.validation import Validation
from spared_bench.strict import in_one_line, text_of
from spared_bench.unseen import clear
from spared_bench.validated import load_model

if TYPE_CHECKING:
    from spared_bench.specs import DatasetSpec

#: The configuration that every method has: its defaults.
PUBLISHED = "published"
#: By convention, the configuration for a few processor cores.
SMALL = "small"

#: As many as stand in the name of a file with what is put beside it.
_NAME_LETTERS = 64

#: Metrics of variances and of classes, for methods that predict them.
FURTHER_METRICS = ("nll", "coverage-50", "coverage-90", "sharpness", "f1-class", "auc-class")


class Ranking(Section):
    """By what the leaderboard ranks, which moves no score.

    Parameters
    ----------
    metric : str
        One of the protocol's metrics.
    completer : str
        Which rows have a rank: ``"all"``, one row per method and completer; ``"best"``, of every
        method the row whose completer served it best; or those of one completer, by its name.
    folds : {"apart", "mean"}
        Whether each fold of a dataset is a dataset of the board, or their mean is one.
    """

    metric: str = "mse"
    completer: str = "all"
    folds: Literal["apart", "mean"] = "apart"


class Protocol(Section):
    """One protocol, as read from YAML.

    ``configuration`` names the configuration in which every method runs that offers it; the others
    run with their defaults, as all do under ``"published"``. ``overrides`` come on top, by method:
    values of parameters, and ``configuration`` for another one. ``views``: whether a method may
    look at other windows of a slide than the protocol's patches (``spared_bench.data.views``);
    under ``"target-only"`` one that asks for others is not run.

    ``further_metrics`` are computed where a method predicts what they are of, variances or classes.
    ``scored_genes``, ids or symbols, restricts all scores to some of the trained genes; empty: all.
    Neither moves a training.

    ``known`` makes it a protocol of partially measured samples (docs/sections.md): its board holds
    the methods that are given what is known, and none that look at images alone.
    """

    name: str
    version: Positive
    summary: str = ""
    comparable: bool = True
    datasets: tuple[str, ...] = ()
    completers: tuple[str, ...] = ("none", "median")
    processing: Processing = Processing()
    patches: PatchCutting = PatchCutting()
    views: Literal["allowed", "target-only"] = "allowed"
    validation: Validation = Validation()
    known: Known | None = None
    training: Training = Training()
    completion: Completion = Completion()
    search: Search = Search()
    seeds: Annotated[Seeds, Field(min_length=1)] = (0,)
    pooling: Literal["slide", "split"] = "slide"
    mean_rule: Literal["strict", "published"] = "strict"
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("mse", "pcc-gene")
    further_metrics: tuple[str, ...] = FURTHER_METRICS
    scored_genes: tuple[str, ...] = ()
    ranking: Ranking = Ranking()
    configuration: Annotated[str, Field(min_length=1, max_length=64)] = PUBLISHED
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name != clear(name) or not name or len(name) > _NAME_LETTERS or set(name) & set("/\\@"):
            raise ValueError(
                f"{in_one_line(name)} is no name of a protocol: expected 1 to {_NAME_LETTERS}"
                " letters that are seen, in one line, without `/`, `\\` and `@`"
            )
        return name

    @model_validator(mode="after")
    def _check(self) -> Protocol:
        metric, completer = self.ranking.metric, self.ranking.completer
        if metric not in self.metrics:
            hint = did_you_mean(metric, self.metrics)
            raise ValueError(
                f"`ranking.metric` is {metric!r}, which is not among the protocol's metrics:"
                f" {', '.join(self.metrics)}.{f' {hint}' if hint else ''} Rank by one of them"
                f" (`ranking: {{metric: {self.metrics[0]}}}`), or add it to `metrics`"
            )
        if completer not in ("all", "best", *self.completers):
            raise ValueError(
                f"`ranking.completer` is {completer!r}; expected `all`, `best`, or one of the"
                f" protocol's completers: {', '.join(self.completers)}"
            )
        if self.known is not None:
            self._check_known()
        return self

    def _check_known(self) -> None:
        if self.processing.fit_on != "train":
            raise ValueError(
                "`known` needs `processing.fit_on: train`: with `all`, spots that are to be"
                " predicted would choose the genes and fill gaps of the known ones"
            )
        if self.processing.smoothing != "none":
            raise ValueError(
                "`known` needs `processing.smoothing: none`: a mean over neighbours would carry"
                " what is to be predicted into what is known"
            )

    def divide(self, spec: DatasetSpec) -> DatasetSpec:
        """Return a dataset with its slides in the splits that this protocol gives them."""
        spec = self.validation.divide(spec)
        return spec if self.known is None else self.known.divide(spec)

    def require_usable(self, spec: DatasetSpec) -> None:
        """Refuse a divided dataset that leaves nothing to report, or nothing that is known.

        Raises
        ------
        SplitError
        """
        self.validation.require_reported(spec)
        if self.known is not None:
            self.known.require_usable(spec)

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What makes the scores another quantity than those of other protocols, for the board."""
        found = []
        if self.known is not None:
            found.append(
                "Samples are partially measured: methods are given the expression of known spots"
                " of the sample that they predict. Such scores are not to be compared with those"
                " from images alone."
            )
        if self.processing.smoothing != "none":
            found.append(
                "Targets are smoothed: what is learnt and scored of a spot is the mean over it and"
                " its neighbours, which is easier to predict than the spot itself."
            )
        if self.processing.scaling != "none":
            found.append(
                "Each gene's target is scaled from 0 to 1 over the training spots, so errors are"
                " shares of a gene's range."
            )
        if self.scored_genes:
            found.append(
                f"Scores are of {len(self.scored_genes)} of the trained genes, as the protocol"
                " names them."
            )
        return tuple(found)

    @property
    def hash(self) -> str:
        """Hash of every setting that can move a score; what may run and is ranked is not one."""
        unhashed = {"summary", "datasets", "completers", "ranking", "views"}
        values = self.model_dump(mode="json", exclude=unhashed)
        if values["search"]["strategy"] == "grid":  # as it was before there was a choice
            del values["search"]["strategy"]
        if self.configuration == PUBLISHED:
            del values["configuration"]
        if self.training.precision == "auto":
            del values["training"]["precision"]
        if self.known is None:
            del values["known"]
        if self.patches.stain == "none":
            del values["patches"]["stain"], values["patches"]["stain_to"]
        processing = values["processing"]
        for settings, added in (
            (values, {"further_metrics": list(FURTHER_METRICS), "scored_genes": []}),
            (processing, {"smoothing": "none", "scaling": "none", "ranked_on": "target"}),
            (processing, {"gene_list": "", "further_genes": [], "empty_spots": "dropped"}),
            (values["patches"], {"um": 0.0}),
            (values["validation"], {"learned_from": False}),
            (processing["filtering"], {"min_fraction": -1, "min_slide_fraction": -1}),
        ):
            for name in [name for name, default in added.items() if settings[name] == default]:
                del settings[name]
        return digest(values)

    @property
    def hash_of_a_seed(self) -> str:
        """Hash of every setting that can move a score of one seed; other seeds do not."""
        return self.model_copy(update={"seeds": (0,)}).hash


@lru_cache(maxsize=64)
def parse_protocol(text: str, source: str) -> Protocol:
    """Read a protocol from YAML.

    Parameters
    ----------
    text : str
        The file's content; at most 100 kB.
    source : str
        What to call it in a message.

    Raises
    ------
    ProtocolError
        For YAML that cannot be read, an unknown setting, or an impossible value.
    """
    return load_model(Protocol, text, source, "protocol", ProtocolError)


def read_protocol(path: Path) -> Protocol:
    """Read a protocol file."""
    return parse_protocol(text_of(path, "protocol", ProtocolError), str(path))
