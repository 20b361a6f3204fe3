"""Methods that look at images, on datasets of which slides have none: told once, and not run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import PluginError, SparedBenchError
from spared_bench.planning.views import known_facts, methods_of
from spared_bench.sources.description import DESCRIPTION, FACTORY, read_description
from spared_bench.sources.imageless import described_without_image, no_images


def blind(bench: Bench, dataset: str, predictor: str) -> str:
    """Say which slides lack the image that a predictor looks at; empty where none is known to.

    Images are known from a description, or once the dataset was prepared. A predictor looks at them
    that declares views, names an encoder or is one of our networks; of others, a trial finds out.
    """
    without = slides_without_image(bench, dataset)
    methods = methods_of(bench, [], [predictor]) if without else []
    if not any(_looks(bench, *method) for method in methods):
        return ""
    error = no_images(bench.dataset(dataset), bench.folder(dataset), without)
    return f"Predictor {predictor!r} looks at images. {error}"


def slides_without_image(bench: Bench, dataset: str) -> list[str]:
    """Return the slides of a dataset that are known to have no image."""
    spec = bench.dataset(dataset)
    facts = known_facts(bench, dataset)
    without = {slide_id for slide_id, slide in facts.items() if not slide["width"]}
    if spec.factory == FACTORY and not facts:
        try:
            described = read_description(bench.folder(dataset) / DESCRIPTION)
            without = set(described_without_image(described))
        except SparedBenchError:  # preparing it says why
            return []
    return [slide.slide_id for slide in spec.slides if slide.slide_id in without]


def _looks(bench: Bench, kind: str, name: str, parameters: Mapping[str, Any]) -> bool:
    entry = bench.registry.get(kind, name)
    if getattr(entry.spec, "encoder", "") or bench.views_of(kind, name, parameters):
        return True
    try:
        factory = None if entry.told is not None else entry.load()
    except PluginError:  # its trials will say why
        return False
    networks = sys.modules.get("spared_bench.models.torch_predictor")  # there, if it is one
    return (
        networks is not None
        and inspect.isclass(factory)
        and issubclass(factory, networks.TorchPredictor)
    )
