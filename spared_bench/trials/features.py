"""Features of patches and views as products: encoded once for all methods, kept in the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import Encoder, Slides
from spared_bench.data.viewed import SpotView
from spared_bench.data.views import View
from spared_bench.keys.hashing import digest
from spared_bench.store.entries import Entry
from spared_bench.store.processes import scratch_folder
from spared_bench.store.reading import read_product
from spared_bench.trials.encoding import clear, encode_sharded, write_facts
from spared_bench.trials.views import SCALES, SPOTS

_FEATURES = "features.npy"
#: How the features of an entry were encoded.
ENCODED = "encoded.json"
#: What a method that is shut in has computed; the store is closed to it.
_own_features: dict[str, np.ndarray] = {}


def features_of(
    bench: Bench, name: str, patch_view: View
) -> Callable[[Encoder, Slides, str], np.ndarray]:
    """Return what makes or loads the features of a dataset's patches and views.

    Parameters
    ----------
    bench : Bench
    name : str
    patch_view : View
        What the patches of these slides are.

    Returns
    -------
    callable
        Of ``Slides.features_of``. It is handed to methods with their slides, and so holds nothing
        from which the dataset's expression could be reached.
    """
    store, guests, confined = bench.workspace.store, bench.guests, bench.confined
    makes_shared = bench.makes_shared
    device, training = bench.settings.device, bench.workspace.training

    def features(encoder: Encoder, slides: Slides, view: str = "") -> np.ndarray:
        seen = slides._view(view) if view else None
        looked_at = seen.view if seen else patch_view
        inputs = bench.features_inputs(name, encoder, looked_at)
        if guests and not confined and not store.has("features", digest(inputs)):
            inputs |= {"made_by": list(guests)}  # what a stranger makes is for nobody else
        key = digest(inputs)

        def whole(scratch: Path) -> tuple[np.ndarray, dict[str, Any]]:
            patches, spots = seen.everything if seen else (slides.patches.whole, None)
            scales = _scales(bench, name, looked_at, seen, spots, len(patches))
            found, told = encode_sharded(encoder, device, patches, scales, scratch)
            told |= shown_at(encoder, patches.shape[1], scales)
            return (seen.arranged(found) if seen else found), told

        if confined:
            if key not in _own_features:
                with scratch_folder() as own_folder:
                    _own_features[key], _ = whole(own_folder)
            own = _own_features[key]
            return seen.select(own) if seen else np.array(own[slides.patches.rows])

        scratch = training / f"features-{key}"

        def make(folder: Path) -> None:
            found, told = whole(scratch)
            np.save(folder / _FEATURES, found)
            write_facts(folder / ENCODED, told)

        def obtain() -> Entry:
            entry = store.obtain("features", inputs, make, once=True)
            clear(scratch)  # not before the entry stands: killed in between, all would be lost
            _note_encoding(name, encoder, entry)
            return entry

        found = read_product(store, obtain, _read_features, again=makes_shared)
        return seen.select(found) if seen else np.array(found[slides.patches.rows])

    return features


def _read_features(entry: Entry) -> np.ndarray:
    found: np.ndarray = np.load(entry.folder / _FEATURES, mmap_mode="r")
    return found


def _scales(
    bench: Bench, name: str, view: View, seen: SpotView | None, spots: np.ndarray | None, n: int
) -> np.ndarray:
    """Return the micrometres per pixel of all stored patches of a view, (n,); 0 where unknown."""
    entry = bench.workspace.store.find(bench.view_kind(view), bench.view_inputs(name, view))
    if entry is None or not (entry.folder / SCALES).is_file():
        return np.zeros(n)
    scales: dict[str, float] = entry.read_json(SCALES)
    if seen is not None and seen.view.grid:
        windows = seen.find().windows
        assert windows is not None
        return np.array([scales[slide_id] for slide_id in windows.slide_ids])
    stored: dict[str, list[str]] = entry.read_json(SPOTS)
    of_spot = np.concatenate([np.full(len(each), scales[s]) for s, each in stored.items()])
    return of_spot if spots is None else of_spot[spots]


def shown_at(encoder: Encoder, size: int, scales: np.ndarray) -> dict[str, Any]:
    """Return at which micrometres per pixel an encoder saw patches, by those of the patches."""
    from spared_bench.models.framing import framing

    spec = getattr(encoder, "spec", None)
    if spec is None:
        return {}
    known = {float(um) for um in np.unique(scales)}
    shown = {um: framing(spec, size, um) for um in sorted(known)}
    return {
        "resampled": [
            {
                "um_per_px": round(um, 4) or None,
                "shown_um_per_px": round(each.um_per_px, 4) or None,
                "px": each.crop or each.side,
            }
            for um, each in shown.items()
        ]
    }


#: How the features that this process has asked for were encoded, by dataset and encoder.
_encodings: dict[tuple[str, str], dict[str, Any]] = {}


def _note_encoding(dataset: str, encoder: Encoder, entry: Entry) -> None:
    name = getattr(getattr(encoder, "spec", None), "name", "")
    if name and (entry.folder / ENCODED).is_file():
        _encodings[dataset, name] = entry.read_json(ENCODED)


def encoding_told(dataset: str, encoder: str) -> dict[str, Any]:
    """Return how the features of a registered encoder were last encoded, if they were asked for."""
    return dict(_encodings.get((dataset, encoder), {}))
