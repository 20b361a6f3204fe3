"""What a dataset says about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from spared_bench.errors import PluginError, SplitError
from spared_bench.specs.base import NAME, Spec
from spared_bench.specs.files import RemoteFile, SlideInfo

SPLITS = ("train", "val", "test")


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
        Whether ``patient_id`` is known to be the donor. False, unless it is said: it may be a
        stand-in, such as the serial number of a capture slide.
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
    classes : tuple of str
        What a label of its spots may be (``obs["label"]`` of its slides), in the order of the
        columns of predicted probabilities; empty where spots have no labels.
    stated : mapping of str to float
        Percents that its source states: ``missing_pct`` and ``raw_missing_pct`` of entries after
        and before processing, ``corrupt_spots_pct`` of spots with a missing entry.
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
    donors_verified: bool = False
    conflicts_with: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    allow_shared_donors: bool = False
    folds: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    fold_of: str = ""
    classes: tuple[str, ...] = ()
    stated: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"DatasetSpec(name={self.name!r})"
        if self.storage and not NAME.fullmatch(self.storage):
            raise PluginError(f"{label}: storage {self.storage!r} is no name of a folder.")
        known = [slide.slide_id for slide in self.slides]
        if len({slide_id.casefold() for slide_id in known}) != len(known):
            raise PluginError(
                f"{label}: a slide id stands twice in slides, capital letters not counted: {known}."
                " Files are named after slides, and some file systems take A1 and a1 for one."
            )
        self._check_split(label, known)
        self._check_classes(label)
        if self.shared_donors and not self.allow_shared_donors:
            raise SplitError(
                f"{label}: donors {list(self.shared_donors)} have slides both to learn from and in"
                " `test`, so a test slide resembles the training slides more than one of a new"
                " donor would. Split by donor, or say `allow_shared_donors=True` (in the YAML"
                " description of one's own slides: `allow_shared_donors: true`): the dataset is"
                " then shown as tier B."
            )
        for scheme, folds in self.folds.items():
            if not folds:
                raise SplitError(
                    f"{label}: the scheme of folds {scheme!r} has no fold. Give it at least one,"
                    " with the slides that it tests, or leave it out."
                )
            if parts := [fold for fold in folds if fold.casefold() in SPLITS]:
                raise SplitError(
                    f"{label}: {scheme!r} of `folds` has a fold {parts[0]!r}, which is called as a"
                    " part of a split. `folds` holds schemes, a scheme its folds, and a fold the"
                    " slides that it tests, such as {loso: {one: [A], two: [B]}}; all others are"
                    " learned from. Write it so, or call the fold otherwise."
                )
            for fold, slide_ids in folds.items():
                unknown = sorted(set(slide_ids) - set(known))
                if unknown or not slide_ids:
                    raise SplitError(
                        f"{label}: fold {fold!r} of {scheme!r} tests slides {list(slide_ids)};"
                        f" expected at least one, all of them among its slides: {known}."
                    )
        self._check_folds(label)

    def _check_classes(self, label: str) -> None:
        sound = isinstance(self.classes, tuple | list) and all(
            isinstance(name, str) and name.strip() for name in self.classes
        )
        if not sound or len(set(self.classes)) != len(self.classes):
            raise PluginError(
                f"{label}: classes must be a tuple of texts, each once and none empty (a spot"
                f" without a label has ''); found {self.classes!r}."
            )

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


def conflicts(specs: Iterable[DatasetSpec]) -> list[str]:
    """Say which of some datasets use the same slides, maybe in different roles, a sentence each.

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
        f"Datasets {first!r} and {second!r} hold the same slides, all or some: a method that learns"
        " on one has seen the other. They are not ranked together."
        for first, second in pairs
    ]
