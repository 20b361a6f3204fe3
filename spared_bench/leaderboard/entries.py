"""Accepted results of others: ``leaderboards/<protocol>/<method>@<version>/entry.json``.

One folder is one version of one method under one protocol. The file is plain JSON without nan,
checked here field by field and bounded, because it comes from outside. The board merges entries
with its own runs: a row is one (trust, method, version, predictor, completer), and rows of three
levels of trust stand side by side:

- ``reported``: numbers that someone published; nothing was checked;
- ``re-scored``: computed here from predictions that were handed in;
- ``reproduced``: trained and scored here. Runs of the workspace are such rows, without a version.

A withdrawn entry stays visible with its reason, has no rank and sets no record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spared_bench.errors import EntryError
from spared_bench.lasting import write_lasting
from spared_bench.specs import MetricSpec
from spared_bench.strict import load_json
from spared_bench.validated import first_problems

ENTRY = "entry.json"
MAX_BYTES = 20_000_000
MAX_RESULTS = 20_000
MAX_SCORE = 1e9
MAX_PARAMETERS = 10**12  # as many as the largest networks that anyone has published
_MAX_PARAMETERS = 20_000  # characters of one result's parameters as JSON

Trust = Literal["reported", "re-scored", "reproduced"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}$")]
ProtocolId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_+.-]{0,63}@[0-9]{1,6}$")]
Text = Annotated[str, Field(max_length=2_000)]
Number = Annotated[float, Field(ge=-MAX_SCORE, le=MAX_SCORE, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tally = Annotated[list[Annotated[int, Field(ge=0, le=10**9)]], Field(max_length=1_000)]
Scores = Annotated[dict[Name, Number | None], Field(max_length=100)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Flag(_Checked):
    """A doubt about an entry, with its reason; shown beside the rows it is about.

    Parameters
    ----------
    kind : str
        ``"suspect-cell"``, ``"copy"``, ``"noise-ceiling"``, ...
    reason : str
        A sentence for readers.
    dataset : str
        The dataset it is about; empty for the entry as a whole.
    """

    kind: Name
    reason: Text
    dataset: Name | Literal[""] = ""


class EntryResult(_Checked):
    """The scores of one (dataset, completer, predictor, seed).

    Parameters
    ----------
    dataset, completer, predictor : str
    seed : int
    split_scores : dict of split to dict of metric to float or None
        Means as the protocol pools them; ``None`` where undefined. The board reads ``test`` where
        it is there, else ``val``.
    parameters, by_hand : dict
        Settings of the method, and which of it and of its completer were set by hand
        (``"st-net.lr"``); JSON values.
    n_parameters : int or None
        Trainable; ``None`` where not known.
    train_seconds : float or None
    weights : str
        ``"pretrained"``, ``"random"``, a name; empty where not known.
    field_of_view_um : float or None
        Side of the largest window, in µm; ``None`` for a method that looks at patches alone.
    calibration : list of float or None
        Share of the truth within each predicted interval (``metrics.uncertainty.LEVELS``), on that
        split; empty for a method without variances.
    confusion, classes : list
        Labelled spots by label and predicted class; empty for a method without classes.
    """

    dataset: Name
    completer: Name
    predictor: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    split_scores: dict[Literal["train", "val", "test"], Scores]
    parameters: dict[str, Any] = {}
    by_hand: dict[str, Any] = {}
    n_parameters: Annotated[int, Field(ge=0, le=MAX_PARAMETERS)] | None = None
    train_seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    weights: Annotated[str, Field(max_length=200)] = ""
    field_of_view_um: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    calibration: Annotated[list[Share | None], Field(max_length=100)] = []
    confusion: Annotated[list[Tally], Field(max_length=1_000)] = []
    classes: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=1_000)] = []

    @field_validator("parameters", "by_hand")
    @classmethod
    def _bounded(cls, values: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(values, allow_nan=False)
        if len(text) > _MAX_PARAMETERS:
            raise ValueError(f"{len(text)} characters; at most {_MAX_PARAMETERS} are kept")
        return values

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What it is about, of which an entry has one result."""
        return self.dataset, self.completer, self.predictor, self.seed


class MethodEntry(_Checked):
    """One version of one method under one protocol, as accepted.

    Parameters
    ----------
    method, version : str
        Give the name of its folder: ``<method>@<version>``.
    protocol : str
        ``"spared@1"``.
    trust : {"reported", "re-scored", "reproduced"}
    withdrawn : str or None
        The reason; ``None`` while it stands.
    source : str
        Where it comes from: an address, a citation, in words.
    flags : list of Flag
    results : list of EntryResult
    """

    method: Name
    version: Name
    protocol: ProtocolId
    trust: Trust
    withdrawn: Text | None = None
    source: Text = ""
    flags: Annotated[list[Flag], Field(max_length=1_000)] = []
    results: Annotated[list[EntryResult], Field(min_length=1, max_length=MAX_RESULTS)]

    @model_validator(mode="after")
    def _once(self) -> MethodEntry:
        seen = set()
        for result in self.results:
            if result.place in seen:
                raise ValueError(f"{' / '.join(map(str, result.place))} stands twice in results")
            seen.add(result.place)
        return self

    @property
    def folder_name(self) -> str:
        """``<method>@<version>``."""
        return f"{self.method}@{self.version}"


