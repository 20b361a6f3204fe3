"""What came into a store from elsewhere, which nobody trained or checked here.

Whoever imports marks: ``store import`` puts ``.imported.json`` into the folder of every entry that
it takes over, whatever the archive says of itself, so that no editing of an archive removes a mark.
What is made here of marked entries (a trial on an imported dataset) is marked too, and so is a
trial whose parameters were chosen by an imported candidate of its search. The mark lies in the
entry's folder and goes with it: an entry that is removed and made again here has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spared_bench.lasting import write_lasting
from spared_bench.ordinary import read_json

MARK = ".imported.json"
#: A folder of the store with one note per archive; without it, nothing was ever imported.
ARCHIVES = "imports"
_MANIFEST = "manifest.json"
_MARK_BYTES = 100_000
_MOST_STATIONS = 20
_FEATURES = "features"
_MAY_USE_FEATURES = {"trials", "networks", "completed"}


def write_mark(folder: Path, source: dict[str, Any]) -> None:
    """Mark an entry as imported; where it was before is kept as what its last holder said.

    Parameters
    ----------
    folder : Path
        Of the entry.
    source : dict
        ``archive``, ``sha256``, ``imported`` (a date), or ``made_from`` or ``chosen_by`` (a key).
    """
    earlier = (read_mark(folder) or {}).get("stations", [])
    stations = [source, *(earlier if isinstance(earlier, list) else [])][:_MOST_STATIONS]
    write_lasting(folder / MARK, json.dumps({"stations": stations}, indent=1))


def read_mark(folder: Path) -> dict[str, Any] | None:
    """Return the mark of an entry, ``None`` where it was made here; one that is damaged is one."""
    path = folder / MARK
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        if path.stat().st_size > _MARK_BYTES:
            return {}
        values = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def is_marked(folder: Path) -> bool:
    """Return whether an entry came from elsewhere, whatever its mark says."""
    return os.access(folder / MARK, os.F_OK) or (folder / MARK).is_symlink()


def stations_of(folder: Path) -> list[Any] | bool:
    """Return where an entry came from, the last place first; ``False`` if it was made here."""
    mark = read_mark(folder)
    if mark is None:
        return False
    stations = mark.get("stations")
    return stations if isinstance(stations, list) and stations else True


def inherit_mark(root: Path, folder: Path, kind: str, inputs: object) -> None:
    """Mark an entry that is about to be kept, if anything that it was made of was imported.

    A method asks for features while it runs, so no key says which; every method of the dataset may
    have used those that came from elsewhere.
    """
    if not (root / ARCHIVES).is_dir():
        return
    used = list(_made_of(root, inputs))
    found = next((source.name for source in used if read_mark(source) is not None), None)
    if found is None and kind in _MAY_USE_FEATURES:
        found = _imported_features(root, {source.name for source in used})
    if found is not None:
        write_mark(folder, {"made_from": found})


def _imported_features(root: Path, used: set[str]) -> str | None:
    """Return the key of features that came from elsewhere, of pictures that are among the used."""
    for mark in sorted((root / _FEATURES).glob(f"*/*/{MARK}")):
        if any(source.name in used for source in _made_of(root, _inputs_of(mark.parent))):
            return mark.parent.name
    return None


def _made_of(root: Path, inputs: object) -> Iterator[Path]:
    """Yield every entry that inputs name, and what these were made of, all the way."""
    waiting, seen = list(keys_in(inputs)), set[str]()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        for source in root.glob(f"*/{key[:2]}/{key}"):
            yield source
            waiting += keys_in(_inputs_of(source))


def _inputs_of(folder: Path) -> object:
    try:
        return read_json(folder / _MANIFEST)["inputs"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keys_in(value: object) -> Iterator[str]:
    """Yield every key (64 letters and digits) in the inputs of a manifest."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from keys_in(item)
    elif isinstance(value, str) and len(value) == 64 and value.isalnum():
        yield value
