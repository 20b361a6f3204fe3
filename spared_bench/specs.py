"""What a plugin says about itself: frozen dataclasses of plain values, quick to import.

A hook returns specs, never the objects behind them. ``factory`` is the address of the object,
``"package.module:attribute"``, and is imported only when a run needs it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, get_args

from spared_bench.errors import PluginError, SplitError

_NAME = re.compile(r"[a-z0-9][a-z0-9_+.-]{0,63}")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MAX_TEXT = 2_000

SPLITS = ("train", "val", "test")

Scope = Literal["patch", "neighbourhood", "slide"]
Direction = Literal["lower", "higher"]
Unit = Literal["entry", "gene", "spot"]
Undefined = Literal["left_out", "correlation", "determination"]


@dataclass(frozen=True)
class Spec:
    """What every kind of plugin says.

    Parameters
    ----------
    name : str
        Lower case letters, digits and ``_ + . -``; what a user types.
    factory : str
        ``"package.module:attribute"``.
    summary : str
        One line for the tables.
    version : str
        Of the plugin's algorithm; part of every result's key through the code hash.
    citation, licence : str
        Of the method or of the data.
    extras : tuple of str
        Packages that must be importable for the factory to work.
    """

    kind: ClassVar[str] = "plugin"

    name: str
    factory: str = ""
    summary: str = ""
    version: str = "1"
    citation: str = ""
    licence: str = ""
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        label = f"{type(self).__name__}(name={self.name!r})"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise PluginError(
                f"{label}: the name must be 1-64 characters of a-z, 0-9, '_', '+', '.', '-' and"
                " begin with a letter or digit. Rename the plugin."
            )
        if not isinstance(self.factory, str) or not _FACTORY.fullmatch(self.factory):
            raise PluginError(
                f"{label}: factory must read 'package.module:attribute', found {self.factory!r}."
            )
        for name in ("summary", "version", "citation", "licence"):
            if not isinstance(getattr(self, name), str):
                found = type(getattr(self, name)).__name__
                raise PluginError(f"{label}: {name} must be a text, found {found}.")
        if not _are_names(self.extras):
            raise PluginError(
                f"{label}: extras must be a tuple of the names of packages, found {self.extras!r}."
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str) and len(value) > _MAX_TEXT:
                raise PluginError(f"{label}: {item.name} is longer than {_MAX_TEXT} characters.")


def _are_names(values: object) -> bool:
    return isinstance(values, tuple | list) and all(
        isinstance(value, str) and value for value in values
    )


def _are_bounds(values: object) -> bool:
    return (
        isinstance(values, tuple | list)
        and len(values) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        and values[0] < values[1]
    )


def _are_numbers(values: object) -> bool:
    """Whether this is a grid: at least one number, all of them finite."""
    return (
        isinstance(values, tuple | list)
        and bool(values)
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


@dataclass(frozen=True)
class RemoteFile:
    """One file of a dataset and where it can be had.

    Parameters
    ----------
    url : str
        First place to ask.
    path : str
        Where it lies in the dataset's folder; the last part of the URL by default.
    sha256 : str
        Pinned hash; empty where the source publishes none.
    size : int
        In bytes; 0 where unknown.
    mirrors : tuple of str
        Further places, asked in order.
    unpack : bool
        Whether it is an archive whose members belong in the dataset's folder, below ``path``.
    nested : str
        A pattern (``"raw/*.tar.gz"``): members that are archives themselves, each unpacked into a
        folder of its own name; of a ``.gz`` that is no tar, the file takes its place.
    """

    url: str
    path: str = ""
    sha256: str = ""
    size: int = 0
    mirrors: tuple[str, ...] = ()
    unpack: bool = False
    nested: str = ""


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide before it is read.

    Parameters
    ----------
    slide_id : str
        Unique within the dataset.
    patient_id : str
        The donor; sections of one donor are not independent.
    section : str
        The label of the section within the donor, where there is one.
    """

    slide_id: str
    patient_id: str = ""
    section: str = ""


