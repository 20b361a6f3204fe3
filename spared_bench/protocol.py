"""A protocol: everything but the method that a score depends on, as one versioned YAML file.

Unknown settings are refused with the nearest known one, so that a misspelt setting cannot silently
mean the default. The whole file is hashed into every result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spared_bench.errors import ProtocolError, did_you_mean
from spared_bench.store import digest

_MAX_BYTES = 100_000

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filtering(_Section):
    """Which spots and genes stay; all count bounds are exclusive (PROTOCOL, filtering).

    ``real_fraction`` keeps the longest prefix of genes, ordered by their smallest per-slide
    expressed fraction, whose mean overall expressed fraction is at least this.
    """

    spot_min_counts: float = 10
    spot_max_counts: float = 1_000_000
    gene_min_counts: float = 10
    gene_max_counts: float = 1_000_000
    real_fraction: Fraction = 0.7


class Processing(_Section):
    """From raw counts to the target.

    Parameters
    ----------
    fit_on : {"train", "all"}
        The splits that decide which genes stay and which are most autocorrelated. ``"all"`` is
        what was published; it lets the test slides choose the genes.
    target : {"log2_tpm", "log1p_cp10k"}
        Normalisation of the target.
    n_genes : int
        How many genes of highest Moran's I are kept.
    median_hops : int
        Windows of the median filter.
    n_neighbours : int
        Of the neighbour graph.
    batch_correction : {"none", "combat", "combat_published"}
        ``"combat_published"`` has the first-gene defect of the published package.
    batch_key : {"slide_id", "patient_id"}
    """

    filtering: Filtering = Filtering()
    fit_on: Literal["train", "all"] = "train"
    target: Literal["log2_tpm", "log1p_cp10k"] = "log2_tpm"
    n_genes: Positive = 128
    median_hops: Positive = 4
    n_neighbours: Positive = 6
    batch_correction: Literal["none", "combat", "combat_published"] = "none"
    batch_key: Literal["slide_id", "patient_id"] = "slide_id"


class PatchCutting(_Section):
    """The window of a spot: ``scale`` spot diameters wide, resized to ``size`` pixels."""

    scale: Annotated[float, Field(gt=0, le=50)] = 1.0
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    antialias: bool = True


class Validation(_Section):
    """What is held out for choices where a dataset declares no validation slides.

    ``held_out_fraction`` of the spots of every training slide: a contiguous strip across its
    longer side, so that held-out spots have few training neighbours.
    """

    held_out_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2


class Training(_Section):
    """The budget of every method, and whether the target is the difference from the train mean."""

    iterations: Positive = 1000
    batch_size: Positive = 256
    validate_every: Positive = 10
    augment: bool = True
    delta: bool = False


class Completion(_Section):
    """The budget of every completer that is trained; the defaults are the published ones."""

    iterations: Positive = 10_000
    batch_size: Positive = 256
    validate_every: Positive = 10


class Search(_Section):
    """How a method's searched parameters are chosen: on validation MSE, for one completer.

    The choice made with ``completer`` is kept for all completers. ``grids`` replaces a method's own
    grid of that parameter.
    """

    completer: str = "median"
    grids: dict[str, tuple[float, ...]] = {}
    max_trials: Positive = 20


class Protocol(_Section):
    """One protocol, as read from YAML."""

    name: str
    version: Positive
    summary: str = ""
    comparable: bool = True
    datasets: tuple[str, ...] = ()
    completers: tuple[str, ...] = ("none", "median")
    processing: Processing = Processing()
    patches: PatchCutting = PatchCutting()
    validation: Validation = Validation()
    training: Training = Training()
    completion: Completion = Completion()
    search: Search = Search()
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    pooling: Literal["slide", "split"] = "slide"
    mean_rule: Literal["strict", "published"] = "strict"
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("mse", "pcc-gene")
    overrides: dict[str, dict[str, Any]] = {}

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def hash(self) -> str:
        """Hash of every setting that can move a score; the lists of what to run are not."""
        return digest(self.model_dump(mode="json", exclude={"summary", "datasets", "completers"}))


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
    if len(text) > _MAX_BYTES:
        raise ProtocolError(f"{source} is larger than {_MAX_BYTES} bytes; that is no protocol.")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProtocolError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ProtocolError(f"{source} must be a YAML mapping, found {type(values).__name__}.")
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise ProtocolError(f"{source}: {_explain(error)}") from error


def read_protocol(path: Path) -> Protocol:
    """Read a protocol file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"Cannot read the protocol {path}: {error}") from error
    return parse_protocol(text, str(path))


def _explain(error: ValidationError) -> str:
    """Turn the first problems into sentences that name the setting and the nearest known one."""
    lines = []
    for problem in error.errors()[:5]:
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _settings_at(problem["loc"][:-1])
            hint = did_you_mean(str(problem["loc"][-1]), known)
            lines.append(f"unknown setting {where!r}. {hint} Known here: {', '.join(known)}.")
        else:
            lines.append(f"setting {where!r}: {problem['msg']} (found {problem.get('input')!r}).")
    return " ".join(lines)


def _settings_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Protocol
    for part in location:
        model = model.model_fields[str(part)].annotation
    return sorted(model.model_fields)
