"""A protocol: everything but the method that a score depends on, as one versioned YAML file.

Unknown settings are refused with the nearest known one, so that a misspelt setting cannot silently
mean the default. A setting is part of the keys of what depends on it (``spared_bench.bench``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spared_bench.errors import ProtocolError, SplitError, did_you_mean
from spared_bench.keys.hashing import digest
from spared_bench.strict import explain, load_mapping

if TYPE_CHECKING:
    from spared_bench.specs import DatasetSpec

#: The configuration that every method has: its defaults.
PUBLISHED = "published"
#: By convention, the configuration for a few processor cores.
SMALL = "small"

#: Metrics of variances and of classes, for methods that predict them.
FURTHER_METRICS = ("nll", "coverage-50", "coverage-90", "sharpness", "f1-class", "auc-class")

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filtering(_Section):
    """Which spots and genes stay; all count bounds are exclusive (PROTOCOL, filtering).

    ``real_fraction`` keeps the longest prefix of genes, ordered by their smallest per-slide
    expressed fraction, whose mean overall expressed fraction is at least this.
    ``min_fraction`` and ``min_slide_fraction`` are the thresholds of SEPAL (Mejia et al., ICCV
    Workshops 2023; there ε_T and ε_WSI): a gene needs a larger overall expressed fraction than the
    first, and a larger one on every slide than the second; -1: any.
    """

    spot_min_counts: float = 10
    spot_max_counts: float = 1_000_000
    gene_min_counts: float = 10
    gene_max_counts: float = 1_000_000
    real_fraction: Fraction = 0.7
    min_fraction: Annotated[float, Field(ge=-1, le=1)] = -1
    min_slide_fraction: Annotated[float, Field(ge=-1, le=1)] = -1


class Processing(_Section):
    """From raw counts to the target.

    Parameters
    ----------
    fit_on : {"train", "all"}
        The splits that decide which genes stay and which are chosen. ``"all"`` is what was
        published; it lets the test slides choose the genes.
    ties : {"id", "published"}
        Which of genes that are equally well measured comes first at the cut of ``real_fraction``:
        by id, so that the order of columns in a file does not matter; or as numpy's unstable sort
        leaves them in the order of the file (``processing.ties``).
    mitochondrial : {"counted", "left_out"}
        Whether genes of the mitochondrion have a part in the million of TPM (in the 10,000 of
        counts), and may be chosen. Left out, they still count in the filters, as published.
    target : {"log2_tpm", "log1p_cp10k"}
        Normalisation of the target.
    ranking : {"moran", "variable", "mean"}
        Which genes are chosen: those of highest Moran's I, the most variable ones, or those of
        highest mean of the target's layer, zeros included, over the spots that ``fit_on`` names.
    n_genes : int
        How many are chosen.
    genes : tuple of str
        Ids or symbols of genes that are chosen instead, in this order; filters of genes do not
        apply to them.
    zeros : {"unmeasured", "measured"}
        Whether a count of 0 is a gap, to be filled in training and left out of scores, or a value.
    median_hops : int
        Windows of the median filter.
    n_neighbours : int
        Of the neighbour graph.
    batch_correction : {"none", "combat", "combat_published"}
        ``"combat"`` is fitted where ``fit_on`` says; a batch that it was not fitted to (the slides
        of other splits under ``fit_on: train``) stays as it is. ``"combat_published"`` has the
        first-gene defect of the published package.
    batch_key : {"slide_id", "patient_id"}
    smoothing : {"none", "array_neighbours"}
        Whether the target of a spot, in training and in scores, is the mean over it and its
        neighbours in the array (8 of a square one, 6 of a hexagonal one), as of TRIPLEX. Such
        scores are of another, easier quantity, and the board says so.
    from_dataset : bool
        Whether ``parameters`` of a dataset's spec replace settings of this section and of
        ``filtering``.
    per_dataset : dict of dataset to dict
        The same from the side of the protocol, which has the last word; by the name of a dataset,
        of a scheme of folds, or of one fold.
    """

    filtering: Filtering = Filtering()
    fit_on: Literal["train", "all"] = "train"
    ties: Literal["id", "published"] = "id"
    mitochondrial: Literal["counted", "left_out"] = "counted"
    target: Literal["log2_tpm", "log1p_cp10k"] = "log2_tpm"
    ranking: Literal["moran", "variable", "mean"] = "moran"
    n_genes: Positive = 128
    genes: tuple[str, ...] = ()
    zeros: Literal["unmeasured", "measured"] = "unmeasured"
    median_hops: Positive = 4
    n_neighbours: Positive = 6
    batch_correction: Literal["none", "combat", "combat_published"] = "none"
    batch_key: Literal["slide_id", "patient_id"] = "slide_id"
    smoothing: Literal["none", "array_neighbours"] = "none"
    from_dataset: bool = False
    per_dataset: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _check(self) -> Processing:
        if self.fit_on == "train" and self.batch_correction == "combat_published":
            raise ValueError(
                "`fit_on: train` and `batch_correction: combat_published` exclude each other: the"
                " published correction moves a test slide by looking at its answers. Use `combat`,"
                " which is then fitted to the training slides, or `fit_on: all` to repeat what was"
                " published"
            )
        for name, settings in self.per_dataset.items():
            self._with(settings, f"per_dataset[{name!r}]")
        return self

    def for_dataset(self, spec: DatasetSpec) -> Processing:
        """Return the settings that hold for one dataset.

        Raises
        ------
        ProtocolError
            For a parameter that no dataset may set, with the nearest that it may.
        """
        settings = self.model_copy(update={"from_dataset": False, "per_dataset": {}})
        try:
            if self.from_dataset:
                settings = settings._with(spec.parameters, f"parameters of dataset {spec.name!r}")
            for name in _names_of(spec):
                settings = settings._with(self.per_dataset.get(name, {}), f"per_dataset[{name!r}]")
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        return settings

    def idle_parameters(self, spec: DatasetSpec) -> dict[str, str]:
        """Return the ``parameters`` of a dataset's spec that change nothing here, and why."""
        if not self.from_dataset:
            return dict.fromkeys(spec.parameters, "since it takes no parameters of datasets")
        settled = self.for_dataset(spec)
        last = {key for name in _names_of(spec) for key in self.per_dataset.get(name, {})}
        idle = {
            key: "which the protocol sets itself for this dataset"
            for key in spec.parameters
            if key in last
        }
        if settled.batch_correction == "none" and "batch_key" in spec.parameters:
            idle["batch_key"] = "since it corrects no batches"
        if settled.genes:
            passed_over = {
                *("n_genes", "real_fraction", "gene_min_counts", "gene_max_counts"),
                *("min_fraction", "min_slide_fraction"),
            }
            idle |= dict.fromkeys(
                passed_over & set(spec.parameters), "since `genes` names the genes"
            )
        return idle

    def _with(self, values: Mapping[str, Any], source: str) -> Processing:
        """Return a copy with some settings replaced; names of ``filtering`` need no prefix."""
        ours = {name for name in type(self).model_fields if name in _OF_A_DATASET}
        filtering = set(Filtering.model_fields)
        unknown = sorted(set(values) - ours - filtering)
        if unknown:
            known = sorted(ours | filtering)
            raise ValueError(
                f"{source}: {unknown[0]!r} is no setting that a dataset may have."
                f" {did_you_mean(unknown[0], known)} Known: {', '.join(known)}."
            )
        if not values:
            return self
        new = self.model_dump() | {name: values[name] for name in ours & set(values)}
        new["filtering"] |= {name: values[name] for name in filtering & set(values)}
        new["per_dataset"] = {}
        try:
            return type(self).model_validate(new)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            found = f" (found {problem.get('input')!r})" if where else ""
            raise ValueError(f"{source}: {where} {problem['msg']}{found}.") from error


