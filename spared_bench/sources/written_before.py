"""Files of one's own that this package wrote: what a protocol had left of a dataset.

``spared_bench.write`` and ``export split`` write the chosen genes of spots that passed the filters.
Added as slides, these are other data: the depth of a spot is over the genes that are there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spared_bench.sources.description import Description

_PROTOCOL = "uns/spared_bench/protocol"
_ID = re.compile(r"[\w.+-]{1,64}@[\w.]{1,20}")


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
        return _text(file.get(_PROTOCOL))


def _of_spatialdata(path: Path, table: str) -> str:
    import zarr

    tables: Any = zarr.open_group(path / "tables", mode="r")
    return _text(tables[table or next(iter(tables.group_keys()))].get(_PROTOCOL))


def _text(held: Any) -> str:
    """Return the id of a protocol from HDF5 or Zarr; empty where something else is held."""
    if getattr(held, "shape", None) != ():
        return ""
    value = held[()]
    value = value.item() if hasattr(value, "item") else value
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
