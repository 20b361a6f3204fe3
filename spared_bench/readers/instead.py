"""What stands in the place of a file that cannot be read, or what is lacking to read it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from spared_bench.encoded import decode
from spared_bench.errors import ImageError

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\3\4": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_STARTS = {
    mark: f"It is packed by {name}: unpack it, and name what was in it."
    for mark, name in _PACKED.items()
} | {
    b"PAR1": "It is a parquet table: write it as CSV.",
    b"version https://git-lfs": (
        "It is a pointer of Git LFS to the file that is meant: `git lfs pull` fetches that."
    ),
}
#: How a workbook of Excel begins, which is a zip archive, behind the head of its first member.
_WORKBOOK = b"[Content_Types].xml"
#: In the list that Hugging Face's libraries write beside weights in parts: *.index.json.
_SHARDS = b'"weight_map"'
#: What may stand before the first element of XML: its head, remarks, and what kind it is of.
_BEFORE_XML = re.compile(
    rb"(?:\s+|<\?.*?\?>|<!--.*?-->|<!doctype(?![^>[]*\bhtml\b)[^>[]*(?:\[.*?\]\s*)?>)*",
    re.DOTALL | re.IGNORECASE,
)
_ELEMENT = re.compile(rb"<!?(?:doctype\s+)?(?:[\w.-]+:)?([\w.-]+)", re.IGNORECASE)
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: The mark of DICOM, before which nothing has to stand.
_DICOM, _BEFORE_DICOM = b"DICM", 128
_START_BYTES = 4_096  # before which a drawing may name its program, and say what it may be used for
_FEWEST_ZEROS, _MOST_ZEROS = 64, 132


def require_image(path: Path) -> None:
    """Refuse what stands in the place of an image: packed, markup, a pointer, nothing yet.

    Raises
    ------
    ImageError
    """
    if told := instead(path):
        raise ImageError(f"{path} is no image. {told}")


def instead(path: Path) -> str:
    """Say what a file is and what to do with it; empty where that is not known.

    Parameters
    ----------
    path : Path
        Which may be a folder, or not there.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if codec := _missing_codec(path) if start.startswith(_HDF5) else "":
        return (
            f"It is compressed by {codec} of HDF5, which is not installed here. Write it again"
            ' with compression="gzip", where it can be read.'
        )
    return _by_its_start(start)


def _by_its_start(start: bytes) -> str:
    if not start:
        return "It is empty: copy or fetch it again."
    if start[_BEFORE_DICOM:].startswith(_DICOM):
        return "It is DICOM, which no reader here knows: convert it to OME-TIFF."
    if len(start) >= _FEWEST_ZEROS and not any(start[:_MOST_ZEROS]):
        return (
            "It begins with zeros alone, as a file does of which a copy, a download or a cloud"
            " folder has made the place and not the content: copy or fetch it again."
        )
    if start[30:].startswith(_WORKBOOK):
        return "It is a workbook of Excel: save the sheet that is meant as CSV."
    if told := _in_text(start):
        return told
    return next((said for mark, said in _STARTS.items() if start.startswith(mark)), "")


def _in_text(start: bytes) -> str:
    with suppress(UnicodeDecodeError):  # of no text, or cut in a letter
        start = decode(start).encode()  # which programs of Windows save as UTF-16
    if start.lstrip().startswith(b"{") and _SHARDS in start:
        return (
            "It is the list of a network's weights that lie in several files: read each with"
            " `safetensors.torch.load_file`, or `torch.load(..., weights_only=True)`, write the"
            " tensors of all into one with `safetensors.torch.save_file`, and name that."
        )
    before = _BEFORE_XML.match(start)
    rest = start[before.end() if before else 0 :]
    element = _ELEMENT.match(rest)
    name = element[1].lower() if element else b""
    if name == b"html":
        return "It is a web page, which a server has sent for the file: fetch the file itself."
    if name == b"svg":
        return "It is a drawing (SVG), which has no pixels: export it as PNG or TIFF."
    if name == b"error":  # of a store in a cloud
        return "It is what a server has answered in place of the file: fetch the file itself."
    if start.lstrip().startswith(b"<?xml"):
        told = f" of the kind {name.decode('ascii', 'replace')!r}" if name else ""
        return f"It is a text in XML{told}: name the file of the data that it goes with."
    return ""


def _missing_codec(path: Path) -> str:
    """Return a codec of the arrays in an HDF5 file that is not here; empty where all are."""
    import h5py

    def codec_of(_: str, found: Any) -> str | None:
        if not isinstance(found, h5py.Dataset):
            return None
        plan = found.id.get_create_plist()
        used = [plan.get_filter(step) for step in range(plan.get_nfilters())]
        lacking = (filter for filter in used if not h5py.h5z.filter_avail(filter[0]))
        return next((f"filter {code} {name.decode()}".strip() for code, *_, name in lacking), None)

    with suppress(OSError, RuntimeError), h5py.File(path) as file:
        return file.visititems(codec_of) or ""
    return ""
