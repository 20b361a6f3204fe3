"""What a level may set: a protocol's setting, a method's parameter, or what is selected.

Every name and type is checked when a study is planned, and told with the nearest name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from spared_bench.bench import Bench
from spared_bench.errors import StudyError, UsageError, did_you_mean
from spared_bench.parameters import CONFIGURATION, checked
from spared_bench.planning.checks import used_methods
from spared_bench.protocol import Protocol
from spared_bench.strict import in_one_line
from spared_bench.validated import explain

#: What a level may select instead of setting.
SELECTED = ("method", "dataset", "completer", "seed")
#: ``method.augment``: a parameter of every method of the study.
EVERY_METHOD = "method"
#: Of the protocol, what a study says in other words, or what is its name.
_NOT_SET = {
    "name": "it names the protocol",
    "version": "it names the protocol",
    "datasets": "a study has `datasets` of its own",
    "completers": "a study has `completers` of its own",
    "seeds": "a study has `seeds` of its own",
    "ranking": "it moves no score",
    "summary": "it moves no score",
    "comparable": "it moves no score",
    "overrides": "name the method and its parameter, such as `shufflenet.lr`",
}


def set_protocol(protocol: Protocol, settings: Sequence[tuple[str, str, Any]]) -> Protocol:
    """Return a protocol with some settings replaced, all at once.

    Parameters
    ----------
    protocol : Protocol
    settings : sequence of (source, path, value)
        Whose level it is, for messages; ``processing.filtering.real_fraction``, ``patches.size``,
        ``pooling``; the value as in the YAML of a protocol.

    Raises
    ------
    StudyError
        For a name that is no setting, and for a value that it cannot have beside the others.
    """
    for source, path, _ in settings:
        _require_setting(path.split("."), source)
    try:
        return _with(protocol, settings)
    except ValidationError as error:
        source, path, value = _at_fault(protocol, settings)
        raise StudyError(
            f"{source}: {path} cannot be {in_one_line(value)}: {explain(error, Protocol)}"
        ) from error


def _with(protocol: Protocol, settings: Sequence[tuple[str, str, Any]]) -> Protocol:
    values = protocol.model_dump(mode="json", by_alias=True)
    for _, path, value in settings:
        *above, last = path.split(".")
        place = values
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value
    return Protocol.model_validate(values)


def _at_fault(protocol: Protocol, settings: Sequence[tuple[str, str, Any]]) -> tuple[str, str, Any]:
    """Return the last setting without which the others would do; the last of all without one."""
    for at in range(len(settings) - 1, -1, -1):
        try:
            _with(protocol, [*settings[:at], *settings[at + 1 :]])
        except ValidationError:
            continue
        return settings[at]
    return settings[-1]


def _require_setting(parts: list[str], source: str) -> None:
    path = ".".join(parts)
    if parts[0] in _NOT_SET:
        raise StudyError(f"{source}: {path!r} cannot be varied: {_NOT_SET[parts[0]]}.")
    model: Any = Protocol
    for at, part in enumerate(parts):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            if _is_mapping(model):
                return  # below a mapping, such as per_dataset, any name may stand
            above = ".".join(parts[:at])
            raise StudyError(
                f"{source}: {path!r} names no setting of a protocol: nothing stands below"
                f" {above!r}. Name {above!r} itself."
            )
        fields = _fields(model)
        if part not in fields:
            known = settings_of(model)
            hint = did_you_mean(part, known)
            where = f" of `{'.'.join(parts[:at])}`" if at else ""
            raise StudyError(
                f"{source}: {path!r} names no setting of a protocol: {part!r} is none{where}."
                f" {hint} Known{where}: {', '.join(known)}.".replace("  ", " ")
            )
        model = _section(fields[part]) if at + 1 < len(parts) else fields[part]
    if isinstance(model, type) and issubclass(model, BaseModel):
        raise StudyError(
            f"{source}: {path!r} is a section, not a setting. Name one of:"
            f" {', '.join(f'{path}.{name}' for name in settings_of(model))}."
        )


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return what each setting of a section may be, by the names that YAML has for them."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _section(annotation: Any) -> Any:
    """Return the section that a setting is where it is there at all, such as ``known``."""
    inside = [each for each in get_args(annotation) if isinstance(each, type)]
    sections = [each for each in inside if issubclass(each, BaseModel)]
    return sections[0] if len(sections) == 1 else annotation


def _is_mapping(annotation: Any) -> bool:
    return issubclass(kind, Mapping) if isinstance(kind := get_origin(annotation), type) else False


def settings_of(model: type[BaseModel]) -> list[str]:
    """Return the settings of a section, sorted."""
    return sorted(name for name in _fields(model) if name not in _NOT_SET)


def is_setting(path: str) -> bool:
    """Whether a name begins like a setting of a protocol, and not like a method."""
    return path.partition(".")[0] in Protocol.model_fields


def set_parameter(
    bench: Bench,
    methods: Iterable[str],
    completers: Iterable[str],
    path: str,
    value: Any,
    source: str,
) -> dict[str, dict[str, Any]]:
    """Return which parameters of which methods a level sets.

    Parameters
    ----------
    bench : Bench
        Of the base protocol.
    methods, completers : iterable of str
        Those of the study.
    path : str
        ``shufflenet.lr``, or ``method.lr`` for every method.
    value : object
    source : str
        For messages.

    Raises
    ------
    StudyError
        For a method that the study does not run, a parameter that it does not have, or a value of
        another type.
    """  # fmt: skip
    name, _, parameter = path.rpartition(".")
    used = {each: kind for kind, each in used_methods(bench, completers, methods)}
    wanted = list(dict.fromkeys(methods)) if name == EVERY_METHOD else [name]
    if name != EVERY_METHOD and name not in used:
        raise StudyError(f"{source}: {_unknown(bench, path, name, used)}")
    found: dict[str, dict[str, Any]] = {}
    for method in wanted:
        kind = used[method]
        signature = bench.signature(kind, method)
        if parameter == CONFIGURATION:
            offered = ["published", *signature.configurations]
            if value not in offered:
                raise StudyError(
                    f"{source}: {kind} {method!r} offers no configuration {in_one_line(value)}."
                    f" {did_you_mean(str(value), offered)} It offers: {', '.join(offered)}."
                )
            found[method] = {parameter: value}
            continue
        try:
            taken = checked(f"{kind} {method!r}", signature, parameter, value, source)
        except UsageError as error:
            raise StudyError(str(error)) from error
        found[method] = {parameter: taken}
    return found


def _unknown(bench: Bench, path: str, name: str, used: Mapping[str, str]) -> str:
    registered = [*bench.registry.names("predictor"), *bench.registry.names("completer")]
    if name in registered:
        return (
            f"{path!r} sets a parameter of {name!r}, which this study does not run. It runs:"
            f" {', '.join(used)}. Name {name!r} in `methods`, or set it of a method that is run."
        )
    sections = [field for field in Protocol.model_fields if field not in _NOT_SET]
    known = [*sections, *used, *SELECTED]
    head = path.partition(".")[0]
    return (
        f"{path!r} names no setting: {head!r} is neither a section of a protocol nor a method of"
        f" this study. {did_you_mean(head, known)} Known: {', '.join(known)}.".replace("  ", " ")
    )
