"""What the author of a method has tried out himself, and need not be tried out again."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any


def is_offered(method: Any, *names: str) -> bool:
    """Return whether parameters together are the defaults, or those of one configuration.

    So a check of them that has to build a network need not be made for most plans.

    Parameters
    ----------
    method : object
        A dataclass, of which every one of these parameters has a default.
    *names : str
    """
    defaults = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(method)
        if field.name in names
    }
    mine = {name: getattr(method, name) for name in names}
    configurations = getattr(method, "configurations", {})
    return any(
        mine == {name: offered.get(name, defaults[name]) for name in names}
        for offered in ({}, *configurations.values())
    )