@dataclass(frozen=True)
class DatasetSpec(Spec):
    """A dataset: slides with donors, files with hashes, and the split.

    ``factory`` names a function ``(folder: Path, slide_id: str) -> AnnData`` that reads one raw
    slide (see ``spared_bench.data.validate_raw_slide``).

    Parameters
    ----------
    organism : str
        ``"human"`` or ``"mouse"``: which gene lengths apply.
    tissue, technology : str
        For people.
    slides : tuple of SlideInfo
        In the order in which they are stacked.
    split : mapping of str to tuple of str
        Slide ids of ``train``, ``val`` and ``test``. Where ``val`` is empty, the protocol says
        which part of the training slides is held out.
    files : tuple of RemoteFile
        What ``spared-bench data fetch`` downloads.
    folder : str
        An importable package whose folder holds the files (``"package.sub"``), for data that is
        shipped with the plugin; empty for data that is fetched or linked.
    synthetic : bool
        True for generated data, which is never ranked beside measured data.
    aliases : tuple of str
        Other names that a user may type; letters count the same in either case.
    storage : str
        The folder below the data folder, where several datasets share their files; the name of the
        dataset by default.
    members : tuple of str
        Patterns of those files in a shared folder that are this dataset's; empty means all.
    task : str
        ``"inter_patient"`` or ``"intra_patient"``: what its authors say it asks.
    n_spots : int
        As published; 0 where unknown.
    published : mapping of metric to mapping of method to float
        Scores that others report for it.
    suspect : tuple of str
        Methods whose published scores are probably wrong here.
    image : {"H&E", "fluorescence"}
        What the images show.
    raw_counts : bool
        False where the source publishes normalised values only: an exception to the contract of
        raw slides, allowed here by name and shown wherever the dataset is.
    donors_verified : bool
        False where ``patient_id`` is a stand-in, such as the serial number of a capture slide.
    conflicts_with : tuple of str
        Datasets that use the same slides in other roles, and are never ranked with it.
    links : tuple of str
        Pages about the data.
    notes : tuple of str
        What one should know before believing a number.
    parameters : mapping of str to value
        Settings of processing that belong to this dataset (``n_genes``, ``batch_key``,
        ``spot_min_counts``, ...); used by protocols with ``processing.from_dataset``.
    allow_shared_donors : bool
        Whether a donor may have slides to learn from and slides in ``test``. Such sections
        resemble each other, so it must be said, and the board shows the dataset as tier B.
    folds : mapping of str to mapping of str to tuple of str
        Cross-validation: by scheme (``"loso"``), the test slides of each fold. Fold ``A1`` of
        scheme ``loso`` is a dataset of its own, ``<name>.loso-a1``, with the same files, which
        trains on all slides that it does not test on; ``<name>.loso`` stands for all of them.
    fold_of : str
        Of a fold, the dataset that it is made from.
    """

    kind: ClassVar[str] = "dataset"

    organism: str = ""
    tissue: str = ""
    technology: str = ""
    slides: tuple[SlideInfo, ...] = ()
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[RemoteFile, ...] = ()
    folder: str = ""
    synthetic: bool = False
    aliases: tuple[str, ...] = ()
    storage: str = ""
    members: tuple[str, ...] = ()
    task: str = ""
    n_spots: int = 0
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    suspect: tuple[str, ...] = ()
    image: Literal["H&E", "fluorescence"] = "H&E"
    raw_counts: bool = True
    donors_verified: bool = True
    conflicts_with: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    allow_shared_donors: bool = False
    folds: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    fold_of: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"DatasetSpec(name={self.name!r})"
        if self.storage and not _NAME.fullmatch(self.storage):
            raise PluginError(f"{label}: storage {self.storage!r} is no name of a folder.")
        known = [slide.slide_id for slide in self.slides]
        if len(set(known)) != len(known):
            raise PluginError(f"{label}: a slide id stands twice in slides: {known}.")
        self._check_split(label, known)
        if self.shared_donors and not self.allow_shared_donors:
            raise SplitError(
                f"{label}: donors {list(self.shared_donors)} have slides both to learn from and in"
                " `test`, so a test slide resembles the training slides more than one of a new"
                " donor would. Split by donor, or say `allow_shared_donors=True` (in the YAML"
                " description of one's own slides: `allow_shared_donors: true`): the dataset is"
                " then shown as tier B."
            )
        for scheme, folds in self.folds.items():
            for fold, slide_ids in folds.items():
                unknown = sorted(set(slide_ids) - set(known))
                if unknown or not slide_ids:
                    raise SplitError(
                        f"{label}: fold {fold!r} of {scheme!r} tests slides {list(slide_ids)};"
                        f" expected at least one, all of them among its slides: {known}."
                    )
        self._check_folds(label)

    def _check_folds(self, label: str) -> None:
        """Refuse folds that cannot be datasets of their own, or that have one name."""
        names = [fold.name for scheme in self.folds for fold in self.fold_specs(scheme)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SplitError(
                f"{label}: two folds are called {twice[0]!r}; capital letters do not count. Rename"
                " one of them."
            )

    def _check_split(self, label: str, known: list[str]) -> None:
        seen: dict[str, str] = {}
        for split, slide_ids in self.split.items():
            if split not in SPLITS:
                raise PluginError(f"{label}: unknown split {split!r}; expected one of {SPLITS}.")
            for slide_id in slide_ids:
                if slide_id not in known:
                    raise PluginError(
                        f"{label}: split {split!r} names slide {slide_id!r}, which is not among"
                        f" its slides: {known}."
                    )
                if slide_id in seen:
                    raise PluginError(
                        f"{label}: slide {slide_id!r} is in split {seen[slide_id]!r} and in"
                        f" {split!r}. A slide belongs to one split."
                    )
                seen[slide_id] = split
        if not self.split.get("train"):
            raise PluginError(f"{label}: the split has no training slides.")

    @property
    def evaluation_split(self) -> str:
        """``"test"`` where there is one, else ``"val"``."""
        return "test" if self.split.get("test") else "val"

    @property
    def shared_donors(self) -> tuple[str, ...]:
        """Donors with slides in ``test`` and in ``train`` or ``val``, sorted."""
        donor = {slide.slide_id: slide.patient_id or slide.slide_id for slide in self.slides}
        learned = {donor[s] for part in ("train", "val") for s in self.split.get(part, ())}
        return tuple(sorted(learned & {donor[s] for s in self.split.get("test", ())}))

    @property
    def tier(self) -> str:
        """``A``: test on other donors; ``B``: other sections of one donor; ``C``: no test."""
        if not self.split.get("test"):
            return "C"
        return "B" if self.shared_donors else "A"

    def fold_specs(self, scheme: str) -> list[DatasetSpec]:
        """Return the folds of one scheme as datasets, in the order of ``folds``."""
        return [self._fold(f"{scheme}-{fold}", test) for fold, test in self.folds[scheme].items()]

    def _fold(self, label: str, test: tuple[str, ...]) -> DatasetSpec:
        rest = tuple(slide.slide_id for slide in self.slides if slide.slide_id not in test)
        return replace(
            self,
            name=f"{self.name}.{label}".lower(),
            summary=f"{self.summary}; fold that tests {', '.join(test)}",
            split={"train": rest, "test": tuple(test)},
            allow_shared_donors=True,  # the scheme says what is left out, and the tier shows it
            folds={},
            fold_of=self.name,
        )


@dataclass(frozen=True)
class CompleterSpec(Spec):
    """A completer: fills unmeasured entries of the training target.

    Parameters
    ----------
    gpu : bool
        Whether training without one is hopeless in the published size: a plan for a machine
        without a GPU then warns.
    encoder : str
        The parameter that names the frozen network whose features of the patches it asks for
        (``slides.features``), so that a dry run can tell of them; empty for none.
    """

    kind: ClassVar[str] = "completer"

    gpu: bool = False
    encoder: str = ""


@dataclass(frozen=True)
class Stage:
    """A trained network that a predictor builds on, made once and shared by all its trials.

    Parameters
    ----------
    predictor : str
        Name of the predictor that is trained, on the same completed layer and with the same seed;
        it must have ``save`` and ``load``.
    parameters : mapping
        Its parameters, where they are not its defaults.
    taken : mapping of str to str
        Its parameters that follow those of the consumer: ``{"backbone": "backbone"}``. A searched
        parameter taken here makes one network per candidate.
    """

    predictor: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictorSpec(Spec):
    """A predictor: maps patches to expression.

    Parameters
    ----------
    scope : {"patch", "neighbourhood", "slide"}
        What a prediction at a spot may depend on.
    pretraining : str
        What data its weights have seen before, in words; empty for none.
    control : bool
        True for negative controls, which the leaderboard shows apart.
    gpu : bool
        Whether training without one is hopeless in the published size: a plan for a machine
        without a GPU then warns.
    search : mapping of str to tuple of float
        Parameters to be chosen on validation scores, each with its grid. A protocol may give
        another grid for the same parameter, so that all methods have an equal budget.
    stages : mapping of str to Stage
        Networks that are trained before, by the name under which ``fit`` finds them, fitted, in
        ``context.stages``.
    encoder : str
        The parameter that names the frozen network whose features of the patches it asks for
        (``slides.features``), so that a dry run can tell of them; empty for none.
    """

    kind: ClassVar[str] = "predictor"

    scope: Scope = "patch"
    pretraining: str = ""
    control: bool = False
    gpu: bool = False
    search: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    encoder: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"PredictorSpec(name={self.name!r})"
        if self.scope not in get_args(Scope):
            raise PluginError(
                f"{label}: scope {self.scope!r} is none of {', '.join(get_args(Scope))}."
            )
        if not isinstance(self.search, Mapping) or not all(map(_are_numbers, self.search.values())):
            raise PluginError(
                f"{label}: search must map each parameter to a tuple of finite numbers, such as"
                f" {{'lr': (1e-4, 1e-3)}}; found {self.search!r}."
            )
        staged = isinstance(self.stages, Mapping) and self.stages.values()
        if staged is False or not all(isinstance(stage, Stage) for stage in staged):
            raise PluginError(
                f"{label}: stages must map names to Stage objects, found {self.stages!r}."
            )


@dataclass(frozen=True)
class MetricSpec(Spec):
    """A metric: ``(truth, prediction, mask) -> array``.

    All that the benchmark needs to know of it: nothing else names a metric, but the protocol.

    Parameters
    ----------
    per : {"entry", "gene", "spot"}
        What one value stands for: all measured entries (a scalar), a column, or a row.
    better : {"lower", "higher"}
        Which direction is better.
    label : str
        How the leaderboard writes it; the name where empty.
    bounds : tuple of float
        The lowest and the highest possible value. The one on the better side is what a perfect
        prediction reaches; the distance from it is the error that the leaderboard normalises. A
        metric without an end on that side is ranked by its value.
    undefined : {"left_out", "correlation", "determination"}
        How undefined values enter a mean (``spared_bench.metrics.summary``): not at all, or as
        those of a correlation, for which a constant prediction of what varies counts 0, or as
        those of a coefficient of determination.

    Raises
    ------
    PluginError
        For a word that is none of these, or bounds that hold no value between them.
    """

    kind: ClassVar[str] = "metric"

    per: Unit = "gene"
    better: Direction = "higher"
    label: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    undefined: Undefined = "left_out"

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"MetricSpec(name={self.name!r})"
        for name, known in (("per", Unit), ("better", Direction), ("undefined", Undefined)):
            if getattr(self, name) not in get_args(known):
                raise PluginError(
                    f"{label}: {name} {getattr(self, name)!r} is none of"
                    f" {', '.join(get_args(known))}."
                )
        if not isinstance(self.label, str):
            raise PluginError(f"{label}: label must be a text, found {self.label!r}.")
        if not _are_bounds(self.bounds):
            raise PluginError(
                f"{label}: bounds must be the lowest and the highest possible value, such as"
                f" (-1.0, 1.0) or (0.0, math.inf); found {self.bounds!r}."
            )

    @property
    def title(self) -> str:
        """How people read it."""
        return self.label or self.name

    @property
    def perfect(self) -> float:
        """The value of a perfect prediction; infinite where there is no such value."""
        return self.bounds[1] if self.better == "higher" else self.bounds[0]


@dataclass(frozen=True)
class ProtocolSpec(Spec):
    """A protocol; ``factory`` names a ``() -> str`` that returns the text of its YAML."""

    kind: ClassVar[str] = "protocol"


@dataclass(frozen=True)
class ExecutorSpec(Spec):
    """An executor: runs trials somewhere (``spared_bench.interfaces.Executor``)."""

    kind: ClassVar[str] = "executor"


KINDS: dict[str, type[Spec]] = {
    "dataset": DatasetSpec,
    "completer": CompleterSpec,
    "predictor": PredictorSpec,
    "metric": MetricSpec,
    "protocol": ProtocolSpec,
    "executor": ExecutorSpec,
}


def conflicts(specs: Iterable[DatasetSpec]) -> list[str]:
    """Say which of some datasets use the same slides in different roles, a sentence each.

    What is learned on one of them has seen the answers of the other, so they are not ranked
    together.
    """
    by_name = {spec.name: spec for spec in specs}
    pairs = sorted(
        {
            tuple(sorted((spec.name, other)))
            for spec in by_name.values()
            for other in spec.conflicts_with
            if other in by_name
        }
    )
    return [
        f"Datasets {first!r} and {second!r} hold the same slides in different roles: a method that"
        " learns on one has seen the other. They are not ranked together."
        for first, second in pairs
    ]


def spec_as_dict(spec: Spec) -> dict[str, Any]:
    """Return a spec as JSON-ready values: nested dataclasses as dicts, tuples as lists."""
    from dataclasses import asdict

    return {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in asdict(spec).items()
    }
