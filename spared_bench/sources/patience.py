"""How patient a download is, what it expects, who is told, and in which two ways it fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from spared_bench.sources.archives import MAX_BYTES


@dataclass(frozen=True)
class Policy:
    """How patient a download is.

    Parameters
    ----------
    attempts : int
        How often a place is asked again without anything new having come.
    backoff_s : float
        Before the second attempt; doubled before every further one.
    timeout_s : float
        Without a byte.
    slowest_bytes_s : float
        A server that sends less than that, over ``slow_s``, is asked again, and at last given up.
    slow_s : float
    headers_s : float
        Until the headers are complete, redirects included, and after that for each piece, however
        the server spreads its bytes.
    most_bytes : int
        Of a file whose size nobody says.
    stop : threading.Event
        Set to end all downloads at the next chunk.
    """

    attempts: int = 5
    backoff_s: float = 1.0
    timeout_s: float = 60.0
    slowest_bytes_s: float = 1_000.0
    slow_s: float = 60.0
    headers_s: float = 120.0
    most_bytes: int = MAX_BYTES
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Expected:
    """What a file must be; empty or 0 where that is unknown.

    Parameters
    ----------
    sha256 : str
    size : int
        In bytes.
    recorded : bool
        Whether the hash is of the first download, rather than the source's own.
    """

    sha256: str = ""
    size: int = 0
    recorded: bool = False


class Meter(Protocol):
    """Told how a download goes."""

    def begin(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are there; ``total`` is 0 where it is unknown."""

    def advance(self, number: int) -> None:
        """``number`` more bytes came."""


class AgainError(Exception):
    """What may go better next time; ``wait_s`` if the server said when.

    ``crawls``: what came does not count as a step forward.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, *, crawls: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.crawls = wait_s, crawls


class HopelessError(Exception):
    """What this place will not change its mind about."""
