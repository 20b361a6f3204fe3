"""Values of people as models of pydantic, and what is wrong with them in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from spared_bench.errors import SparedBenchError, did_you_mean
from spared_bench.strict import in_one_line, load_mapping
from spared_bench.wrong_values import what_is_wrong, wrong_value

_MOST_LETTERS = 100  # of a setting's name in a message

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    _Model = TypeVar("_Model", bound=BaseModel)


def load_model(
    model: type[_Model], text: str, source: str, what: str, error: type[SparedBenchError]
) -> _Model:
    """Read a model's settings from YAML; what is wrong is told as ``error``.

    Parameters
    ----------
    model : type
        Of pydantic.
    text, source, what, error
        As ``load_mapping`` takes them.
    """
    from pydantic import ValidationError

    values = load_mapping(text, source, what, error)
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        raise error(f"{source}: {explain(invalid, model)}") from invalid


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Turn the first problems into sentences that name the setting and the nearest known one."""
    lines = []
    for problem in error.errors()[:5]:
        where = _cut(".".join(str(part) for part in problem["loc"]))
        if problem["type"] == "extra_forbidden":
            lines.append(_unknown(model, problem["loc"], where))
        elif problem["type"] == "value_error":  # of our own validators: whole sentences
            told = f"{what_is_wrong(problem)}."
            lines.append(f"{where}: {told}" if where else told)
        elif problem["type"] == "invalid_key" or problem["loc"][-1:] == ("[key]",):
            section = ".".join(map(str, problem["loc"])).removesuffix(".[key]").rpartition(".")[0]
            section, found = section or "the file", problem.get("input")
            if isinstance(found, str):
                lines.append(f"a key of {section}: {wrong_value(problem)}")
                continue
            lines.append(
                f"{section} has a key that is read as {in_one_line(found)}, which is no text: put"
                " it in quotes, or correct it."
            )
        elif problem["type"] == "missing":
            lines.append(f"setting {where!r} is missing.")
        else:
            named = f"setting {where!r}" if where else "the file"
            lines.append(f"{named}: {wrong_value(problem)}")
    return " ".join(lines)


def _cut(name: str) -> str:
    """Leave out the middle of a name that is too long to be read."""
    half = _MOST_LETTERS // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}...{name[-half:]}"


def _unknown(model: type[BaseModel], location: tuple[int | str, ...], where: str) -> str:
    """Say that there is no such setting: the nearest one, where one is called so, and all here."""
    name, known = str(location[-1]), _settings_at(model, location[:-1])
    named = (path or "the file itself" for path, fields in _sections(model) if name in fields)
    told = [f"unknown setting {where!r}.", did_you_mean(name, known)]
    told += [f"There is one of that name in {place}." for place in dict.fromkeys(named)]
    return " ".join(filter(None, [*told, f"Known here: {', '.join(known)}."]))


def _sections(model: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield where each section of a file stands, and its settings: ``slides.NAME``."""
    from pydantic import BaseModel

    if isinstance(model, type) and issubclass(model, BaseModel):
        yield path, [field.alias or name for name, field in model.model_fields.items()]
        for name, field in model.model_fields.items():
            yield from _sections(field.annotation, f"{path}.{name}".lstrip("."))
    elif get_origin(model) in (dict, Mapping):
        yield from _sections(get_args(model)[-1], f"{path}.NAME")
    else:
        for each in get_args(model):
            yield from _sections(each, path)


def _settings_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the settings of a section; entries of dicts and lists of sections are skipped over."""
    from pydantic import BaseModel

    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
        else:  # the values of a mapping, or what a list is of: tuple[X, ...]
            model = [each for each in get_args(model) if each is not Ellipsis][-1]
        if type(None) in get_args(model):  # a section that may be left out
            model = next(each for each in get_args(model) if each is not type(None))
    return sorted(field.alias or name for name, field in model.model_fields.items())


def first_problems(
    error: ValidationError, whole: str, model: type[BaseModel], most: int = 3
) -> str:
    """Name the first fields that are wrong, without what stands in them: ``seed: not a number``.

    Parameters
    ----------
    error : ValidationError
    whole : str
        How the file is called where it is wrong as a whole.
    model : type
        Of which a field that is not known is told the nearest.
    most : int
    """
    found = error.errors(include_url=False, include_input=False)
    lines = []
    for each in found[:most]:
        told, location = what_is_wrong(each), each["loc"]
        if each["type"] == "extra_forbidden":
            nearest = did_you_mean(str(location[-1]), _settings_at(model, location[:-1]))
            told += f" ({nearest[0].lower()}{nearest[1:]})" if nearest else ""
        lines.append(f"{'.'.join(map(str, location)) or whole}: {told}"[:300])
    more = f" (and {len(found) - most} more)" if len(found) > most else ""
    return "; ".join(lines) + more
