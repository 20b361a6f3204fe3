"""The parameters of a method: what they are, and what a protocol and a user make of them.

From the weakest to the strongest: the published defaults, the configuration that the protocol asks
for, the protocol's overrides, ``--weights``, and what is set by hand (``--set``). Names and types
are checked here, before anything is run.
"""

from __future__ import annotations

import inspect
import json
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Optional, get_args

from spared_bench.annotations import fits, in_words
from spared_bench.bounds import out_of_bounds
from spared_bench.errors import PluginError, UsageError, did_you_mean
from spared_bench.protocol import PUBLISHED
from spared_bench.strict import in_one_line

#: Set like a parameter, it chooses a configuration: ``--set hist2st.configuration=published``.
CONFIGURATION = "configuration"
WEIGHTS = "weights"
_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method.

    Parameters
    ----------
    name : str
    annotation : object
        Its type; ``Any`` where none is given or it cannot be told.
    default : object
        ``inspect.Parameter.empty`` where it must be given.
    bounded : object
        Its type with bounds (``spared_bench.bounds``).
    """

    name: str
    annotation: Any = Any
    default: Any = _REQUIRED
    bounded: Any = Any

    @property
    def type(self) -> str:
        """Its type in words: ``"float"``, ``"str | None"``."""
        return in_words(self.annotation)

    @property
    def required(self) -> bool:
        """Whether the method cannot be made without it."""
        return self.default is _REQUIRED


@dataclass(frozen=True)
class Signature:
    """What a method can be made with.

    Parameters
    ----------
    parameters : dict of str to Parameter
    takes_all : bool
        Whether any other name is taken, too (``**kwargs``).
    configurations : dict of str to dict
        Named sets of values; ``"published"``, the defaults, is not among them.
    """

    parameters: dict[str, Parameter]
    takes_all: bool
    configurations: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Chosen:
    """The parameters of a method in a run.

    Parameters
    ----------
    configuration : str
        The one that is used, ``"published"`` for the defaults.
    values : dict
        What is set; every other parameter has its default.
    """

    configuration: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Wishes:
    """What is asked of a method, from the weakest to the strongest.

    Parameters
    ----------
    configuration : str
        Of the protocol; a method that does not offer it uses its defaults.
    overrides : mapping
        Of the protocol, for this method.
    weights : str
        For every method that has the parameter ``weights``; empty: as each says.
    by_hand : mapping
        Of ``--set``, for this method.
    protocol : str
        What to call the protocol in a message.
    """

    configuration: str = PUBLISHED
    overrides: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    by_hand: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = "the protocol"


def signature_of(method: str, factory: Any) -> Signature:
    """Return what a method can be made with.

    Parameters
    ----------
    method : str
        What to call it in a message: ``"predictor 'st-net'"``.
    factory : callable
        A dataclass, another class, or a function.

    Raises
    ------
    PluginError
        If it has a parameter named ``configuration``, or its ``configurations`` are not named sets
        of its parameters.
    """
    try:
        found = dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # of a class that is not written in Python
        found = {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}
    hints, bounded = _hints(factory), _hints(factory, extras=True)
    defaults = _field_defaults(factory)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = {}
    for name, one in found.items():
        if one.kind in named:
            default = defaults.get(name, one.default)
            types = (_with_default(each.get(name, Any), default) for each in (hints, bounded))
            annotation, within = types
            parameters[name] = Parameter(name, annotation, default, within)
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in found.values())
    if CONFIGURATION in parameters:
        raise PluginError(
            f"{method} has a parameter named {CONFIGURATION!r}, a word that chooses among its"
            " `configurations`. Rename the parameter."
        )
    plain = Signature(parameters, takes_all, {})
    return Signature(parameters, takes_all, _configurations(method, factory, plain))


def _with_default(annotation: Any, default: Any) -> Any:
    """Return a type that ``None`` is of, too, where that is the default: ``rate: float = None``."""
    return annotation if default is not None or fits(None, annotation) else Optional[annotation]  # noqa: UP045


def resolve(method: str, signature: Signature, wishes: Wishes) -> Chosen:
    """Return the parameters of a method as protocol and user want them.

    Parameters
    ----------
    method : str
        What to call it in a message.
    signature : Signature
    wishes : Wishes

    Raises
    ------
    UsageError
        For a parameter that the method does not have, with the nearest name and all of them; for a
        value of another type; for a configuration that it does not offer. All of them at once.
    """
    problems: list[str] = []
    configuration = wishes.configuration
    if configuration not in signature.configurations:
        configuration = PUBLISHED
    sources = (
        (f"overrides of {wishes.protocol}", wishes.overrides),
        ("--weights", by_weights(signature, wishes.weights)),
        ("--set", wishes.by_hand),
    )
    for source, asked in sources:
        named = asked.get(CONFIGURATION, configuration)
        if named not in (PUBLISHED, *signature.configurations):
            problems.append(_unknown_configuration(method, signature, named, source))
        else:
            configuration = named
    values = dict(signature.configurations.get(configuration, {}))
    for source, asked in sources:
        for name, value in asked.items():
            if name == CONFIGURATION:
                continue
            try:
                values[name] = checked(method, signature, name, value, source)
            except UsageError as error:
                problems.append(str(error))
    missing = [p.name for p in signature.parameters.values() if p.required and p.name not in values]
    if missing:
        problems.append(
            f"{method} needs a value of {', '.join(missing)}: it has no default. Give it with"
            f" `--set METHOD.{missing[0]}=VALUE`, or in the protocol's `overrides`."
        )
    if problems:
        raise UsageError(" ".join(problems))
    return Chosen(configuration, values)


def checked(method: str, signature: Signature, name: str, value: Any, source: str) -> Any:
    """Return a value as the method takes it: an integer becomes a float where that is its type.

    Raises
    ------
    UsageError
        For an unknown name, or a value of another type or out of its bounds.
    """
    if not _has_a_key(value):
        raise UsageError(
            f"{source}: parameter {name!r} of {method} is {in_one_line(value)}; a value must be"
            " finite, and a number, text, switch, or list or mapping of these."
        )
    parameter = signature.parameters.get(name)
    if parameter is None:
        if signature.takes_all:
            return value
        known = [*signature.parameters, CONFIGURATION]
        raise UsageError(
            f"{source}: {method} has no parameter {name!r}. {did_you_mean(name, known)}"
            f" {_listed(signature)}".replace("  ", " ")
        )
    if not fits(value, parameter.annotation):
        raise UsageError(
            f"{source}: parameter {name!r} of {method} is {in_one_line(value)}, of type"
            f" {type(value).__name__}; expected {parameter.type}."
        )
    if expected := out_of_bounds(value, parameter.bounded):
        raise UsageError(
            f"{source}: parameter {name!r} of {method} is {in_one_line(value)}; expected"
            f" {expected}."
        )
    whole = isinstance(value, int) and not isinstance(value, bool)
    # 10 and 10.0 are one experiment, and should have one key.
    kinds = (parameter.annotation, *get_args(parameter.annotation))
    return float(value) if whole and float in kinds and int not in kinds else value


def _has_a_key(value: Any) -> bool:
    """Whether a value can be part of a key, which is JSON: no nan, no date, no half of a letter."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def by_weights(signature: Signature, weights: str) -> dict[str, str]:
    """Return what ``--weights`` sets: nothing where ``weights`` means something else, or is not."""
    parameter = signature.parameters.get(WEIGHTS)
    if not weights or parameter is None or not fits(weights, parameter.annotation):
        return {}
    # Those of a completer that was trained before: empty unless a file is named.
    return {} if parameter.default == "" else {WEIGHTS: weights}


