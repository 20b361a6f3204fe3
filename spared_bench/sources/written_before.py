"""Files of one's own that this package wrote: what a protocol had left of a dataset.

``spared_bench.write`` and ``export split`` write the chosen genes of spots that passed the filters.
Added as slides, these are other data: the depth of a spot is over the genes that are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spared_bench.sources.description import Description

_PROTOCOL = "uns/spared_bench/protocol"


def written_before(described: Description) -> list[str]:
    """Return a sentence for each file that holds what a protocol had left of a dataset.

    Parameters
    ----------
    described : Description
        Whose slides have been read.
    """
    opened = {"h5ad": _of_h5ad, "spatialdata": _of_spatialdata}.get(described.format)
    if opened is None:
        return []
    entries = described.slides.values()
    files = {Path(entry.path): opened(Path(entry.path), entry.table) for entry in entries}
    return [
        f"{path} was written by spared-bench: it holds the genes and spots that protocol {protocol}"
        " left of a dataset. Depths of spots, and so all targets, differ from that dataset's, since"
        " they are over these genes alone; for the same numbers, add the files that it was made of."
        for path, protocol in files.items()
        if protocol
    ]


def _of_h5ad(path: Path, _table: str) -> str:
    import h5py

    with h5py.File(path) as file:
        return _text(file[_PROTOCOL][()]) if _PROTOCOL in file else ""


def _of_spatialdata(path: Path, table: str) -> str:
    import zarr

    tables: Any = zarr.open_group(path / "tables", mode="r")
    held = tables[table or next(iter(tables.group_keys()))]
    return _text(held[_PROTOCOL][()]) if _PROTOCOL in held else ""


def _text(value: Any) -> str:
    """Return a text as HDF5 and Zarr hold it: bytes, or an array without dimensions."""
    value = value.item() if hasattr(value, "item") else value
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return value if isinstance(value, str) else ""
