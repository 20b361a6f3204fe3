"""A protocol: everything but the method that a score depends on, as one versioned YAML file.

Unknown settings are refused with the nearest known one, so that a misspelt setting cannot silently
mean the default. A setting is part of the keys of what depends on it (``spared_bench.bench``).
"""

from __future__ import annotations

from spared_bench.protocol.known import Known, samples_of
from spared_bench.protocol.processing import (
    Filtering,
    Processing,
)
from spared_bench.protocol.training import (
    Completion,
    PatchCutting,
    Search,
    Training,
)
from spared_bench.protocol.validation import (
    Validation,
)
from spared_bench.protocol.whole import (
    FURTHER_METRICS,
    PUBLISHED,
    SMALL,
    Protocol,
    Ranking,
    parse_protocol,
    read_protocol,
)

__all__ = [
    "FURTHER_METRICS",
    "PUBLISHED",
    "SMALL",
    "Completion",
    "Filtering",
    "Known",
    "PatchCutting",
    "Processing",
    "Protocol",
    "Ranking",
    "Search",
    "Training",
    "Validation",
    "parse_protocol",
    "read_protocol",
    "samples_of",
]
