"""Seeds made from names: a trial's do not depend on what ran before it, or how often."""

from __future__ import annotations

import hashlib


def seed_of(*names: str | int) -> int:
    """Return a seed of 32 bits.

    Parameters
    ----------
    *names : str or int
        Of a training: protocol id, dataset, method, number of the repetition.
    """
    text = "/".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