def _configurations(method: str, factory: Any, signature: Signature) -> dict[str, dict[str, Any]]:
    declared = getattr(factory, "configurations", {})
    if not isinstance(declared, Mapping) or not all(
        isinstance(name, str) and isinstance(values, Mapping) for name, values in declared.items()
    ):
        raise PluginError(
            f"{method}: `configurations` must map names to mappings of parameters, such as"
            f" {{'small': {{'width': 16}}}}; found {in_one_line(declared)}."
        )
    if PUBLISHED in declared:
        raise PluginError(
            f"{method}: {PUBLISHED!r} stands for the defaults of a method and cannot be one of its"
            " `configurations`. Change the defaults, or choose another name."
        )
    made: dict[str, dict[str, Any]] = {}
    for name, values in declared.items():
        source = f"configuration {name!r}"
        try:
            made[name] = {
                key: checked(method, signature, key, value, source) for key, value in values.items()
            }
        except UsageError as error:
            raise PluginError(str(error)) from error
    return made


def _unknown_configuration(method: str, signature: Signature, named: Any, source: str) -> str:
    offered = [PUBLISHED, *signature.configurations]
    hint = did_you_mean(str(named), offered)
    return (
        f"{source}: {method} offers no configuration {in_one_line(named)}. {hint} It offers:"
        f" {', '.join(offered)}."
    ).replace("  ", " ")


def _listed(signature: Signature) -> str:
    if not signature.parameters:
        return "It has no parameters."
    told = ", ".join(f"{one.name} ({one.type})" for one in signature.parameters.values())
    return f"Its parameters are: {told}."


def _hints(factory: Any, *, extras: bool = False) -> dict[str, Any]:
    """Return the types of parameters; none of one that names what only checkers import."""
    target = factory if is_dataclass(factory) else getattr(factory, "__init__", factory)
    if inspect.isfunction(factory):
        target = factory
    try:
        return typing.get_type_hints(target, include_extras=extras)
    except Exception:  # a stranger's annotation may hold anything
        return dict(_hints_one_by_one(target, extras=extras))


def _hints_one_by_one(target: Any, *, extras: bool) -> Iterator[tuple[str, Any]]:
    """Yield the types that can be told, where another cannot."""
    for part in reversed(target.__mro__) if isinstance(target, type) else [target]:
        module = sys.modules.get(getattr(part, "__module__", ""))
        for name, annotation in inspect.get_annotations(part).items():
            alone = type("alone", (), {"__annotations__": {name: annotation}})
            with suppress(Exception):
                known, own = vars(module), dict(vars(part))
                yield name, typing.get_type_hints(alone, known, own, include_extras=extras)[name]


def _field_defaults(factory: Any) -> dict[str, Any]:
    """Return what the default factories of a dataclass make; its signature hides it."""
    if not is_dataclass(factory):
        return {}
    return {
        each.name: each.default_factory()
        for each in fields(factory)
        if each.init and each.default_factory is not MISSING
    }
