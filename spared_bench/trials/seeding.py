"""The global random generators, seeded before every training."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed the global generators too, whatever ran in this process before.

    A method should draw from ``context.seed``; where one does not, its result is the same anyway.
    """
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
