"""What an executor says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spared_bench.specs.base import Spec


@dataclass(frozen=True)
class ExecutorSpec(Spec):
    """An executor: runs trials somewhere (``spared_bench.interfaces.Executor``)."""

    kind: ClassVar[str] = "executor"
