"""What is kept of a submission's predictions once each has been read, and the flags it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spared_bench.leaderboard.entries import EntryResult, Flag
from spared_bench.submissions.ceiling import Ceiling, Limit
from spared_bench.submissions.sketches import Trace


@dataclass
class Evidence:
    """What is kept of each prediction once it has been read.

    Parameters
    ----------
    flags : list of Flag
    hashes : dict of str to str
        SHA-256 of each prediction file by ``dataset/completer/predictor/seed``.
    traces : dict of str to Trace
        Likewise.
    rivals : dict of str to dict of str to list of Trace
        Of the checker's own runs: by predictor and dataset.
    rival_scores : dict of str to list of (str, dict)
        By dataset, of own runs and other entries: whose, and its scores.
    ceilings : dict of str to Ceiling
        Likewise.
    limits : dict of str to list of Limit
        Of the dataset that was last looked at.
    """

    flags: list[Flag] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    traces: dict[str, Trace] = field(default_factory=dict)
    rivals: dict[str, dict[str, list[Trace]]] = field(default_factory=dict)
    rival_scores: dict[str, list[tuple[str, Mapping[str, float | None]]]] = field(
        default_factory=dict
    )
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    limits: dict[str, list[Limit]] = field(default_factory=dict)

    def add(self, kind: str, reason: str, dataset: str = "") -> None:
        """Note a flag, once."""
        flag = Flag(kind=kind, reason=reason, dataset=dataset)
        if flag not in self.flags:
            self.flags.append(flag)

    def has(self, kind: str) -> bool:
        """Return whether there is a flag of this kind."""
        return any(flag.kind == kind for flag in self.flags)


def label_of(result: EntryResult) -> str:
    """``dataset/completer/predictor/seed``."""
    return "/".join(map(str, result.place))
