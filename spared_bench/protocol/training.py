"""How patches are cut, and how long methods train and search."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, field_validator

from spared_bench.data.views import View
from spared_bench.protocol.section import Positive, Section

Grid = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]


class PatchCutting(Section):
    """The window of a spot: ``scale`` spot diameters wide, resized to ``size`` pixels.

    ``window`` says how a window becomes whole pixels: ``"centred"`` rounds its side and its corner
    to the nearest, ``"published"`` truncates the side and the centre and makes the side even.
    ``um``, where it is not 0, is the width in micrometres instead; slides must say their scale.

    ``stain`` makes the colours of every slide like those of a template
    (``spared_bench.processing.stains``): ``stain_to`` is ``"train"``, the mean look of the
    dataset's training slides, or one slide, by its id or as ``dataset/slide``. It holds for all
    views.
    """

    window: Literal["centred", "published"] = "centred"
    scale: Annotated[float, Field(ge=0.05, le=50)] = 1.0
    um: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    antialias: bool = True
    stain: Literal["none", "reinhard", "macenko", "vahadane"] = "none"
    stain_to: Annotated[str, Field(min_length=1, max_length=200)] = "train"

    @field_validator("um")
    @classmethod
    def _no_millimetres(cls, um: float) -> float:
        if 0 < um < 1:
            raise ValueError(
                f"a window {um:g} µm wide is less than a pixel of most scans. Give micrometres,"
                " at least 1, or 0 for the spot's diameter times `scale`"
            )
        return um

    @property
    def cutting(self) -> dict[str, Any]:
        """The settings by which windows are cut, without those of their colours."""
        return self.model_dump(mode="json", exclude={"stain", "stain_to"})

    @property
    def view(self) -> View:
        """The same window as a view."""
        return View(size=self.size, um=self.um, scale=0.0 if self.um else self.scale)

    @property
    def open_values(self) -> dict[str, Any]:
        """What a view is settled with (``View.settled``)."""
        return {"scale": self.scale, "size": self.size, "um": self.um}


class Training(Section):
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


class Completion(Section):
    """The budget of every completer that is trained; the defaults are the published ones."""

    iterations: Positive = 10_000
    batch_size: Positive = 256
    validate_every: Positive = 10


class Search(Section):
    """How a method's searched parameters are chosen: on validation MSE, for one completer.

    The choice made with ``completer`` is kept for all completers. ``grids`` replaces a method's own
    grid of that parameter. ``strategy``: ``"grid"`` trains every candidate with the whole budget;
    ``"halving"`` ends the worse two thirds of them early, in several rungs; ``"optuna"`` proposes
    as many values as the grid has, between its ends, by what the earlier ones came to.
    """

    strategy: Literal["grid", "halving", "optuna"] = "grid"
    completer: str = "median"
    grids: dict[str, Grid] = Field(default_factory=dict)
    max_trials: Positive = 20
