"""What a completer says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spared_bench.specs.base import Spec


@dataclass(frozen=True)
class CompleterSpec(Spec):
    """A completer: fills unmeasured entries of the training target.

    Parameters
    ----------
    gpu : bool
        Whether training without one is hopeless in the published size: a plan for a machine
        without a GPU then warns.
    encoder : str
        The parameter that names the frozen network whose features of the patches it asks for
        (``slides.features``), so that a dry run can tell of them; empty for none.
    """

    kind: ClassVar[str] = "completer"

    gpu: bool = False
    encoder: str = ""
