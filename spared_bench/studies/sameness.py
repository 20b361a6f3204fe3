"""Whether two variants set the same, however their levels are written.

A default that is named is the default, ``[flips]`` is ``flips``, and a method that sees no
augmented patch has none. Levels that come to the same would stand in a report as two settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench
from spared_bench.errors import PluginError, StudyError, UsageError
from spared_bench.keys.hashing import digest
from spared_bench.models.augmentation.names import defaults, named
from spared_bench.parameters import CONFIGURATION
from spared_bench.strict import in_one_line
from spared_bench.studies.model import Study

if TYPE_CHECKING:
    from spared_bench.studies.variants import Variant

AUGMENT = "augment"


def require_different(study: Study, base: Bench, variants: Sequence[Variant]) -> None:
    """Refuse levels that set the same as others: their difference would be of nothing.

    Raises
    ------
    StudyError
        Naming both.
    """
    methods = sorted({name for variant in variants for name in variant.parameters})
    seen: dict[Hashable, Variant] = {}
    for variant in variants:
        protocol = variant.protocol.model_dump(mode="json", exclude={"seeds"})
        if variant.protocol.patches.stain == "none":
            protocol["patches"].pop("stain_to")  # nothing is stained to it
        settled = {name: _settled(base, variant, name) for name in methods}
        what = digest({"protocol": protocol, "parameters": settled}), tuple(variant.places)
        if what in seen:
            raise StudyError(
                f"study {study.name!r}: {in_one_line(variant.label)} sets the same as"
                f" {in_one_line(seen[what].label)}, so there is nothing to compare. Give the levels"
                " other values, or take one out."
            )
        seen[what] = variant


def _settled(base: Bench, variant: Variant, name: str) -> dict[str, Any]:
    """Return all parameters of a method in a variant, defaults that nothing searches included."""
    given = variant.parameters.get(name, {})
    kinds = (kind for kind in ("predictor", "completer") if name in base.registry.names(kind))
    kind = next(kinds, "")
    if not kind:
        return given
    bench = variant.bench(base)
    try:
        chosen = bench.chosen(kind, name).values
    except UsageError:
        return given  # planning says what is wrong with it
    known = bench.signature(kind, name).parameters
    searched = getattr(base.registry.get(kind, name).spec, "search", {})
    values = {
        key: one.default
        for key, one in known.items()
        if key not in searched and _is_plain(one.default)
    }
    values |= {key: value for key, value in chosen.items() if key != CONFIGURATION}
    if AUGMENT in values:
        values[AUGMENT] = _augment(bench, kind, name, values[AUGMENT])
    return values


def _augment(bench: Bench, kind: str, name: str, value: Any) -> Any:
    """Return names and all parameters of what ``augment`` asks for."""
    try:
        method = bench.registry.get(kind, name).load()
    except PluginError:
        return value
    if not hasattr(method, "augmenter"):
        return value  # a parameter of its own
    if not bench.protocol.training.augment:
        return []
    if value is True:
        from spared_bench.models.torch_predictor import TorchPredictor

        own = getattr(method, "augmentation", None) is not TorchPredictor.augmentation
        value = True if own else "symmetries"
    if isinstance(value, bool):
        return value or []
    try:
        return [[each, defaults(each) | parameters] for each, parameters in named(value)]
    except UsageError:
        return value


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float | str):
        return value is not inspect.Parameter.empty
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, dict) and all(map(_is_plain, value.values()))
