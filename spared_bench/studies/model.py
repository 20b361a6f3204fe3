"""A study, read from YAML: a base protocol, factors with levels, methods, and a metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from spared_bench.errors import StudyError, did_you_mean
from spared_bench.protocol import Protocol
from spared_bench.protocol.section import Positive, Repetition, Section
from spared_bench.strict import in_one_line, text_of
from spared_bench.validated import load_model

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_+.-]{0,63}$")]


def label_of(value: Any) -> str:
    """Return a level's value as its label: what YAML would show of it, in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    return in_one_line(value)


def _label(given: Any) -> Any:
    """Return the label that a number or a bool of YAML stands for; anything else as it is."""
    return label_of(given) if isinstance(given, bool | int | float) else given


def _is_label(text: str) -> bool:
    """Whether a table can show a text, and a reader tell it from others."""
    return 1 <= len(text) <= _LONGEST and text.isprintable() and text == text.strip()


def _covers(one: str, other: str) -> bool:
    """Whether one name sets all of another: itself, what stands below, ``method.lr`` any lr."""
    if one == other or other.startswith(f"{one}."):
        return True
    (first, _, of_first), (second, _, of_second) = one.rpartition("."), other.rpartition(".")
    of_a_method = bool(second) and second.partition(".")[0] not in Protocol.model_fields
    return first == "method" and of_a_method and of_first == of_second


#: YAML reads 3, 0.5 and yes as a number or a bool, also where a label is meant.
Label = Annotated[str, BeforeValidator(_label)]
_MAX_LEVELS = 64
#: What a level selects, and the list that a study has for it.
_LISTS = {"method": "methods", "dataset": "datasets", "completer": "completers", "seed": "seeds"}
_LONGEST = 120  # characters of a label
_ALL_BUT_FACTS = ("factors", "robustness")
#: In which kinds of study a setting has an effect, where that is not so in all of them.
_KINDS_OF = {
    "factors": ("factors",), "compare": ("factors",), "design": ("factors",),
    "colours": ("factors",), "laboratories": ("factors",), "shifts": ("robustness",),
    "set": _ALL_BUT_FACTS, "methods": _ALL_BUT_FACTS, "completers": _ALL_BUT_FACTS,
    "seeds": _ALL_BUT_FACTS, "max_cells": _ALL_BUT_FACTS,
}  # fmt: skip


