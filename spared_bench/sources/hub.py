"""Files of data sets on the model hub, ``hf://datasets/owner/name/path``, by a token if needed."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from spared_bench.errors import DownloadError

SCHEME = "hf://datasets/"
_TIMEOUT_S = 10


def is_hub(url: str) -> bool:
    """Return whether an address is one of the hub's."""
    return url.startswith(SCHEME)


def _why_silent() -> str:
    """Say at once why the hub cannot be asked; the library would try for half a minute a file."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=_TIMEOUT_S).close()
    except HTTPError:
        return ""  # it answers
    except OSError as error:
        return f"{urlparse(constants.ENDPOINT).netloc} does not answer ({error})"
    return ""


def fetch_from_hub(url: str, target: Path) -> None:
    """Fetch one file by huggingface_hub, which goes on where it was broken off.

    Parameters
    ----------
    url : str
        ``hf://datasets/owner/name/path/in/it``.
    target : Path
        Where the file goes.

    Raises
    ------
    DownloadError
        With the page that gives access, and what to do without it.
    """
    from huggingface_hub import get_token, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    owner, name, path = url.removeprefix(SCHEME).split("/", 2)
    repo = f"{owner}/{name}"
    ways = (
        f"Ask for access at https://huggingface.co/datasets/{repo}, then give the token with `hf"
        " auth login`, or in HF_TOKEN; or name a folder that holds the files with `spared-bench"
        " data add --hest FOLDER`."
    )
    if silent := _why_silent():
        raise DownloadError(f"{path} of {repo} cannot be fetched: {silent}. {ways}")
    try:
        got = hf_hub_download(repo, path, repo_type="dataset", local_dir=target.parent / "hub")
    except (GatedRepoError, RepositoryNotFoundError) as error:
        who = "this token does not let us in" if get_token() else "there is no token here"
        raise DownloadError(f"{path} of {repo} needs a token, and {who}. {ways}") from error
    except LocalEntryNotFoundError as error:  # the library's word for no connection
        raise DownloadError(
            f"{path} of {repo} cannot be fetched: the hub does not answer. Try again: what is there"
            f" is not fetched again. {ways}"
        ) from error
    except EntryNotFoundError as error:
        raise DownloadError(
            f"{repo} has no file {path}: it was moved or renamed. {ways}"
        ) from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DownloadError(f"{path} of {repo} cannot be fetched: {reason}. {ways}") from error
    Path(got).replace(target)
