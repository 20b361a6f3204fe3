"""The built-in encoders: those that others publish, as data, and those that come with a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spared_bench import EncoderSpec, hookimpl
from spared_bench.shipped import shipped_yaml
from spared_bench.specs import Spec
from spared_bench_plugins.spec_files import specs_of_files

_HERE = Path(__file__).parent
_LISTS = ("mean", "std", "um_per_px", "seen_slides", "aliases", "extras")


@hookimpl
def spared_bench_encoders() -> list[Spec]:
    return [*published_encoders(), *specs_of_files(_HERE, __name__)]


def published_encoders() -> list[EncoderSpec]:
    """Return the encoders of ``published.yaml``, in its order."""
    entries = shipped_yaml((_HERE / "published.yaml").read_text(encoding="utf-8"))
    return [_spec(entry) for entry in entries]


def _spec(entry: dict[str, Any]) -> EncoderSpec:
    lists = {name: tuple(entry[name]) for name in _LISTS if name in entry}
    return EncoderSpec(**entry | lists)