_OF_A_DATASET = ("n_genes", "genes", "batch_key")


def _names_of(spec: DatasetSpec) -> list[str]:
    """Return by which names a protocol may speak of a dataset, the widest first."""
    if not spec.fold_of:
        return [spec.name]
    scheme = spec.name.removeprefix(spec.fold_of.lower() + ".").partition("-")[0]
    return [spec.fold_of, f"{spec.fold_of}.{scheme}", spec.name]


class PatchCutting(_Section):
    """The window of a spot: ``scale`` spot diameters wide, resized to ``size`` pixels.

    ``window`` says how a window becomes whole pixels: ``"centred"`` rounds its side and its corner
    to the nearest, ``"published"`` truncates the side and the centre and makes the side even.
    """

    window: Literal["centred", "published"] = "centred"
    scale: Annotated[float, Field(gt=0, le=50)] = 1.0
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    antialias: bool = True


class Validation(_Section):
    """What checkpoints, searched parameters and completers are chosen on, and what is reported.

    Parameters
    ----------
    held_out_fraction : float
        Of the spots of every training slide, where no slides are for validation: a contiguous
        strip across its longer side, so that held-out spots have few training neighbours.
    without_test : {"report_val", "hold_out"}
        What is reported of a dataset that declares validation slides and no test slides:
        ``"report_val"``, the slides that all was chosen on, as published; or ``"hold_out"``, the
        same slides, which then choose nothing: a strip of the training slides does.
    """

    held_out_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    without_test: Literal["report_val", "hold_out"] = "report_val"

    def divide(self, spec: DatasetSpec) -> DatasetSpec:
        """Return a dataset with its slides in the splits that this protocol gives them."""
        if self.without_test == "report_val" or spec.split.get("test") or not spec.split.get("val"):
            return spec
        split = {"train": spec.split["train"], "test": spec.split["val"]}
        # Donors may be shared, as they were with validation; the tier then says so.
        return replace(spec, split=split, allow_shared_donors=True)

    def require_reported(self, spec: DatasetSpec) -> None:
        """Refuse a divided dataset whose reported spots would be those that choose.

        Raises
        ------
        SplitError
        """
        if self.without_test == "hold_out" and not spec.split.get("test"):
            raise SplitError(
                f"Dataset {spec.name!r} has training slides only"
                f" ({', '.join(map(str, spec.split['train'][:3]))}), and this protocol reports no"
                " slide that a method learns from or is chosen on (`validation.without_test:"
                " hold_out`). Name a slide for `test` in the dataset's split, or use a protocol"
                " with `without_test: report_val`."
            )


