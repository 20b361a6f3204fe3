"""One file from the network: resumed where it stopped, tried again, checked, then visible.

Written on requests, because pooch cannot resume: an archive of some ten gigabytes would begin again
with every dropped connection. What has come (``sources.part``) survives ``kill -9``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.errors import DownloadError
from spared_bench.keys.hashing import file_digest
from spared_bench.sources.answers import (
    check_answer,
    coding_of,
    full_size,
    is_packed,
    most_bytes,
    refuse_page,
)
from spared_bench.sources.packed import unpacked
from spared_bench.sources.part import (
    forget,
    note,
    require_beginning,
    so_far,
    unwritable,
    validator_of,
    write,
)
from spared_bench.sources.patience import AgainError, Expected, HopelessError, Meter, Policy
from spared_bench.sources.watchdog import Watchdog, watched_session

if TYPE_CHECKING:
    from requests import Response, Session

_CHUNK_BYTES = 1 << 18
_LONGEST_WAIT_S = 60.0
_BEGIN_BYTES = 1 << 10
#: Why a server was hung up on.
NOT_WHOLE = "the server has not said anything whole"


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
        except (AgainError, HopelessError) as error:
            failures.append(f"{url}: {error}")
        except OSError as error:  # of a file: those of the network are among the others
            raise unwritable(target, error) from error
    raise DownloadError(
        f"Cannot fetch {target.name.removeprefix('.')}. " + "; ".join(failures) + ". What has come"
        " is kept: run the command again to go on, or name another place with `--mirror OLD=NEW`."
    )


def _from_one_place(
    url: str, target: Path, expected: Expected, meter: Meter, policy: Policy
) -> str:
    part = target.with_name(f".{target.name}.part")
    tries, furthest, wait = 0, -1, 0.0
    while True:
        since = time.monotonic() - wait
        try:
            continued = _receive(url, part, expected, meter, policy)
            refuse_page(part, expected)
            digest = file_digest(part)
            if expected.sha256 and digest != expected.sha256:
                forget(part)
                if continued:
                    raise AgainError("what came now does not fit what was there")
                raise HopelessError(_other_file(expected))
            part.replace(target)
            forget(part)
            return digest
        except AgainError as error:
            reached = part.stat().st_size if part.exists() else 0
            # A byte at a time, and a new connection for each, is no step forward either. What came
            # counts from the last step on, and time for this attempt: before, nobody may have
            # answered.
            least = max(1.0, policy.slowest_bytes_s * (time.monotonic() - since))
            if reached - furthest >= least and not error.crawls:
                tries, furthest = 1, reached
            else:
                tries += 1
            if tries >= policy.attempts:
                raise
            wait = error.wait_s or policy.backoff_s * 2 ** (tries - 1)
            wait = min(wait, _LONGEST_WAIT_S)
            if policy.stop.wait(wait):
                raise


def _receive(url: str, part: Path, expected: Expected, meter: Meter, policy: Policy) -> bool:
    """Bring ``part`` to its full length; return whether it was continued."""
    start, validator, noted = so_far(part, url)
    if start and start == noted:
        meter.begin(start, noted)
        return True
    headers = {"Accept-Encoding": "identity"}  # hashes are of the packed file
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with (
        Watchdog(policy.headers_s) as watchdog,
        watched_session(watchdog) as session,
        asked(session, url, headers, policy, watchdog) as response,
    ):
        check_answer(response, url, part, start, validator, expected)
        chunks = _chunks(response, policy, watchdog)
        continued = response.status_code == 206
        is_same = start > 0 and (continued or validator_of(response) == validator)
        looks = (is_same and not continued) or coding_of(response) not in ("", "identity")
        begin = _begin(chunks) if looks else b""
        if is_same and not continued:
            require_beginning(part, begin)
        start = start if continued else 0
        packed = is_packed(response, part, start, begin)
        total = 0 if packed else full_size(response, part, start, noted if is_same else 0)
        if expected.size and total and total != expected.size:
            raise HopelessError(f"the file has {total:,} bytes instead of {expected.size:,}")
        note(part, url, response, total)
        meter.begin(start, total)
        most = most_bytes(response, expected, start, total, packed, policy)
        whole = chain([begin], chunks) if begin else chunks
        write(part, start, most, unpacked(whole, coding_of(response)) if packed else whole, meter)
    size = part.stat().st_size
    if total and size != total:
        raise AgainError(f"the connection ended after {size:,} of {total:,} bytes")
    if expected.size and size != expected.size:
        forget(part)
        raise HopelessError(f"the file has {size:,} bytes instead of {expected.size:,}")
    if not size:
        forget(part)
        if "Content-Length" not in response.headers:  # the connection may have ended in the headers
            raise AgainError("the server sent nothing")
        raise HopelessError("the file is empty")
    return start > 0


def _begin(chunks: Iterator[bytes]) -> bytes:
    """Return so much of an answer that one sees what it is."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        if len(begin) >= _BEGIN_BYTES:
            break
    return begin


def asked(
    session: Session,
    url: str,
    headers: dict[str, str],
    policy: Policy,
    watchdog: Watchdog,
    method: str = "GET",
) -> Response:
    """Return a server's answer, of which the headers have come."""
    import requests

    try:
        response = session.request(
            method,
            url,
            headers=headers,
            stream=True,
            timeout=policy.timeout_s,
            allow_redirects=True,
        )
    except (ValueError, requests.TooManyRedirects) as error:  # of an address that is none
        raise HopelessError(reason_of(error)) from error
    except requests.RequestException as error:
        raise AgainError(_silence(watchdog, policy, error) or reason_of(error)) from error
    if watchdog.late:
        raise AgainError(_silence(watchdog, policy))
    watchdog.fed()
    return response


def _silence(watchdog: Watchdog, policy: Policy, error: Exception | None = None) -> str:
    """Say for how long a server said nothing, whichever noticed it first: watchdog or socket."""
    from requests import ReadTimeout
    from urllib3.exceptions import ReadTimeoutError

    if not watchdog.late and not isinstance(error, ReadTimeout | ReadTimeoutError):
        return ""
    seconds = policy.headers_s if watchdog.late else policy.timeout_s
    return f"{NOT_WHOLE} in {round(seconds, 1):g} s"


def _chunks(response: Response, policy: Policy, watchdog: Watchdog) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    since, came = time.monotonic(), 0
    while True:
        if policy.stop.is_set():
            raise AgainError("stopped")
        try:
            # What one call of the system gives: to wait for a whole chunk could take for ever.
            chunk = response.raw.read1(_CHUNK_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            raise AgainError(_silence(watchdog, policy, error) or reason_of(error)) from error
        if watchdog.late:
            raise AgainError(_silence(watchdog, policy), crawls=True)
        if not chunk:
            return
        watchdog.fed()
        came += len(chunk)
        seconds = time.monotonic() - since
        if seconds >= policy.slow_s:
            if came < policy.slowest_bytes_s * seconds:
                raise AgainError(
                    f"the server sent {came:,} bytes in {seconds:.0f} s, and less than"
                    f" {policy.slowest_bytes_s:,.0f} a second is given up",
                    crawls=True,
                )
            since, came = time.monotonic(), 0
        yield chunk


def _other_file(expected: Expected) -> str:
    if expected.recorded:
        return (
            "its SHA-256 is not the one that was recorded when it was first fetched, so the source"
            " has changed it or it is damaged; if the change is meant, remove `.fetched.json` from"
            " the dataset's folder and fetch again"
        )
    return "its SHA-256 is not the one of the dataset, so it is another file or damaged"


def reason_of(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
