"""Completers and predictors, constructed with their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spared_bench.bench import Bench
from spared_bench.contracts import lacking
from spared_bench.data.views import checked_views, declared_by
from spared_bench.errors import PluginError


def build(bench: Bench, kind: str, name: str, parameters: dict[str, Any]) -> Any:
    """Construct a completer or predictor.

    A predictor that leaves its precision open gets that of the protocol.

    Raises
    ------
    PluginError
        If it does not take these parameters, or lacks a method of its interface.
    """
    factory = bench.registry.get(kind, name).load()
    try:
        method = factory(**parameters)
    except TypeError as error:
        known = ", ".join(getattr(factory, "__dataclass_fields__", {})) or "those of its __init__"
        raise PluginError(
            f"{kind} {name!r} cannot be made with parameters {parameters}: {error}."
            f" Its parameters are: {known}."
        ) from error
    if lacks := lacking(kind, method):
        raise PluginError(f"{kind} {name!r} {lacks}")
    precision = bench.protocol.training.precision
    if kind == "predictor" and precision != "auto" and getattr(method, "precision", "") == "auto":
        setattr(method, "precision", precision)  # noqa: B010  # a field that not every method has
    return method


def check_declared_views(
    bench: Bench, name: str, predictor: Any, parameters: Mapping[str, Any]
) -> None:
    """Refuse a predictor that asks for other views than were known when it was planned.

    Raises
    ------
    PluginError
    """
    label, cutting = f"Predictor {name!r}", bench.protocol.patches
    declared = checked_views(declared_by(predictor, label), label)
    settled = {at: view.settled(**cutting.open_values) for at, view in declared.items()}
    if settled != bench.views_of("predictor", name, parameters):
        raise PluginError(
            f"{label} declares views only once it is made ({', '.join(settled) or 'none'}), so they"
            " were not planned. Declare `views` as an attribute of the class, or as a property that"
            " follows from its fields."
        )