@dataclass(frozen=True)
class RefusedEntry:
    """An ``entry.json`` that cannot be used, and why; the board goes on without it."""

    path: Path
    reason: str


def entry_path(leaderboards: Path, entry: MethodEntry) -> Path:
    """Where an entry belongs below ``leaderboards/``."""
    return leaderboards / entry.protocol / entry.folder_name / ENTRY


def parse_entry(text: str | bytes, source: str) -> MethodEntry:
    """Check the text of an ``entry.json``.

    Parameters
    ----------
    text : str or bytes
    source : str
        What to call it in a message.

    Raises
    ------
    EntryError
        With the first fields that are wrong.
    """
    if len(text) > MAX_BYTES:
        raise EntryError(f"{source} has {len(text)} bytes; an entry has at most {MAX_BYTES}.")
    try:
        values = load_json(text, finite=True)
        return MethodEntry.model_validate_json(json.dumps(values))
    except ValidationError as error:
        told = first_problems(error, "entry", MethodEntry)
        raise EntryError(f"{source} is not a valid entry: {told}.") from error
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise EntryError(f"{source} is not valid JSON: {reason}.") from error


def read_entry(path: Path) -> MethodEntry:
    """Read an ``entry.json`` whose folders say the same as it does.

    Raises
    ------
    EntryError
        If it cannot be read, is not valid, or lies in the folder of another entry.
    """
    try:
        if not path.is_file():
            raise EntryError(f"{path} is no file; an entry is plain JSON.")
        if path.stat().st_size > MAX_BYTES:
            raise EntryError(
                f"{path} has {path.stat().st_size} bytes; an entry has at most {MAX_BYTES}."
            )
        text = path.read_bytes()
    except OSError as error:
        raise EntryError(f"{path} cannot be read: {error.strerror or error}.") from error
    entry = parse_entry(text, str(path))
    found = path.parent.parent.name, path.parent.name
    wanted = entry.protocol, entry.folder_name
    if found != wanted:
        raise EntryError(
            f"{path} is the entry {'/'.join(wanted)}, but lies in {'/'.join(found)}. Move its"
            " folder, or correct `protocol`, `method` and `version`."
        )
    return entry


def write_entry(leaderboards: Path, entry: MethodEntry) -> Path:
    """Write an entry to its place and return the file; an earlier one is replaced."""
    path = entry_path(leaderboards, entry)
    text = json.dumps(entry.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
    write_lasting(path, text)
    return path


def impossible(results: Sequence[EntryResult], metrics: Mapping[str, MetricSpec]) -> str:
    """Say which score lies beyond the bounds of its metric; empty if none does."""
    for result in results:
        for scores in result.split_scores.values():
            for name, value in scores.items():
                low, high = metrics[name].bounds if name in metrics else (-math.inf, math.inf)
                if value is not None and not low <= value <= high:
                    place = " / ".join(map(str, result.place))
                    return f"{place}: {name} is {value}, which lies between {low:g} and {high:g}"
    return ""


def read_entries(
    leaderboards: Path, protocol: str = "", metrics: Mapping[str, MetricSpec] | None = None
) -> tuple[list[MethodEntry], list[RefusedEntry]]:
    """Read all entries below ``leaderboards/``, in the order of their folders.

    Parameters
    ----------
    leaderboards : Path
        Need not exist.
    protocol : str
        Only this one (``"spared@1"``); all where empty.
    metrics : mapping of name to MetricSpec, optional
        An entry with a score beyond the bounds of one of them is refused.
    """
    entries: list[MethodEntry] = []
    refused: list[RefusedEntry] = []
    for path in _files(leaderboards, protocol):
        try:
            entry = read_entry(path)
            if reason := impossible(entry.results, metrics or {}):
                raise EntryError(f"{path} holds a score that cannot be: {reason}.")
            entries.append(entry)
        except EntryError as error:
            refused.append(RefusedEntry(path, str(error)))
    return entries, refused


def _files(leaderboards: Path, protocol: str) -> Iterator[Path]:
    for folder in sorted(leaderboards.glob("*@*")):
        # A link could lead anywhere; what is accepted lies here itself.
        if (protocol and folder.name != protocol) or folder.is_symlink():
            continue
        for path in sorted(folder.glob(f"*@*/{ENTRY}")):
            if not (path.is_symlink() or path.parent.is_symlink()):
                yield path
