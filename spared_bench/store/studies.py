"""The records of studies: which trials and scores each of them counts on.

A study's trials are no cells of a protocol, so nothing else names them. What is recorded here is
kept by ``store gc`` and told of by the study's report alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from spared_bench.files import write_text
from spared_bench.ordinary import read_json
from spared_bench.specs.base import NAME

STUDIES = "studies"
#: What the record of a study of robustness says of each method.
WORST_DROPS = "worst_drops"
_TEXTS = ("name", "summary", "source", "protocol", "report")
_TEXTS_OF_A_DROP = ("predictor", "completer", "shift", "metric")


def record_path(root: Path, study: str) -> Path:
    """Return where the record of a study (``name@version``) lies in a store."""
    return root / STUDIES / f"{study}.json"


def write_study_record(root: Path, study: str, keys: Collection[str], values: Any) -> Path:
    """Write which entries a study counts on; return the file.

    Parameters
    ----------
    root : Path
        Of the store.
    study : str
        ``name@version``.
    keys : collection of str
        Of trials and scores; those of an earlier run of the same study are kept beside them.
    values : object
        What else is to be known of it, as JSON.
    """
    path = record_path(root, study)
    known = set(keys) | _keys(path)
    text = json.dumps({"study": study, "keys": sorted(known), "about": values}, indent=1)
    write_text(path, text, sync=False)
    return path


def keys_of_studies(root: Path) -> set[str]:
    """Return the keys that all studies of a store count on; one that cannot be read has none."""
    return {key for path in (root / STUDIES).glob("*.json") for key in _keys(path)}


def study_records(root: Path) -> list[dict[str, Any]]:
    """Return what the records of a store say of their studies, by their names."""
    found = (about_study(path) for path in sorted((root / STUDIES).glob("*.json")))
    return [about for about in found if about]


def about_study(path: Path) -> dict[str, Any]:
    """Return what the record of a study says of it; nothing where it is none."""
    try:
        about: dict[str, Any] = read_json(path)["about"]
        name, drops = about.get("name", ""), about.get(WORST_DROPS) or []
        sound = all(isinstance(about.get(each, ""), str) for each in _TEXTS)
        sound = sound and (not name or bool(NAME.fullmatch(name)))  # its report's folder
        sound = sound and about.get("report", "") in ("", f"studies/{name}/index.html")
        sound = sound and all(isinstance(each, str) for each in about.get("methods", []))
        sound = sound and all(map(_is_drop, drops))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}
    return about if sound else {}


def _is_drop(drop: dict[str, Any]) -> bool:
    float(drop["drop"])  # an error for what is none
    texts = all(isinstance(drop[each], str) for each in _TEXTS_OF_A_DROP)
    return texts and all(isinstance(drop.get(each, []), list) for each in ("datasets", "trials"))


def _keys(path: Path) -> set[str]:
    try:
        keys = read_json(path)["keys"]
        return {key for key in keys if isinstance(key, str)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
