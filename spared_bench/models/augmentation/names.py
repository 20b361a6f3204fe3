"""Augmentations by name, with parameters: what ``augment`` of a method may say.

``true`` is what the protocol asks for (the eight symmetries), ``false`` nothing; otherwise a name
or a list of names, each on its own or as ``{name: {parameter: value}}``, done one after the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from spared_bench.errors import UsageError, did_you_mean

#: The package's annotation of the parameter.
Augment = bool | str | tuple[str | dict[str, Any], ...]
_HERE = "spared_bench.models.augmentation"
#: Name to module and class. A line here and a file beside it is another augmentation.
BUILT_IN = {
    "symmetries": ("symmetries", "Symmetries"),
    "flips": ("flips", "Flips"),
    "quarter-turns": ("quarter_turns", "QuarterTurns"),
    "rotation": ("rotation", "Rotation"),
    "crop-scale": ("crop_scale", "CropScale"),
    "colour-jitter": ("colour_jitter", "ColourJitter"),
    "grey": ("grey", "Grey"),
    "blur": ("blur", "Blur"),
    "noise": ("noise", "Noise"),
    "hed-jitter": ("hed_jitter", "HedJitter"),
    "randstainna": ("randstainna", "RandStainNA"),
}


def named(augment: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return names and parameters of what ``augment`` asks for, in order; none for a bool.

    Parameters
    ----------
    augment : bool, str or list of str and dict

    Raises
    ------
    UsageError
        For a name that there is not, or a value that is nothing of the kind.
    """
    if isinstance(augment, bool):
        return []
    listed = [augment] if isinstance(augment, str | Mapping) else augment
    if not isinstance(listed, Sequence):
        raise UsageError(_not_one(augment))
    found: list[tuple[str, dict[str, Any]]] = []
    for each in listed:
        if isinstance(each, str):
            found.append((_known(each), {}))
        elif isinstance(each, Mapping) and all(isinstance(key, str) for key in each):
            found += [(_known(name), _parameters(name, each[name])) for name in each]
        else:
            raise UsageError(_not_one(each))
    return found


def made(augment: Any) -> list[Any]:
    """Return the augmentations that ``augment`` names, made with their parameters.

    Raises
    ------
    UsageError
        As ``named``; also for a parameter that an augmentation does not have, of another type, or
        out of its range.
    """
    return [_make(name, parameters) for name, parameters in named(augment)]


def defaults(name: str) -> dict[str, Any]:
    """Return the parameters of a built-in augmentation where nothing is said."""
    parameters = inspect.signature(_factory(name)).parameters.values()
    return {one.name: one.default for one in parameters}


def modules(augment: Any) -> list[str]:
    """Return the modules in which what ``augment`` names is computed, sorted."""
    return sorted({f"{_HERE}.{BUILT_IN[name][0]}" for name, _ in named(augment)})


def of_method(factory: Any, parameters: Mapping[str, Any]) -> Any:
    """Return what ``augment`` of a method says with these parameters.

    ``True`` for a method that is made on no base of ours: its parameter of that name is its own.
    """
    if not hasattr(factory, "augmenter"):
        return True
    return parameters.get("augment", factory.augment)


def _known(name: str) -> str:
    if name not in BUILT_IN:
        raise UsageError(
            f"No augmentation is named {name!r}. {did_you_mean(name, BUILT_IN)} There are:"
            f" {', '.join(BUILT_IN)}.".replace("  ", " ")
        )
    return name


def _parameters(name: str, given: Any) -> dict[str, Any]:
    if given is None:  # in YAML, `- blur:` with nothing after it
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(
            f"The parameters of augmentation {name!r} are {given!r}; expected a mapping,"
            " such as {" + name + ": {parameter: value}}."
        )
    return dict(given)


def _factory(name: str) -> Any:
    module, factory = BUILT_IN[name]
    return getattr(import_module(f"{_HERE}.{module}"), factory)


def _make(name: str, parameters: Mapping[str, Any]) -> Any:
    made_by = _factory(name)
    known = inspect.signature(made_by).parameters
    told = ", ".join(map(str, known.values())) or "none"
    for key in parameters:
        if key not in known:
            raise UsageError(
                f"Augmentation {name!r} has no parameter {key!r}. {did_you_mean(key, known)}"
                f" Its parameters: {told}.".replace("  ", " ")
            )
    given = {
        key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()
    }
    try:
        return made_by(**given)
    except TypeError as error:
        raise UsageError(
            f"Augmentation {name!r} cannot be made with {dict(parameters)}: {error}. Its"
            f" parameters: {told}."
        ) from error


def _not_one(found: Any) -> str:
    return (
        f"`augment` holds {found!r}. Expected true, false, a name ({', '.join(BUILT_IN)})"
        " or a list of names and {name: {parameter: value}}."
    )