class Training(_Section):
    """The budget of every method, and what its networks learn in which precision.

    Parameters
    ----------
    iterations, batch_size, validate_every : int
    augment : bool
        See ``spared_bench.interfaces.Budget``.
    delta : bool
        Whether the target is the difference from the train mean.
    precision : {"auto", "float32", "bfloat16"}
        In which a network is computed whose method leaves it open (``precision: auto``, the
        default of all). ``"auto"`` goes by device and size (``spared_bench.models.precision``), so
        that the numbers of a large network depend on the machine.
    """

    iterations: Positive = 1000
    batch_size: Positive = 256
    validate_every: Positive = 10
    augment: bool = True
    delta: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class Completion(_Section):
    """The budget of every completer that is trained; the defaults are the published ones."""

    iterations: Positive = 10_000
    batch_size: Positive = 256
    validate_every: Positive = 10


class Search(_Section):
    """How a method's searched parameters are chosen: on validation MSE, for one completer.

    The choice made with ``completer`` is kept for all completers. ``grids`` replaces a method's own
    grid of that parameter. ``strategy``: ``"grid"`` trains every candidate with the whole budget;
    ``"halving"`` ends the worse two thirds of them early, in several rungs; ``"optuna"`` proposes
    as many values as the grid has, between its ends, by what the earlier ones came to.
    """

    strategy: Literal["grid", "halving", "optuna"] = "grid"
    completer: str = "median"
    grids: dict[str, tuple[float, ...]] = {}
    max_trials: Positive = 20


class Ranking(_Section):
    """By what the leaderboard ranks, which moves no score.

    Parameters
    ----------
    metric : str
        One of the protocol's metrics.
    completer : str
        Which rows have a rank: ``"all"``, one row per method and completer; ``"best"``, of every
        method the row whose completer served it best; or those of one completer, by its name.
    """

    metric: str = "mse"
    completer: str = "all"


class Protocol(_Section):
    """One protocol, as read from YAML.

    ``configuration`` names the configuration in which every method runs that offers it; the others
    run with their defaults, as all do under ``"published"``. ``overrides`` come on top, by method:
    values of parameters, and ``configuration`` for another one. ``views``: whether a method may
    look at other windows of a slide than the protocol's patches (``spared_bench.data.views``);
    under ``"target-only"`` one that asks for others is not run.

    ``further_metrics`` are computed where a method predicts what they are of, variances or classes.
    ``scored_genes``, ids or symbols, restricts all scores to some of the trained genes; empty: all.
    Neither moves a training.
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
    training: Training = Training()
    completion: Completion = Completion()
    search: Search = Search()
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    pooling: Literal["slide", "split"] = "slide"
    mean_rule: Literal["strict", "published"] = "strict"
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("mse", "pcc-gene")
    further_metrics: tuple[str, ...] = FURTHER_METRICS
    scored_genes: tuple[str, ...] = ()
    ranking: Ranking = Ranking()
    configuration: Annotated[str, Field(min_length=1, max_length=64)] = PUBLISHED
    overrides: dict[str, dict[str, Any]] = {}

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
        return self

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What makes the scores another quantity than those of other protocols, for the board."""
        found = []
        if self.processing.smoothing != "none":
            found.append(
                "Targets are smoothed: what is learnt and scored of a spot is the mean over it and"
                " its neighbours, which is easier to predict than the spot itself."
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
        processing = values["processing"]
        for settings, added in (
            (values, {"further_metrics": list(FURTHER_METRICS), "scored_genes": []}),
            (processing, {"smoothing": "none"}),
            (processing["filtering"], {"min_fraction": -1, "min_slide_fraction": -1}),
        ):
            for name in [name for name, default in added.items() if settings[name] == default]:
                del settings[name]
        return digest(values)


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
    values = load_mapping(text, source, "protocol", ProtocolError)
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise ProtocolError(f"{source}: {explain(error, Protocol)}") from error


def read_protocol(path: Path) -> Protocol:
    """Read a protocol file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"Cannot read the protocol {path}: {error}") from error
    return parse_protocol(text, str(path))
