"""The hashes that keys are made of: of JSON-ready values, and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(values: Any) -> str:
    """Return the SHA-256 (64 hex digits) of JSON-ready values, whatever the order of keys."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def canonical_json(values: Any) -> str:
    """Return the one JSON text of these values: sorted keys, no spaces, no nan."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
