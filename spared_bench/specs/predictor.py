"""What a predictor says about itself, and the networks that it builds on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from spared_bench.errors import PluginError
from spared_bench.specs.base import Spec

Scope = Literal["patch", "neighbourhood", "slide"]


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
class Speed:
    """How fast a method was on a machine, so that a plan can tell hours before anything has run.

    Parameters
    ----------
    machine : str
        A class of machines, in words.
    training : float
        Spots a second in training steps; 0 for a method that takes none.
    prediction : float
        Spots a second where it predicts; of a method without steps, in all that it does.
    configuration : str
        Of the method.
    measured : str
        The date, and by which command.
    """

    machine: str
    training: float
    prediction: float
    configuration: str = "published"
    measured: str = ""


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
        (``slides.features``), so that a dry run can tell of them; empty for none. Such a predictor
        can be asked for as ``predictor+encoder``, and is then a method of its own.
    fixed : mapping
        Parameters that neither a protocol nor a user changes: of a variant.
    variant_of : str
        Of a variant, the predictor whose settings hold for it, too.
    needs_known : bool
        Whether it predicts partially measured samples from what is known of them
        (``slides.known``): it runs under protocols with ``known`` alone, and stands on their board.
    speeds : tuple of Speed
        Measured speeds, by which a plan is forecast where no past trial is at hand.
    """

    kind: ClassVar[str] = "predictor"

    scope: Scope = "patch"
    pretraining: str = ""
    control: bool = False
    gpu: bool = False
    search: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    encoder: str = ""
    needs_known: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    variant_of: str = ""
    speeds: tuple[Speed, ...] = ()

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
        if not isinstance(self.speeds, tuple) or not all(map(_is_speed, self.speeds)):
            raise PluginError(
                f"{label}: speeds must be a tuple of Speed objects that name a `machine`, with a"
                " positive `prediction` and `training` of 0 or more spots a second, found"
                f" {self.speeds!r}."
            )


def _is_speed(value: object) -> bool:
    if not isinstance(value, Speed) or not value.machine:
        return False
    texts = (value.machine, value.configuration, value.measured)
    rates = (value.training, value.prediction)
    return (
        all(isinstance(text, str) and text.isprintable() for text in texts)
        and _are_numbers(rates)
        and value.training >= 0
        and value.prediction > 0
    )


def _are_numbers(values: object) -> bool:
    """Whether this is a grid: at least one number, all of them finite."""
    return (
        isinstance(values, tuple | list)
        and bool(values)
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )
