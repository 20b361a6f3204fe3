"""What a check found: problems, flags, and the scores that the predictions give."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from spared_bench.leaderboard.entries import EntryResult, Flag
from spared_bench.leaderboard.text import visible
from spared_bench.submissions.evidence import Evidence
from spared_bench.submissions.schema import Description


@dataclass
class Report:
    """What a check found.

    Parameters
    ----------
    name : str
        Of the file or folder.
    description : Description or None
        ``None`` where the bundle could not be read.
    problems : list of str
        Sentences; the bundle is refused if there are any.
    flags : list of Flag
    results : list of EntryResult
        With the scores that the predictions give; with those claimed, where nothing was re-scored.
    rescored : bool
        Whether the scores were computed here.
    evidence : Evidence
    lacking : dict of str to str
        Datasets whose truth could not be had where it was checked, and why.
    who_goes_on : str
        From whom further versions of the method's name are taken.
    """

    name: str
    description: Description | None = None
    problems: list[str] = field(default_factory=list)
    results: list[EntryResult] = field(default_factory=list)
    rescored: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    lacking: dict[str, str] = field(default_factory=dict)
    who_goes_on: str = ""

    @property
    def ok(self) -> bool:
        """Whether the bundle is accepted."""
        return not self.problems

    @property
    def is_unchecked(self) -> bool:
        """Whether nothing but the data of the checker stands in the way."""
        return bool(self.lacking) and len(self.problems) == 1

    @property
    def verdict(self) -> str:
        """``"accepted"``, ``"refused"`` or ``"not checked"``."""
        return "accepted" if self.ok else "not checked" if self.is_unchecked else "refused"

    @property
    def flags(self) -> list[Flag]:
        """What people should look at."""
        return self.evidence.flags

    @property
    def label(self) -> str:
        """``method@version``, or the name of the file."""
        if self.description is None:
            return visible(self.name)
        return f"{self.description.method}@{self.description.version}"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "bundle": visible(self.name),
            "ok": self.ok,
            "label": self.label,
            "protocol": self.description.protocol if self.description else None,
            "rescored": self.rescored,
            "problems": self.problems,
            "lacking": self.lacking,
            "who_goes_on": self.who_goes_on,
            "flags": [flag.model_dump() for flag in self.flags],
            "ceilings": {
                name: {
                    key: value if math.isfinite(value) else None
                    for key, value in vars(each).items()
                }
                for name, each in self.evidence.ceilings.items()
            },
            "results": [result.model_dump(mode="json") for result in self.results],
        }