class Factor(Section):
    """One thing that is varied.

    Parameters
    ----------
    setting : str
        What a level gives a value: ``processing.target`` (a setting of the protocol),
        ``linear-probe.alpha`` (a parameter of a method), ``method.augment`` (of every method of the
        study), or ``method``, ``dataset``, ``completer``, ``seed``. Empty: every level is a mapping
        of such names to values.
    levels : dict of label to value, or list of values
    base : str
        The label that the others are held against; the first by default.
    """

    setting: str = ""
    levels: dict[str, Any]
    base: Label = ""

    @field_validator("levels", mode="before")
    @classmethod
    def _labelled(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            labels, values = [_label(key) for key in given], list(given.values())
        elif isinstance(given, list | tuple):
            labels, values = [label_of(value) for value in given], list(given)
        else:
            return given
        for label in labels:
            if isinstance(label, str) and not _is_label(label):
                raise ValueError(
                    f"a level is called {in_one_line(label)}; a label is 1 to {_LONGEST} characters"
                    " long, of one line, and neither begins nor ends with a space. Give levels"
                    " labels: `levels: {label: value}`"
                )
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ValueError(
                f"the level {twice!r} stands twice. Give levels labels of their own: `levels:"
                " {label: value}`"
            )
        return dict(zip(labels, values, strict=True))

    @model_validator(mode="after")
    def _check(self) -> Factor:
        if not 2 <= len(self.levels) <= _MAX_LEVELS:
            raise ValueError(
                f"it has {len(self.levels)} levels; a factor has 2 to {_MAX_LEVELS} of them"
            )
        if self.base and self.base not in self.levels:
            raise ValueError(
                f"`base` is {self.base!r}, which is no level of it."
                f" {did_you_mean(self.base, self.levels)} Levels: {', '.join(self.levels)}"
            )
        if not self.setting:
            for label, value in self.levels.items():
                if not isinstance(value, Mapping):
                    raise ValueError(
                        f"level {label!r} is {in_one_line(value)}; without `setting`, a level is a"
                        " mapping such as {processing.target: log2_tpm}"
                    )
                if odd := [name for name in value if not isinstance(name, str)]:
                    raise ValueError(
                        f"level {label!r} sets {in_one_line(odd[0])}, which is the name of no"
                        " setting; expected a text such as processing.target"
                    )
        return self

    @property
    def base_level(self) -> str:
        """The label that the others are held against."""
        return self.base or next(iter(self.levels))

    def assigned(self, label: str) -> dict[str, Any]:
        """Return which settings a level gives which values."""
        value = self.levels[label]
        return {self.setting: value} if self.setting else dict(value)


class Comparison(Section):
    """A level of a factor that is held against another one than the base."""

    factor: str
    level: Label
    against: Label


class Study(Section):
    """One study, as read from YAML.

    Parameters
    ----------
    name : str
    version : int
    summary, question, citation : str
        One line; what it asks; whose question it is.
    kind : {"factors", "robustness", "difficulty"}
        ``"factors"``: variants of a protocol, trained and compared. ``"robustness"``: trained
        methods on shifted images of the test slides. ``"difficulty"``: facts of datasets against
        the best score on them; nothing is trained.
    base : str
        A protocol: its name, or a YAML file beside the study.
    set : dict
        Settings and parameters that hold for every cell, as a level names them.
    methods, datasets, completers : tuple of str
        What is run; datasets and completers of the protocol where nothing is named.
    seeds : tuple of int
        Those of the protocol where nothing is named.
    metric : str
        By which levels are compared.
    factors : dict of name to Factor
    design : {"full", "single"}
        Every combination of levels, or every level alone beside the base levels of the others.
    compare : tuple of Comparison
        Beside every level against its base.
    max_cells : int
        A study of more cells is refused when it is planned.
    colours : bool
        Draw the distributions of colours and of genes per spot by source (``laboratories``).
    laboratories : dict of str to list of str
        Slides by who made them, for that figure; the splits where nothing is named.
    notes : tuple of str
        What the reader should know, a sentence each.
    shifts : tuple of str
        Of ``kind: robustness``: which shifts (``spared_bench.studies.shifts``); all where empty.
    """

    name: Name
    version: Positive = 1
    summary: str = ""
    question: str = ""
    citation: str = ""
    kind: Literal["factors", "robustness", "difficulty"] = "factors"
    base: str = "demo"
    set: dict[str, Any] = Field(default_factory=dict)
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    completers: tuple[str, ...] = ()
    seeds: tuple[Repetition, ...] = ()
    metric: str = "pcc-gene"
    factors: dict[str, Factor] = Field(default_factory=dict)
    design: Literal["full", "single"] = "full"
    compare: tuple[Comparison, ...] = ()
    max_cells: Positive = 200
    colours: bool = False
    laboratories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Study:
        if self.kind != "difficulty" and not self.methods and not self._varies("method"):
            raise ValueError(
                "it names no `methods`, and no factor of it varies `method`. Name at least one"
                " predictor, such as `methods: [linear-probe]`"
            )
        if self.kind == "factors" and not self.factors:
            raise ValueError("it has no `factors`, so there is nothing to compare")
        self._require_of_its_kind()
        for what, names in (("factor", self.factors), ("laboratory", self.laboratories)):
            if odd := [name for name in names if not _is_label(name)]:
                raise ValueError(
                    f"a {what} is called {in_one_line(odd[0])}; a name is 1 to {_LONGEST}"
                    " characters long, of one line, and neither begins nor ends with a space"
                )
        self._require_apart()
        self._require_effect()
        for each in self.compare:
            factor = self.factors.get(each.factor)
            if factor is None:
                raise ValueError(
                    f"`compare` names the factor {each.factor!r}."
                    f" {did_you_mean(each.factor, self.factors)} Factors:"
                    f" {', '.join(self.factors)}"
                )
            for label in (each.level, each.against):
                if label not in factor.levels:
                    raise ValueError(
                        f"`compare` names the level {label!r} of factor {each.factor!r}."
                        f" {did_you_mean(label, factor.levels)} Levels: {', '.join(factor.levels)}"
                    )
            if each.level == each.against:
                raise ValueError(
                    f"`compare` holds the level {each.level!r} of factor {each.factor!r} against"
                    " itself"
                )
        return self

    def _require_of_its_kind(self) -> None:
        """Refuse settings that have no effect in a study of this kind."""
        for name, kinds in _KINDS_OF.items():
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if self.kind not in kinds and getattr(self, name) != default:
                raise ValueError(
                    f"`{name}` has no effect in a study of `kind: {self.kind}` (it belongs to"
                    f" {' and '.join(kinds)}). Take it out, or the kind"
                )
        if self.laboratories and not self.colours:
            raise ValueError(
                "`laboratories` has no effect without `colours: true`: it is for that figure. Add"
                " it, or take `laboratories` out"
            )
        slides = [slide for slides in self.laboratories.values() for slide in slides]
        if twice := next((slide for slide in slides if slides.count(slide) > 1), ""):
            raise ValueError(f"`laboratories` names slide {twice!r} more than once")

    def _require_apart(self) -> None:
        """Refuse two factors that set the same: the later one would hide the earlier."""
        of: dict[str, str] = {}
        for name, factor in self.factors.items():
            paths = dict.fromkeys(p for label in factor.levels for p in factor.assigned(label))
            for path in paths:
                other = next(
                    (known for known in of if _covers(known, path) or _covers(path, known)), None
                )
                if other is not None:
                    raise ValueError(
                        f"the factors {of[other]!r} and {name!r} both set {path!r}, so that levels"
                        " of one would hide those of the other. Make one factor of them, whose"
                        " levels are mappings"
                    )
            of |= dict.fromkeys(paths, name)

    def _require_effect(self) -> None:
        """Refuse what is set, or listed, and overridden in every cell of the study."""
        levels = [f.assigned(label) for f in self.factors.values() for label in f.levels]
        methods = [*self.methods, *(str(each["method"]) for each in levels if "method" in each)]
        paths = list(self.set)
        for at, path in enumerate(paths):
            name, _, parameter = path.rpartition(".")
            targets = [f"{each}.{parameter}" for each in methods] if name == "method" else [path]
            over = [self._overriding(target, paths[at + 1 :]) for target in targets]
            if over and all(over):
                raise ValueError(
                    f"`set` gives {path!r} a value, which has no effect:"
                    f" {' and '.join(dict.fromkeys(over))}. Take one of them out"
                )
        for what, named in _LISTS.items():
            if getattr(self, named) and (why := self._overriding(what, paths)):
                raise ValueError(f"`{named}` has no effect: {why}. Take one of them out")

    def _overriding(self, path: str, later: list[str]) -> str:
        """Say what gives a setting another value in every cell; empty for nothing."""
        for name, factor in self.factors.items():
            of_levels = [factor.assigned(label) for label in factor.levels]
            if all(any(_covers(each, path) for each in level) for level in of_levels):
                hiding = next(each for each in of_levels[0] if _covers(each, path))
                return f"every level of the factor {name!r} sets {hiding!r}"
        again = next((each for each in later if _covers(each, path)), "")
        return f"`set` gives {again!r} a value, too" if again else ""

    def _varies(self, what: str) -> bool:
        return any(
            what in factor.assigned(label)
            for factor in self.factors.values()
            for label in factor.levels
        )

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def comparisons(self) -> list[Comparison]:
        """Return every level against its base, then those that the study adds."""
        usual = [
            Comparison(factor=name, level=label, against=factor.base_level)
            for name, factor in self.factors.items()
            for label in factor.levels
            if label != factor.base_level
        ]
        return [*usual, *(each for each in self.compare if each not in usual)]


def parse_study(text: str, source: str) -> Study:
    """Read a study from YAML.

    Parameters
    ----------
    text : str
        The file's content; at most 100 kB.
    source : str
        What to call it in a message.

    Raises
    ------
    StudyError
        For YAML that cannot be read, an unknown setting, or an impossible value.
    """
    return load_model(Study, text, source, "study", StudyError)


def read_study(path: Path) -> Study:
    """Read a study from a file; see ``parse_study``."""
    return parse_study(text_of(path, "study", StudyError), str(path))
