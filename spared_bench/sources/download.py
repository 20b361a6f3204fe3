"""One file from the network: resumed where it stopped, tried again, checked, then visible.

Written on requests, because pooch cannot resume: an archive of some ten gigabytes would begin again
with every dropped connection. What has come lies in ``.<name>.part``, beside a note of the address
and of the validator (ETag or Last-Modified) that says whether the rest belongs to it. Both survive
``kill -9``.
"""

from __future__ import annotations

import errno
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spared_bench.errors import DownloadError
from spared_bench.keys.hashing import file_digest
from spared_bench.sources.archives import MAX_BYTES, swollen
from spared_bench.sources.watchdog import Watchdog, watched_session

if TYPE_CHECKING:
    from requests import Response, Session

_CHUNK_BYTES = 1 << 18
_LATER = {202, 408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 60.0


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


class _AgainError(Exception):
    """What may go better next time; ``wait_s`` if the server said when.

    ``crawls``: what came does not count as a step forward.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, *, crawls: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.crawls = wait_s, crawls


class _HopelessError(Exception):
    """What this place will not change its mind about."""


def download(
    urls: Sequence[str], target: Path, expected: Expected, meter: Meter, policy: Policy
) -> str:
    """Fetch a file from the first place that has it whole and right.

    Parameters
    ----------
    urls : sequence of str
        Places, asked in order.
    target : Path
        Appears when complete and checked; its folder is there.
    expected : Expected
    meter : Meter
    policy : Policy

    Returns
    -------
    str
        The SHA-256.

    Raises
    ------
    DownloadError
        Naming every place and what was wrong with it; or if the disk is full.
    """
    failures = []
    for url in urls:
        try:
            return _from_one_place(url, target, expected, meter, policy)
        except (_AgainError, _HopelessError) as error:
            failures.append(f"{url}: {error}")
    raise DownloadError(
        f"Cannot fetch {target.name.removeprefix('.')}. " + "; ".join(failures) + ". What has come"
        " is kept: run the command again to go on, or name another place with `--mirror OLD=NEW`."
    )


def _from_one_place(
    url: str, target: Path, expected: Expected, meter: Meter, policy: Policy
) -> str:
    part = target.with_name(f".{target.name}.part")
    tries, furthest = 0, -1
    while True:
        try:
            continued = _receive(url, part, expected, meter, policy)
            digest = file_digest(part)
            if expected.sha256 and digest != expected.sha256:
                _forget(part)
                if continued:
                    raise _AgainError("what came now does not fit what was there")
                raise _HopelessError(_other_file(expected))
            part.replace(target)
            _forget(part)
            return digest
        except _AgainError as error:
            reached = part.stat().st_size if part.exists() else 0
            tries = 1 if reached > furthest and not error.crawls else tries + 1
            furthest = max(reached, furthest)
            if tries >= policy.attempts:
                raise
            wait = error.wait_s or policy.backoff_s * 2 ** (tries - 1)
            if policy.stop.wait(min(wait, _LONGEST_WAIT_S)):
                raise


def _receive(url: str, part: Path, expected: Expected, meter: Meter, policy: Policy) -> bool:
    """Bring ``part`` to its full length; return whether it was continued."""
    start, validator, total = _so_far(part, url)
    if start and start == total:
        meter.begin(start, total)
        return True
    headers = {"Accept-Encoding": "identity"}  # hashes are of the packed file
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with (
        Watchdog(policy.headers_s) as watchdog,
        watched_session(watchdog) as session,
        _asked(session, url, headers, policy, watchdog) as response,
    ):
        _check_answer(response, url, part, start, validator, expected)
        start = start if response.status_code == 206 else 0
        packed = _is_packed(response, part, start)
        total = 0 if packed else _full_size(response, start)
        if expected.size and total and total != expected.size:
            raise _HopelessError(f"the file has {total:,} bytes instead of {expected.size:,}")
        _note(part, url, response, total)
        meter.begin(start, total)
        most = _most(response, expected, total, packed, policy)
        _write(part, start, most, _chunks(response, policy, packed, watchdog), meter)
    size = part.stat().st_size
    if total and size != total:
        raise _AgainError(f"the connection ended after {size:,} of {total:,} bytes")
    if expected.size and size != expected.size:
        _forget(part)
        raise _HopelessError(f"the file has {size:,} bytes instead of {expected.size:,}")
    if not size:
        _forget(part)
        raise _HopelessError("the file is empty")
    return start > 0


def _asked(
    session: Session, url: str, headers: dict[str, str], policy: Policy, watchdog: Watchdog
) -> Response:
    """Return a server's answer, of which the headers have come."""
    import requests

    try:
        response = session.get(url, headers=headers, stream=True, timeout=policy.timeout_s)
    except (requests.RequestException, ValueError) as error:  # of an address that is none
        raise _AgainError(_late(watchdog, policy) or _reason(error)) from error
    if watchdog.late:
        raise _AgainError(_late(watchdog, policy))
    watchdog.fed()
    return response


def _late(watchdog: Watchdog, policy: Policy) -> str:
    if not watchdog.late:
        return ""
    return f"the server has not said anything whole in {policy.headers_s:.0f} s"


def _most(response: Response, expected: Expected, total: int, packed: bool, policy: Policy) -> int:
    """Return how many bytes the file can have, unpacked where the server packed it for its way."""
    known = expected.size or total
    if not known and packed and (length := _number(response.headers.get("Content-Length", ""))):
        known = swollen(length)
    return min(known or policy.most_bytes, policy.most_bytes)


def _check_answer(
    response: Response, url: str, part: Path, start: int, validator: str, expected: Expected
) -> None:
    code = response.status_code
    if code == 416 or (
        code == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    ):
        _forget(part)
        raise _AgainError("the server has no such part of the file")
    told = response.headers.get("ETag" if validator.startswith('"') else "Last-Modified", "")
    if code == 206 and start and told not in ("", validator):
        _forget(part)
        raise _AgainError("the server has another file now than the part that is there")
    if code in _LATER:
        wait = _seconds(response.headers.get("Retry-After", ""))
        raise _AgainError(f"the server answered {code}", wait)
    if code not in (200, 206):
        raise _HopelessError(f"the server answered {code} {response.reason}")
    if url.startswith("https:") and response.url.startswith("http:") and not expected.sha256:
        raise _HopelessError(f"it leads to {response.url}, which anyone on the way can change")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and not expected.sha256 and ".htm" not in part.name:
        raise _HopelessError("the server answered with a web page instead of the file")


def _seconds(wait: str) -> float:
    """Return how long a server wants to be left alone: seconds or a date; 0 for neither."""
    if (seconds := _number(wait)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(wait).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _full_size(response: Response, start: int) -> int:
    """Return the size of the whole file, of which a part may come; 0 if it is unknown."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    if response.status_code == 206 and (size := _number(whole)) is not None:
        return size
    told = response.headers.get("Content-Length", "")
    length = _number(told)
    if length is None and response.raw.length_remaining:
        # Read otherwise below us ("1_0" as 10): the file would seem whole where it ends early.
        raise _HopelessError(f"the server says {told[:40]!r} for the length of the file")
    return 0 if length is None else start + length


def _number(text: str) -> int | None:
    """Return a whole number of a header, ``None`` for anything else: "12, 12", "²", "1e9"."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip(" \t")) else None


def _is_packed(response: Response, part: Path, start: int) -> bool:
    """Return whether the server packed the file for its way, though it was asked not to.

    What is called ``.gz`` is meant to come as it is, whatever the server says of it.
    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("", "identity") or part.name.endswith((".gz.part", ".tgz.part")):
        return False
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise _HopelessError(f"the server packed the file as {coding!r}, which is not understood")
    if start:
        _forget(part)
        raise _AgainError("what was there cannot be continued: the server packs the file")
    return True


def _chunks(
    response: Response, policy: Policy, packed: bool, watchdog: Watchdog
) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    since, came = time.monotonic(), 0
    while True:
        if policy.stop.is_set():
            raise _AgainError("stopped")
        try:
            # What one call of the system gives: to wait for a whole chunk could take for ever.
            chunk = response.raw.read1(_CHUNK_BYTES, decode_content=packed)
        except (HTTPError, OSError) as error:
            raise _AgainError(_late(watchdog, policy) or _reason(error)) from error
        if watchdog.late:
            raise _AgainError(_late(watchdog, policy), crawls=True)
        if not chunk:
            return
        watchdog.fed()
        came += len(chunk)
        seconds = time.monotonic() - since
        if seconds >= policy.slow_s:
            if came < policy.slowest_bytes_s * seconds:
                raise _AgainError(
                    f"the server sent {came:,} bytes in {seconds:.0f} s, and less than"
                    f" {policy.slowest_bytes_s:,.0f} a second is given up",
                    crawls=True,
                )
            since, came = time.monotonic(), 0
        yield chunk


def _write(part: Path, start: int, most: int, chunks: Iterator[bytes], meter: Meter) -> None:
    size = start
    try:
        with part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            for chunk in chunks:
                size += len(chunk)
                if size > most:
                    break
                file.write(chunk)
                meter.advance(len(chunk))
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise DownloadError(
            f"Cannot write {part}: {why}. Free some space or choose another folder with"
            " `--data-dir DIR`; what has come is kept."
        ) from error
    if size > most:
        _forget(part)
        raise _HopelessError(
            f"the server sends more than the {most:,} bytes that the file can have"
        )


def _so_far(part: Path, url: str) -> tuple[int, str, int]:
    """Return how much of a file is there, its validator and its full size.

    0 if what is there cannot be built on: it is of another place, or of no known state.
    """
    try:
        note: Any = json.loads(_note_of(part).read_text(encoding="utf-8"))
        size = part.stat().st_size
    except (OSError, ValueError, RecursionError):
        return 0, "", 0
    if not isinstance(note, dict) or note.get("url") != url:
        return 0, "", 0
    validator, total = note.get("validator"), note.get("total")
    # It goes into a header, so nothing but what a header can hold comes back from the disk.
    if not (isinstance(validator, str) and re.fullmatch(r"[!-~][ -~]{0,500}", validator)):
        return 0, "", 0
    if not (type(total) is int and total >= 0 and size <= (total or size)):
        return 0, "", 0
    return size, validator, total


def _note(part: Path, url: str, response: Response, total: int) -> None:
    tag = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    strong = tag and not tag.startswith("W/")
    validator = tag if strong else response.headers.get("Last-Modified", "")
    if response.headers.get("Content-Encoding"):  # ranges would be of the packed bytes
        validator = ""
    note = {"url": url, "validator": validator, "total": total}
    _note_of(part).write_text(json.dumps(note), encoding="utf-8")


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _other_file(expected: Expected) -> str:
    if expected.recorded:
        return (
            "its SHA-256 is not the one that was recorded when it was first fetched, so the source"
            " has changed it or it is damaged; if the change is meant, remove `.fetched.json` from"
            " the dataset's folder and fetch again"
        )
    return "its SHA-256 is not the one of the dataset, so it is another file or damaged"


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
