"""The base of a protocol's sections, and the numbers that they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from spared_bench.strict import in_one_line

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Repetition = Annotated[int, Field(ge=0)]
Seeds = tuple[Repetition, ...]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse ``yes`` where a number is meant, which would be read as 1."""
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if {int, float} & kinds and not {bool, Any} & kinds and _has_switch(given):
            raise ValueError(f"expected a number; found {in_one_line(given)}")
        return given

    @field_validator("*")
    @classmethod
    def _once_each(cls, given: Any) -> Any:
        """Refuse a list that names one thing twice: it counts once, and was meant otherwise."""
        for names in given.values() if isinstance(given, dict) else (given,):
            for twice in _repeated(names) if isinstance(names, tuple) else ():
                raise ValueError(
                    f"{in_one_line(twice)} stands there more than once, which changes nothing:"
                    " name it once, or what was meant in its place"
                )
        return given


def _repeated(names: tuple[Any, ...]) -> Iterator[Any]:
    counts = Counter(each for each in names if isinstance(each, str | int | float))
    return (each for each, count in counts.items() if count > 1)


def _kinds(annotation: Any) -> list[Any]:
    """Return the types that an annotation is made of."""
    inside = get_args(annotation)
    return [kind for each in inside for kind in _kinds(each)] if inside else [annotation]


def _has_switch(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return any(map(_has_switch, given))
    if isinstance(given, dict):
        return any(map(_has_switch, given.values()))
    return isinstance(given, bool)
