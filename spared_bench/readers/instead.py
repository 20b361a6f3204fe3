"""What stands in the place of a file that cannot be read, as its first bytes tell."""

from __future__ import annotations

from pathlib import Path

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\3\4": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_POINTER = b"version https://git-lfs"
_START_BYTES = 64


def instead(path: Path) -> str:
    """Say what a file is and what to do with it; empty where its first bytes do not tell.

    Parameters
    ----------
    path : Path
        Which may be a folder, or not there.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start:
        return "It is empty: copy or fetch it again."
    for mark, name in _PACKED.items():
        if start.startswith(mark):
            return f"It is packed by {name}: unpack it, and name what was in it."
    if start.startswith(_POINTER):
        return "It is a pointer of Git LFS to the file that is meant: `git lfs pull` fetches that."
    if start.lstrip().lower().startswith(_PAGES):
        return "It is a web page, which a server has sent for the file: fetch the file itself."
    return ""
