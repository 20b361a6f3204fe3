"""The views that the methods of a plan declare: which are cut, and which cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import PluginError, SparedBenchError, UsageError, ViewError
from spared_bench.processing.views import check_view

#: What is known of the image of a slide.
_FACTS = ("width", "height", "image_scale", "spot_diameter_px", "um_per_px")
#: Of a method: its kind, name and parameters.
Method = tuple[str, str, Mapping[str, Any]]


def methods_of(bench: Bench, completers: Iterable[str], predictors: Iterable[str]) -> list[Method]:
    """Return all methods of a selection with their parameters, candidates of searches each.

    Networks that a predictor builds on are among them.
    """
    found: list[Method] = [
        ("completer", name, bench.chosen("completer", name).values) for name in completers
    ]
    for name in predictors:
        for parameters in bench.candidates(name):
            found.append(("predictor", name, parameters))
            stages = bench.stages(name, parameters).values()
            found += [("predictor", stage.predictor, stage.parameters) for stage in stages]
    return found


def declared_views(bench: Bench, methods: Iterable[Method]) -> list[View]:
    """Return the views of these methods, each once."""
    views = (bench.views_of(*method).values() for method in methods)
    return list(dict.fromkeys(view for each in views for view in each))


def misdeclared(
    bench: Bench, completers: Iterable[str] = (), predictors: Iterable[str] = ()
) -> str:
    """Say what is wrong with the views that methods declare; empty where nothing is."""
    try:
        for kind, name, parameters in methods_of(bench, completers, predictors):
            views = bench.views_of(kind, name, parameters)
            if views != bench.views_of(kind, name, parameters):
                return (
                    f"{kind.capitalize()} {name!r} declares other views each time it is asked"
                    f" ({', '.join(views)}). They must follow from its fields alone."
                )
    except (PluginError, UsageError) as error:
        return str(error)
    return ""


def refusal(bench: Bench, predictor: str) -> str:
    """Say why a protocol does not let a predictor look at what it declares; empty where it does."""
    if bench.predictor(predictor).needs_known and bench.protocol.known is None:
        return (
            f"Predictor {predictor!r} predicts partially measured samples from what is known of"
            f" them, and protocol {bench.protocol.id} has no `known`. Run it under one that has,"
            " such as `--suite partial`."
        )
    if bench.protocol.views == "allowed":
        return ""
    for kind, name, parameters in methods_of(bench, [], [predictor]):
        for at, view in bench.views_of(kind, name, parameters).items():
            if view != bench.patch_view:
                cutting = bench.protocol.patches
                return (
                    f"Predictor {name!r} looks at {view.in_words} (view {at!r}, {view.size} px),"
                    f" and protocol {bench.protocol.id} allows its own patches only"
                    f" (`views: target-only`): {cutting.view.in_words}, {cutting.size} px."
                    " Run it under a protocol with `views: allowed`."
                )
    return ""


def impossible(bench: Bench, dataset: str, predictor: str) -> str:
    """Say which view of a predictor cannot be cut from a dataset, as far as that is known.

    The images are known once the dataset was prepared; before, a trial finds out. Empty where
    nothing is known against it.
    """
    for told in _problems(bench, dataset, methods_of(bench, [], [predictor])):
        return told
    return ""


def _problems(bench: Bench, dataset: str, methods: Iterable[Method]) -> Iterator[str]:
    wanted = [(method, bench.views_of(*method)) for method in methods]
    if not any(views for _, views in wanted):
        return
    facts = known_facts(bench, dataset)
    for (kind, name, _), views in wanted:
        for at, view in views.items():
            for slide_id, slide in facts.items():
                if view == bench.patch_view or not slide["width"]:  # without one: `images`
                    continue
                try:
                    check_view(view, slide, (int(slide["width"]), int(slide["height"])))
                except ViewError as error:
                    yield (
                        f"{kind.capitalize()} {name!r}, view {at!r}, dataset {dataset!r}, slide"
                        f" {slide_id!r}: {error}."
                    )


def known_facts(bench: Bench, dataset: str) -> dict[str, dict[str, float]]:
    """Return size and scale of each slide's image, where the store has them; else nothing."""
    try:
        entry = bench.workspace.store.find("facts", bench.facts_inputs(dataset))
        found = {} if entry is None else entry.read_json("facts.json")
    except SparedBenchError:  # damaged, so that it will be made again
        return {}
    slides = found.values() if isinstance(found, dict) else [None]
    return found if all(map(_is_told, slides)) else {}  # of other JSON nothing is known


def _is_told(slide: Any) -> bool:
    """Whether this says of a slide what ``note_facts`` does."""
    values: list[Any] = [slide.get(each) for each in _FACTS] if isinstance(slide, dict) else [None]
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)
