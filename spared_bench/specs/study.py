"""What a study says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spared_bench.specs.base import Spec


@dataclass(frozen=True)
class StudySpec(Spec):
    """A study; ``factory`` names a ``() -> str`` that returns the text of its YAML."""

    kind: ClassVar[str] = "study"
    plural: ClassVar[str] = "studies"
