"""How large files are that are not here, as their servers say: asked for, bounded, kept nowhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spared_bench.sources.answers import body_length, check_file, coding_of
from spared_bench.sources.download import NOT_WHOLE, asked
from spared_bench.sources.fetched import label
from spared_bench.sources.hub import is_hub
from spared_bench.sources.mirrors import Mirrors, rewritten
from spared_bench.sources.patience import AgainError, Expected, HopelessError, Policy
from spared_bench.sources.watchdog import Watchdog, watched_session
from spared_bench.specs import RemoteFile

if TYPE_CHECKING:
    from requests import Response

_LATE = "there was no answer in time"
_LONGEST_REASON = 150


@dataclass(frozen=True)
class Asking:
    """How long servers may take to say how large files are.

    Parameters
    ----------
    each_s : float
        For one answer, redirects included.
    all_s : float
        For all of them.
    at_once : int
        How many are asked at a time.
    """

    each_s: float = 15.0
    all_s: float = 120.0
    at_once: int = 4


def told_sizes(
    files: Iterable[RemoteFile], mirrors: Mirrors = (), asking: Asking | None = None
) -> dict[str, int | str]:
    """Ask the servers of files, without fetching any, how large these are.

    Parameters
    ----------
    files : iterable of RemoteFile
    mirrors : tuple of (str, str)
        From ``read_mirrors``.
    asking : Asking, optional

    Returns
    -------
    dict of str to int or str
        By the address of the file its bytes, or why no size is told.
    """
    asking = asking or Asking()
    wanted = {file.url: file for file in files}
    found: dict[str, int | str] = dict.fromkeys(wanted, _LATE)
    waiting, until = deque(wanted.values()), time.monotonic() + asking.all_s

    def work() -> None:
        while waiting:
            try:
                file = waiting.popleft()
            except IndexError:  # another one was quicker
                return
            found[file.url] = _told(file, mirrors, asking.each_s, until)

    # Nobody waits for their end: a name server may keep one longer than any limit of ours.
    workers = [threading.Thread(target=work, daemon=True) for _ in range(asking.at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _told(file: RemoteFile, mirrors: Mirrors, each_s: float, until: float) -> int | str:
    """Return the bytes that the first place tells which tells any, else the first reason."""
    reasons = []
    for url in (file.url, *file.mirrors):
        place, seconds = rewritten(url, mirrors), min(each_s, until - time.monotonic())
        if seconds <= 0:
            reasons.append(_LATE)
        elif is_hub(place):
            reasons.append("the hub is not asked")
        else:
            try:
                return _size_at(place, file, seconds)
            except (AgainError, HopelessError) as error:
                reasons.append(_reason(error, place))
    return reasons[0]


def _reason(error: Exception, url: str) -> str:
    """Say why a server told no size, in few words that cannot steer a terminal."""
    from requests import ConnectionError

    words = str(error)
    if isinstance(error.__cause__, ConnectionError) and not words.startswith(NOT_WHOLE):
        last = str(error.__cause__).rpartition(": ")[2].strip(" ()'\"")
        words = f"{urlsplit(url).hostname} cannot be reached ({last})"
    return "".join(filter(str.isprintable, " ".join(words.split())))[:_LONGEST_REASON]


def _size_at(url: str, file: RemoteFile, seconds: float) -> int:
    policy = Policy(timeout_s=seconds, headers_s=seconds)
    headers = {"Accept-Encoding": "identity"}
    with (
        Watchdog(seconds) as watchdog,
        watched_session(watchdog) as session,
        asked(session, url, headers, policy, watchdog, "HEAD") as response,
    ):
        name = PurePosixPath(label(file)).name
        check_file(response, url, name, Expected(file.sha256))
        return _size(response, policy)


def _size(response: Response, policy: Policy) -> int:
    """Return the bytes that an answer promises, if a download would take so many."""
    if response.status_code == 206 or "Content-Range" in response.headers:
        raise HopelessError("the server speaks of a part of the file")
    if coding_of(response) not in ("", "identity"):
        raise HopelessError("the server would pack the file for its way")
    size = body_length(response)
    if size is None:
        said = response.headers.get("Content-Length")
        raise HopelessError(
            f"the server says {said[:40]!r} for its length" if said else "the server does not say"
        )
    if not size:
        raise HopelessError("the server says 0 bytes")
    if size > policy.most_bytes:
        raise HopelessError(f"the server says {size:,} bytes, more than is ever fetched")
    return size
