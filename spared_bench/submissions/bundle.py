"""A bundle on disk: the names of its files, reading and writing them, and its manifest.

A bundle is a zip archive, or the folder that such an archive holds. Nothing in it is ever imported,
unpickled or run.
"""

from __future__ import annotations

import json
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

from spared_bench import ordinary
from spared_bench.errors import SubmissionError
from spared_bench.files import replacing
from spared_bench.keys.hashing import file_digest
from spared_bench.leaderboard.entries import EntryResult
from spared_bench.store.processes import sweep_beside
from spared_bench.submissions.schema import (
    Claim,
    Description,
    Provenance,
)

DESCRIPTION, CLAIM, PROVENANCE = "submission.yaml", "results.json", "provenance.json"
CONFORMANCE, MANIFEST = "conformance.json", "manifest.json"
SIGNATURE = "signature.txt"
SUFFIX = ".zip"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are those of its manifest.

    Parameters
    ----------
    folder : Path
    description : Description
    claim : Claim
    provenance : Provenance
    hashes : dict of str to str
        SHA-256 of every file by its name.
    """

    folder: Path
    description: Description
    claim: Claim
    provenance: Provenance
    hashes: dict[str, str]

    @property
    def label(self) -> str:
        """``method@version``."""
        return f"{self.description.method}@{self.description.version}"


def archive_name(description: Description) -> str:
    """Return what a bundle's archive is called: ``METHOD-VERSION.PROTOCOL.zip``."""
    return f"{description.method}-{description.version}.{description.protocol}{SUFFIX}"


def prediction_name(result: EntryResult) -> str:
    """Return where the prediction of a result lies in a bundle."""
    dataset, completer, predictor, seed = result.place
    return f"predictions/{dataset}/{completer}/{predictor}/{seed}.npz"


def ids_name(dataset: str, kind: str) -> str:
    """Return where the names of the ``"spots"`` or ``"genes"`` of a dataset lie."""
    return f"ids/{dataset}.{kind}.txt"


def write_ids(path: Path, names: tuple[str, ...]) -> None:
    """Write names one a line; none of them may hold a line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")


def read_ids(folder: Path, dataset: str, kind: str) -> list[str]:
    """Read the names of the spots or genes of a dataset."""
    name = ids_name(dataset, kind)
    return read_text(folder, name).removesuffix("\n").split("\n")


def read_text(folder: Path, name: str) -> str:
    """Read a text of a bundle.

    Raises
    ------
    SubmissionError
        If it is not there or not UTF-8.
    """
    try:
        return ordinary.read_text(folder / name)
    except FileNotFoundError as error:
        raise SubmissionError(
            f"{name} is missing. `spared-bench submit build` makes a whole bundle."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SubmissionError(f"{name} cannot be read as UTF-8 text: {error}.") from error


def seal(folder: Path) -> None:
    """Write the manifest of a bundle's folder."""
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, SIGNATURE)
    }
    text = json.dumps({"format": 1, "files": files}, indent=1) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Write a bundle's folder as an archive; the same content gives the same bytes."""
    sweep_beside(archive.parent)
    with replacing(archive) as beside, zipfile.ZipFile(beside, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            info = zipfile.ZipInfo(name)  # dated 1980, whenever it was made
            info.compress_type = (
                zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            )
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            packed.writestr(info, path.read_bytes())
